"""Certificates of an authority of one's own, for a local engine and its tests."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LOOPBACK = ipaddress.ip_address("127.0.0.1")
LASTS = timedelta(days=365)


class Pair(NamedTuple):
    """A certificate and its key, both PEM."""

    certificate: bytes
    key: bytes

    def write(self, certificate: Path, key: Path) -> None:
        """The key is readable for the owner alone."""
        certificate.write_bytes(self.certificate)
        write_secret(key, self.key)


class Authority:
    """Signs certificates; its key lives in memory only, so that nobody can ever sign another one."""

    def __init__(self, name: str = "authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = subject(name)
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        self._signed = (
            self._draft(self._subject, self._key.public_key(), datetime.now(UTC) + LASTS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def certificate(self) -> bytes:
        """PEM; who trusts it trusts all that it signs."""
        return self._signed.public_bytes(Encoding.PEM)

    def issue(self, name: str, until: datetime | None = None, host: str = "localhost") -> Pair:
        """For `CN=name,O=sorce`, as a client and as a server on this machine; for a year, or until then."""
        key = ec.generate_private_key(ec.SECP256R1())
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        places: list[x509.GeneralName] = [x509.DNSName(host)]
        if host == "localhost":
            places.append(x509.IPAddress(LOOPBACK))
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        draft = self._draft(subject(name), key.public_key(), until or datetime.now(UTC) + LASTS)
        signed = (
            draft.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(x509.SubjectAlternativeName(places), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        # PKCS 8, the one form that OpenSearch reads.
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Pair(signed.public_bytes(Encoding.PEM), pem)

    def _draft(self, whose: x509.Name, key: ec.EllipticCurvePublicKey, until: datetime) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder(self._subject, whose, key, x509.random_serial_number())
            # A clock that is a little slow must not find it too young; nor one that has ended never have begun.
            .not_valid_before(min(until, datetime.now(UTC)) - timedelta(days=1))
            .not_valid_after(until)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )


def subject(name: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "sorce"), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )


def write_secret(path: Path, secret: bytes) -> None:
    """Never readable for others, not even while it is written."""
    path.unlink(missing_ok=True)
    path.touch(0o600)
    path.write_bytes(secret)
