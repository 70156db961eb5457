"""Who asks a cluster, and which cluster is trusted: from the environment, never from an argument.

OPENSEARCH_CA_FILE        the authority that signed the cluster's certificate, if this machine does not know it
OPENSEARCH_CLIENT_CERT    a client's certificate (PEM) ...
OPENSEARCH_CLIENT_KEY     ... and its key, if it is not in the same file
OPENSEARCH_USERNAME       a user ...
OPENSEARCH_PASSWORD_FILE  ... and a file that holds the password (or OPENSEARCH_PASSWORD, the password itself)
OPENSEARCH_TOKEN          a bearer token, instead of a user
OPENSEARCH_AWS_REGION     requests are signed for AWS (SigV4), with the credentials that boto3 finds
"""

from __future__ import annotations

import os
import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from opensearchpy import Urllib3AWSV4SignerAuth

from sorce.errors import ClusterError, MissingTool

AWS_SERVICE = "es"


@dataclass(frozen=True)
class Access:
    """What a connection needs besides the address; secrets are not in its repr.

    At most one of user, token and AWS region; a client certificate can be combined with each. `insecure` trusts any
    certificate, and sends secrets even unencrypted.
    """

    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    aws_region: str | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            # Not quoted: it is a secret.
            raise ClusterError("OPENSEARCH_TOKEN holds a line break, or a character beyond ASCII; set it to the token.")
        if sum(value is not None for value in (self.username, self.token, self.aws_region)) > 1:
            raise ClusterError(
                "the cluster can be asked by one only: set OPENSEARCH_USERNAME, OPENSEARCH_TOKEN or "
                "OPENSEARCH_AWS_REGION, and unset the others."
            )
        if (self.username is None) != (self.password is None):
            raise ClusterError(
                "a user needs a password, and a password a user: set OPENSEARCH_USERNAME and OPENSEARCH_PASSWORD_FILE "
                "(or OPENSEARCH_PASSWORD)."
            )

    @classmethod
    def from_environment(cls, insecure: bool = False) -> Access:
        """Raises ClusterError for settings that conflict, or a password file that cannot be read."""
        return cls(
            ca_file=_variable("OPENSEARCH_CA_FILE"),
            client_cert=_variable("OPENSEARCH_CLIENT_CERT"),
            client_key=_variable("OPENSEARCH_CLIENT_KEY"),
            username=_variable("OPENSEARCH_USERNAME"),
            password=_password(),
            token=_variable("OPENSEARCH_TOKEN"),
            aws_region=_variable("OPENSEARCH_AWS_REGION"),
            insecure=insecure,
        )

    def arguments(self, url: str) -> dict[str, Any]:
        """Arguments of the client library for a cluster at this address. Raises ClusterError, MissingTool."""
        scheme, host = urlsplit(url).scheme, urlsplit(url).hostname or ""
        if scheme == "http" and self._has_secret and not self.insecure and not is_loopback(host):
            raise ClusterError(
                f"{url} would be sent a secret unencrypted, for all to read; write https:// (or say --insecure)."
            )
        given: dict[str, Any] = {"ssl_context": self._context()} if scheme == "https" else {}
        if self.aws_region is not None:
            given["http_auth"] = _signer(self.aws_region)
        elif self.token is not None:
            given["headers"] = {"authorization": f"Bearer {self.token}"}
        elif self.username is not None:
            pair = b64encode(f"{self.username}:{self.password}".encode()).decode()
            given["headers"] = {"authorization": f"Basic {pair}"}
        return given

    @property
    def _has_secret(self) -> bool:
        # A signature reveals nothing, but a session token may be sent with it.
        return any(value is not None for value in (self.password, self.token, self.aws_region))

    def _context(self) -> ssl.SSLContext:
        _refuse_unreadable("OPENSEARCH_CA_FILE", self.ca_file)
        _refuse_unreadable("OPENSEARCH_CLIENT_CERT", self.client_cert)
        _refuse_unreadable("OPENSEARCH_CLIENT_KEY", self.client_key)
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            raise ClusterError(
                f"OPENSEARCH_CA_FILE: '{self.ca_file}' holds no certificate (PEM); name the authority's file."
            ) from error
        if self.client_cert is not None:
            try:
                # Without a password here, a key that needs one would ask for it at the terminal.
                context.load_cert_chain(self.client_cert, self.client_key, password="")
            except OSError as error:
                raise ClusterError(
                    f"OPENSEARCH_CLIENT_CERT, OPENSEARCH_CLIENT_KEY: '{self.client_cert}' and its key are not PEM that "
                    "can be read without a password, or do not belong together."
                ) from error
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _variable(name: str) -> str | None:
    return os.environ.get(name) or None


def _password() -> str | None:
    given, file = _variable("OPENSEARCH_PASSWORD"), _variable("OPENSEARCH_PASSWORD_FILE")
    if file is None:
        return given
    if given is not None:
        raise ClusterError("OPENSEARCH_PASSWORD and OPENSEARCH_PASSWORD_FILE are both set; unset one.")
    _refuse_unreadable("OPENSEARCH_PASSWORD_FILE", file)
    try:
        return Path(file).read_text(encoding="utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ClusterError(f"OPENSEARCH_PASSWORD_FILE: '{file}' is not a text in UTF-8.") from error


def _refuse_unreadable(variable: str, file: str | None) -> None:
    """Raises ClusterError if a file is named but missing or not readable."""
    if file is None:
        return
    try:
        Path(file).open("rb").close()
    except FileNotFoundError as error:
        raise ClusterError(f"{variable}: there is no file '{file}'; correct its path.") from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ClusterError(f"{variable}: '{file}' cannot be read ({why}).") from error


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, under an address that no other machine can reach."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _signer(region: str) -> Urllib3AWSV4SignerAuth:
    try:
        import boto3
    except ImportError as error:
        raise MissingTool("signing requests for AWS needs boto3; run pip install 'sorce[aws]'.") from error
    credentials = boto3.Session().get_credentials()
    if credentials is None:
        raise ClusterError("no AWS credentials are found here; set up a profile or a role as boto3 reads them.")
    return Urllib3AWSV4SignerAuth(credentials, region, AWS_SERVICE)
