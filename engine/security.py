"""TLS and users of a secured engine: certificates made for it alone, an administrator, and the node's settings."""

from __future__ import annotations

import json
import secrets
import ssl
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sorce.errors import EngineError, MissingTool

ADMINISTRATOR = "admin"

# The plugin's own examples would know users with well-known passwords, and give each user an index.
_FILES: dict[str, dict[str, Any]] = {
    "internal_users": {"_meta": {"type": "internalusers", "config_version": 2}},
    "roles_mapping": {
        "_meta": {"type": "rolesmapping", "config_version": 2},
        "all_access": {"backend_roles": [ADMINISTRATOR]},
    },
}


_PEM = {"pemcert_filepath": "node.pem", "pemkey_filepath": "node.key", "pemtrustedcas_filepath": "ca.pem"}

SETTINGS: dict[str, Any] = {
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
"""Of the node."""


@dataclass(frozen=True, slots=True)
class Security:
    """The folder that holds what an engine's owner needs; closed to all others."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def certificate(self) -> Path:
        """Of the one who may do all, the security settings included."""
        return self.folder / "owner.pem"

    @property
    def key(self) -> Path:
        return self.folder / "owner.key"

    @property
    def password_file(self) -> Path:
        """Of the user `admin`."""
        return self.folder / "password"

    @property
    def environment(self) -> dict[str, str]:
        """What sorce's commands have to know."""
        return {
            "OPENSEARCH_CA_FILE": str(self.ca),
            "OPENSEARCH_USERNAME": ADMINISTRATOR,
            "OPENSEARCH_PASSWORD_FILE": str(self.password_file),
        }

    def context(self) -> ssl.SSLContext:
        """The owner's."""
        try:
            context = ssl.create_default_context(cafile=self.ca)
            context.load_cert_chain(self.certificate, self.key)
        except PermissionError as error:
            raise EngineError(f"{self.folder} is closed to you: ask as the user who started the engine") from error
        return context

    def prepare(self, config: Path) -> None:
        """Makes certificates, the node's among its configuration, and a password where there is none."""
        try:
            from sorce.engine.certificates import Authority, write_secret
        except ImportError as error:
            raise MissingTool(
                "a secured engine needs the package cryptography: run pip install 'sorce[engine]'"
            ) from error
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        theirs = config / "certificates"
        theirs.mkdir(exist_ok=True)
        authority = Authority()
        self.ca.write_bytes(authority.certificate)
        (theirs / "ca.pem").write_bytes(authority.certificate)
        authority.issue("owner").write(self.certificate, self.key)
        authority.issue("node").write(theirs / "node.pem", theirs / "node.key")
        if not self.password_file.exists():
            write_secret(self.password_file, secrets.token_urlsafe(24).encode())
        for name, content in (_FILES | {"config": _authentication()}).items():
            # `config` holds the keys of the tokens that the cluster gives.
            write_secret(config / "opensearch-security" / f"{name}.yml", json.dumps(content).encode())

    def administrator(self) -> tuple[str, str, dict[str, Any]]:
        """The request that makes the administrator: path, method and body."""
        body = {"password": self.password_file.read_text(), "backend_roles": [ADMINISTRATOR]}
        return f"/_plugins/_security/api/internalusers/{ADMINISTRATOR}", "PUT", body


def _authentication() -> dict[str, Any]:
    """By password, by a client certificate (its common name is the user), or by a token that the cluster gave."""
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
