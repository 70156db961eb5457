"""Where a photo of an index is on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from sorce.errors import BadPhoto
from sorce.pictures.files import is_gone


def path_of(uri: str, root: Path | None) -> Path:
    """The path of a `file:` URI, or of a relative one below the root (or the current folder). Raises BadPhoto.

    With a root, a `file:` URI must be below it after links are followed. A relative URI may leave the root through a
    link inside it, as in an ingest. Without a root, a `file:` URI may name any place on this machine, since an index
    does not record which folders were ingested.
    """
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise BadPhoto("has no URI that can be read") from error
    if "\0" in unquote(uri):
        raise BadPhoto("has no URI that can be read")
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise BadPhoto("is said to lie on another machine")
        file = Path(url2pathname(parts.path))
        if root is not None and not _real(file).is_relative_to(_real(root)):
            raise BadPhoto("is said to lie outside the root")
        return file
    below = PurePosixPath(unquote(uri))
    if below.is_absolute() or ".." in below.parts:
        raise BadPhoto("is said to lie outside the root")
    return (root or Path()) / below


def path_below(uri: str, roots: Sequence[Path]) -> Path:
    """The path of a photo below one of the roots, with all links followed. Raises BadPhoto if it is below none.

    Stricter than `path_of`: a relative URI may not leave the roots either, not even through a link inside them. It is
    looked for in each root in turn.
    """
    below = [_real(root) for root in roots]
    found = [_real(path_of(uri, None if uri.startswith("file:") else root)) for root in roots]
    allowed = [path for path in found if any(path.is_relative_to(root) for root in below)]
    if not allowed:
        raise BadPhoto("is said to lie outside the root")
    return next((path for path in allowed if not is_gone(path)), allowed[0])


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # a loop of links
        raise BadPhoto("lies behind links that have no end") from error
