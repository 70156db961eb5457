"""What only a holder of the service's key can write, valid until a time: for cookies, and addresses of thumbnails."""

from __future__ import annotations

import hashlib
import hmac
import time


def sign(key: str, what: str, expires: int) -> str:
    """HMAC-SHA256 of `what`, valid until `expires` (seconds since 1970), as hexadecimal digits."""
    return hmac.new(key.encode(), f"{what}\n{expires}".encode(), hashlib.sha256).hexdigest()


def is_valid(key: str, what: str, expires: str, signature: str) -> bool:
    """Whether the signature is right and its time is not over."""
    if not (expires.isascii() and expires.isdigit() and len(expires) < 20):
        return False
    right = sign(key, what, int(expires))
    return hmac.compare_digest(right.encode(), signature.encode()) and time.time() < int(expires)


def thumbnails_of(index: str) -> str:
    """What is signed for the thumbnails of an index."""
    return f"thumbnails\n{index}"


def thumbnail_query(key: str, index: str, expires: int) -> str:
    """The part of an address that lets another origin see the thumbnails of an index, until a time."""
    return f"expires={expires}&sig={sign(key, thumbnails_of(index), expires)}"
