"""How the page is served, as the operator says it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from sorce.errors import PluginError
from sorce.pictures.stores import WEB, host_and_port
from sorce.pictures.uris import Root

CACHE_MEGABYTES = 1024
LEAST_CACHE_MEGABYTES = 256
"""Room for the tiles of the largest photo."""

_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")


@dataclass(frozen=True)
class PageSettings:
    """`roots` are the folders of which pictures are shown; none are shown without one.

    `base_path` is the path that the page has behind a proxy, such as `/photos`. `allow_origins` may show thumbnails.
    With `show_paths` answers name the files' paths. With `pass_credentials` the cluster is asked as the caller.
    Raises PluginError.
    """

    roots: Sequence[Root] = ()
    base_path: str = ""
    allow_origins: Sequence[str] = ()
    show_paths: bool = False
    pass_credentials: bool = False
    cache: Path = field(default_factory=lambda: default_cache())
    cache_megabytes: int = CACHE_MEGABYTES

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_path", base_path(self.base_path))
        object.__setattr__(self, "allow_origins", tuple(origin(each) for each in self.allow_origins))


def default_cache() -> Path:
    """The user's own folder for what can be made again. Raises PluginError for a user without one."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sorce" / "pictures"
    except RuntimeError as error:
        # As in a container that runs under a number without a name.
        raise PluginError("this user has no home for the page's pictures; name a folder with --cache.") from error


def is_prefix(path: str) -> bool:
    """Whether it may stand before the paths of an address."""
    return _PREFIX.fullmatch(path) is not None and ".." not in path.split("/")


def base_path(given: str) -> str:
    """Without a slash at the end. Raises PluginError."""
    path = given.rstrip("/")
    if path and not is_prefix(path):
        raise PluginError(f"--base-path '{given}' is not a path of an address; write it as /photos.")
    return path


def origin(given: str) -> str:
    """`scheme://host:port` in lower case, as browsers send it. Raises PluginError."""
    try:
        parts = urlsplit(given)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in WEB or not parts.hostname or parts.path.strip("/") or parts.query or "@" in given:
        raise PluginError(f"--allow-origin '{given}' is not an origin; write it as https://dashboards.example:5601.")
    return f"{parts.scheme}://{host_and_port(parts.scheme, parts.hostname, port)}"
