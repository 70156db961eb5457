"""Ask a node over HTTP, without the client library."""

from __future__ import annotations

import json
import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit


def ask(
    url: str, path: str, context: ssl.SSLContext | None, method: str = "GET", body: dict[str, Any] | None = None
) -> dict[str, Any] | None:
    """The JSON answer, or None if the node does not answer or answers with an error.

    `http.client` is used because `urllib` would send the request through a proxy.
    """
    address = urlsplit(url).netloc
    connection = HTTPSConnection(address, timeout=5, context=context) if context else HTTPConnection(address, timeout=5)
    try:
        sent = None if body is None else json.dumps(body)
        connection.request(method, path, sent, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return dict(json.load(answer)) if answer.status in (200, 201) else None
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()
