"""The address of a cluster for a test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sorce.access import Access


@dataclass(frozen=True)
class Place:
    """A cluster of either line, as Python code and as a command connect to it."""

    url: str
    access: Access
    environment: Mapping[str, str]
