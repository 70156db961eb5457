"""The encoder service as the cluster and the installer see it: an address, and vectors that must be correct."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from urllib.parse import urlsplit

import numpy as np
import orjson
import urllib3

from sorce.errors import PluginError
from sorce.mappings import Vector, probe
from sorce.mappings.request import MAX_CHARACTERS as MAX_CHARACTERS
from sorce.models.model import TextEncoder

KEY_VARIABLE = "SORCE_API_KEY"
"""The environment variable that holds the key of the encoder service."""

PATH = "/v1/embeddings"
LOCATE_PATH = "/v1/locate"

SECONDS = 30

PROBES = (probe.TEXT, "zebra")

ENOUGH = 0.999


@dataclass(frozen=True)
class Endpoint:
    """Where texts are encoded (the full URL), the model's name there, and the key that is sent."""

    url: str
    model: str
    key: str | None = None

    @property
    def pattern(self) -> str:
        """The regular expression that matches only this address."""
        return f"^{re.escape(self.url)}$"

    @property
    def is_private(self) -> bool:
        """Whether OpenSearch treats it as a private address. Raises PluginError if the host has no address."""
        return is_private(self.url)

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        """Vectors as the service returns them, without normalisation here. Raises PluginError."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        body = orjson.dumps({"input": list(texts), "model": self.model})
        pool = urllib3.PoolManager(retries=False, timeout=SECONDS)
        try:
            answer = pool.request("POST", self.url, body=body, headers=headers, redirect=False)
        except urllib3.exceptions.SSLError as error:
            raise PluginError(
                f"the encoder at {self.url} is not trusted ({error}); have it show a certificate that this machine "
                "knows, or name its authority's file in SSL_CERT_FILE."
            ) from error
        except urllib3.exceptions.HTTPError as error:
            raise PluginError(f"no encoder answers at {self.url}; start one with `sorce serve`.") from error
        if answer.status != 200:
            raise PluginError(f"the encoder at {self.url} refused ({answer.status}): {_said(answer.data)}")
        try:
            found = np.array([item["embedding"] for item in orjson.loads(answer.data)["data"]], np.float32)
        except (ValueError, KeyError, TypeError) as error:
            raise PluginError(
                f"the service at {self.url} does not answer in the OpenAI embeddings format; "
                "start an encoder with `sorce serve`."
            ) from error
        return found


def key_from_environment() -> str | None:
    """The key of the encoder service, if one is set. Raises PluginError if it is not valid in an HTTP header."""
    key = os.environ.get(KEY_VARIABLE) or None
    if key is not None and not (key.isascii() and key.isprintable() and key == key.strip()):
        raise PluginError(
            f"{KEY_VARIABLE} cannot be sent in an HTTP header; use a key of ASCII letters, digits and signs."
        )
    return key


def parse(text: str, model: str, key: str | None) -> Endpoint:
    """Accepts `http://host:port` (the path is then /v1/embeddings) or a full URL. Raises PluginError."""
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    if "@" in (parts.netloc or text):
        # The URL is not quoted: it may contain a password.
        raise PluginError(
            f"the encoder's address holds a user or a password; write it as http://host:port and set {KEY_VARIABLE}."
        )
    plain = not (parts.query or parts.fragment) and not re.search(r"[\s${}\"\\]", text)
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise PluginError(f"'{text}' is not an encoder's address; write it as http://host:port.")
    return Endpoint(parts._replace(path=parts.path.rstrip("/") or PATH).geturl(), model, key)


def parse_localiser(text: str, encoder: Endpoint) -> Endpoint:
    """The localiser's address, as `parse` reads it; an empty text means the service that also encodes.

    Raises PluginError.
    """
    given = parse(text or encoder.url, encoder.model, encoder.key)
    return replace(given, url=given.url.removesuffix(PATH) + LOCATE_PATH) if given.url.endswith(PATH) else given


def is_private(url: str) -> bool:
    """Whether OpenSearch calls the address of this URL only with `connector.private_ip_enabled`."""
    host = urlsplit(url).hostname or ""
    try:
        found = {str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise PluginError(f"the host '{host}' has no address here; check its name.") from error
    return any(not ip_address(address).is_global for address in found)


def refuse_disagreement(there: Vector, encoder: TextEncoder, whose: str) -> None:
    """Raises PluginError unless the vectors of PROBES equal those of the local model."""
    refuse_other_vectors(there, encoder.embed_texts(PROBES), whose)


def refuse_other_vectors(there: Vector, here: Vector, whose: str) -> None:
    """Raises PluginError unless both (texts, dimension) hold the same unit vectors."""
    if there.shape != here.shape:
        raise PluginError(
            f"{whose} gives vectors of {there.shape[-1]} numbers where the index's model gives {here.shape[1]}; "
            "serve it by the index: sorce serve --index NAME."
        )
    norms = np.linalg.norm(there, axis=1)
    if np.abs(norms - 1).max() > 1 - ENOUGH:
        raise PluginError(f"{whose} gives vectors of length {norms.max():.3f} instead of 1; use one that normalises.")
    cosines = (there * here).sum(axis=1)
    if not cosines.min() > ENOUGH:
        raise PluginError(
            f"{whose} encodes texts differently from the index's model (cosine {cosines.min():.3f}); "
            "serve the index's model."
        )


def _said(body: bytes) -> str:
    try:
        return str(orjson.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")
