"""Where a test finds a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sorce.access import Access


@dataclass(frozen=True)
class Place:
    """A cluster of either line, as a program and as a command find it."""

    url: str
    access: Access
    environment: Mapping[str, str]
