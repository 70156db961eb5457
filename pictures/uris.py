"""Where a photo of an index is, on this machine or in a store, and its bytes if it may be opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from sorce.errors import BadPhoto, SorceError
from sorce.mappings import Rejected
from sorce.pictures.archives import TAR, MemberUri
from sorce.pictures.files import absolute_path, is_folder, is_gone, read
from sorce.pictures.remote import canonical_uri, is_remote, look_at_member, named_source, read_member
from sorce.pictures.stores import FileState, StorePrefix, content, look_at_store, store_prefix

Root = Path | StorePrefix
"""A folder, or a prefix of a store, below which photos may be opened."""


def parse_root(text: str) -> Root:
    """The folder, or the prefix such as `s3://bucket/photos`, that a user named. Raises SorceError."""
    if is_remote(text):
        return store_prefix(text)
    folder = absolute_path(text)
    if not is_folder(folder):
        raise SorceError(f"'{text}' is no folder; name one, or a prefix such as s3://bucket/photos.")
    return folder


def as_root(given: str | Root) -> Root:
    """What a program named: a text as `parse_root` reads it, anything else as it is. Raises SorceError."""
    return parse_root(given) if isinstance(given, str) else given


def content_of(uri: str, root: Root | None) -> bytes:
    """The bytes of a photo on this machine (`path_of`), or in a store below the root. Raises BadPhoto."""
    if is_remote(uri):
        return content_below(uri, [] if root is None else [root])
    if isinstance(root, StorePrefix):
        raise BadPhoto("is said to lie outside the root")
    return read(path_of(uri, root))


def content_named(path: str) -> bytes:
    """The bytes of a photo that a user names, by its path or by its URI, as of a hit. Raises BadPhoto."""
    if path.startswith("file://"):
        return read(path_of(path, None))
    if not is_remote(path):
        return read(Path(path))
    named = named_source(path)
    if isinstance(named, Rejected):
        raise BadPhoto(named.reason)
    return named.read()


def content_below(uri: str, roots: Sequence[Root]) -> bytes:
    """The bytes of a photo below one of the roots (`path_below`). Raises BadPhoto if it is below none."""
    if not is_remote(uri):
        return read(path_below(uri, folders(roots)))
    allowed = _remote_below(uri, roots)
    # A server may not send on to another address: that could be one inside the network.
    return read_member(allowed) if isinstance(allowed, MemberUri) else content(allowed, follow=False)


def look_below(uri: str, roots: Sequence[Root]) -> FileState:
    """What a store says now of a photo below one of the roots. Raises BadPhoto."""
    allowed = _remote_below(uri, roots)
    return look_at_member(allowed) if isinstance(allowed, MemberUri) else look_at_store(allowed)


def folders(roots: Sequence[Root]) -> list[Path]:
    """The roots on this machine."""
    return [root for root in roots if isinstance(root, Path)]


def _remote_below(uri: str, roots: Sequence[Root]) -> str | MemberUri:
    try:
        known = canonical_uri(uri)
    except SorceError as error:
        raise BadPhoto("has no URI that can be read") from error
    member = MemberUri.of(known) if known.startswith(TAR) else None
    if member is not None and member.is_local:
        path = path_below(Path(member.archive).as_uri(), folders(roots))
        return MemberUri(member.member, str(path))
    where = known if member is None else member.archive
    if not any(isinstance(root, StorePrefix) and root.holds(where) for root in roots):
        raise BadPhoto("lies in a store, below no root that is named")
    return member or known


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
