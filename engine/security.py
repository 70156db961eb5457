"""TLS and users of a secured engine: its own certificates, an administrator and the settings of its node."""

from __future__ import annotations

import importlib.util
import json
import secrets
import ssl
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sorce.engine.files import write_file
from sorce.errors import EngineError, MissingTool

ADMINISTRATOR = "admin"

# These replace the plugin's example files, whose users have well-known passwords.
_FILES: dict[str, dict[str, Any]] = {
    "internal_users": {"_meta": {"type": "internalusers", "config_version": 2}},
    "roles_mapping": {
        "_meta": {"type": "rolesmapping", "config_version": 2},
        "all_access": {"backend_roles": [ADMINISTRATOR]},
    },
}

_PEM = {"pemcert_filepath": "node.pem", "pemkey_filepath": "node.key", "pemtrustedcas_filepath": "ca.pem"}

NODE_SETTINGS: dict[str, Any] = {
    **{
        f"plugins.security.ssl.{layer}.{name}": f"certificates/{file}"
        for layer in ("transport", "http")
        for name, file in _PEM.items()
    },
    "plugins.security.ssl.http.enabled": True,
    "plugins.security.allow_default_init_securityindex": True,
    "plugins.security.authcz.admin_dn": ["CN=owner,O=sorce"],
    "plugins.security.nodes_dn": ["CN=node,O=sorce"],
    "plugins.security.restapi.roles_enabled": ["all_access"],
}


@dataclass(frozen=True, slots=True)
class Security:
    """The folder with the certificates and the password. Only the user who starts the engine can open it."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def certificate(self) -> Path:
        """The client certificate of the owner, who may do everything, including changes to the security settings."""
        return self.folder / "owner.pem"

    @property
    def key(self) -> Path:
        return self.folder / "owner.key"

    @property
    def password_file(self) -> Path:
        """The file with the password of the user `admin`."""
        return self.folder / "password"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that sorce's commands need to use the node."""
        return {
            "OPENSEARCH_CA_FILE": str(self.ca),
            "OPENSEARCH_USERNAME": ADMINISTRATOR,
            "OPENSEARCH_PASSWORD_FILE": str(self.password_file),
        }

    def context(self) -> ssl.SSLContext:
        """TLS with the owner's client certificate. Raises EngineError if the caller is not the owner."""
        try:
            context = ssl.create_default_context(cafile=self.ca)
            context.load_cert_chain(self.certificate, self.key)
        except PermissionError as error:
            raise EngineError(
                f"{self.folder} is closed to you: run the command as the user who started the engine"
            ) from error
        except FileNotFoundError as error:
            raise EngineError(f"{self.folder} lacks certificates: stop the engine and start it again") from error
        return context

    @staticmethod
    def check_packages() -> None:
        """Raise MissingTool if the package that makes certificates is missing."""
        if importlib.util.find_spec("cryptography") is None:
            raise MissingTool("a secured engine needs the package cryptography: run pip install 'sorce[engine]'")

    def prepare(self, config: Path) -> None:
        """Create new certificates and security files, and a password if there is none yet.

        The files that the node reads go to its configuration, a new folder that only the caller can open.
        """
        from sorce.engine.certificates import Authority  # Needs an optional package.

        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        nodes = config / "certificates"
        nodes.mkdir()
        authority = Authority()
        write_file(self.ca, authority.certificate)
        write_file(nodes / "ca.pem", authority.certificate)
        authority.issue("owner").write(self.certificate, self.key)
        authority.issue("node").write(nodes / "node.pem", nodes / "node.key")
        if not self.password_file.exists():
            write_file(self.password_file, secrets.token_urlsafe(24).encode())
        for name, content in (_FILES | {"config": _authentication()}).items():
            write_file(config / "opensearch-security" / f"{name}.yml", json.dumps(content).encode())

    def administrator(self) -> tuple[str, str, dict[str, Any]]:
        """The request that creates the user `admin`: path, method and body."""
        body = {"password": self.password_file.read_text(), "backend_roles": [ADMINISTRATOR]}
        return f"/_plugins/_security/api/internalusers/{ADMINISTRATOR}", "PUT", body


def _authentication() -> dict[str, Any]:
    """How users authenticate: a client certificate (common name: the user), a password, or a token of the cluster."""
    basic = {
        "order": 1,
        "http_enabled": True,
        "http_authenticator": {"type": "basic", "challenge": True},
        "authentication_backend": {"type": "intern"},
    }
    certificate = {
        "order": 0,
        "http_enabled": True,
        "http_authenticator": {"type": "clientcert", "challenge": False, "config": {"username_attribute": "cn"}},
        "authentication_backend": {"type": "noop"},
    }
    tokens = {"enabled": True, "signing_key": _random_key(), "encryption_key": _random_key()}
    dynamic = {"authc": {"basic": basic, "certificate": certificate}, "on_behalf_of": tokens}
    return {"_meta": {"type": "config", "config_version": 2}, "config": {"dynamic": dynamic}}


def _random_key() -> str:
    return b64encode(secrets.token_bytes(64)).decode()
