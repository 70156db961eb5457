"""Certificates for a local engine and its tests, signed by a new certificate authority made for them."""

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

from sorce.engine.files import write_file

LOOPBACK = ipaddress.ip_address("127.0.0.1")
LIFETIME = timedelta(days=365)


class Pair(NamedTuple):
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes

    def write(self, certificate: Path, key: Path) -> None:
        """Write both files. Only their owner can read the key."""
        write_file(certificate, self.certificate, 0o644)
        write_file(key, self.key)


class Authority:
    """Signs certificates. Its private key exists only in memory, so nobody can sign another certificate later."""

    def __init__(self, name: str = "authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = subject(name)
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        self._signed = (
            self._draft(self._subject, self._key.public_key(), datetime.now(UTC) + LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def certificate(self) -> bytes:
        """The authority's own certificate, as PEM. A client that trusts it trusts every certificate it signed."""
        return self._signed.public_bytes(Encoding.PEM)

    def issue(self, name: str, until: datetime | None = None, host: str = "localhost") -> Pair:
        """A certificate of `CN=name,O=sorce`, for a client and for a server at this host.

        It is valid until `until`, by default for a year.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        hosts: list[x509.GeneralName] = [x509.DNSName(host)]
        if host == "localhost":
            hosts.append(x509.IPAddress(LOOPBACK))
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        draft = self._draft(subject(name), key.public_key(), until or datetime.now(UTC) + LIFETIME)
        signed = (
            draft.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        # OpenSearch reads only PKCS 8.
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Pair(signed.public_bytes(Encoding.PEM), pem)

    def _draft(self, name: x509.Name, key: ec.EllipticCurvePublicKey, until: datetime) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder(self._subject, name, key, x509.random_serial_number())
            # Starts a day early, for clients whose clock is slow. An expired certificate must start before it ends.
            .not_valid_before(min(until, datetime.now(UTC)) - timedelta(days=1))
            .not_valid_after(until)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )


def subject(name: str) -> x509.Name:
    """`CN=name,O=sorce`."""
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "sorce"), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )
