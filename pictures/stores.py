"""Photos in object stores and on web servers, through fsspec: their URIs, what is known of them, and their bytes."""

from __future__ import annotations

import logging
import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from sorce.errors import BadPhoto, SorceError
from sorce.pictures.limits import MAX_BYTES

WEB = ("http", "https")
SCHEMES = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "az", "abfss": "az"}
SCHEMES |= {scheme: scheme for scheme in WEB}
"""The schemes of stores, each with the one that photos are named by."""

EXTRAS = {"s3": "cloud", "gs": "gcs", "az": "azure", "http": "cloud", "https": "cloud"}
"""The extra of sorce to install for each scheme."""

SIGNATURES = re.compile(r"(X-Amz-.*|X-Goog-.*|Signature|Expires|sig|se|sp|sv|sr|st)")
"""Parameters of a signed address (S3, Google, CloudFront, Azure): they change, and the photo stays the same."""

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)


class PhotoGone(BadPhoto):
    """Nothing is there."""


@dataclass(frozen=True, slots=True)
class FileState:
    """What a store or a disk says of a file without reading it: its bytes, when it was changed, and its tag."""

    size: int | None = None
    modified_at: datetime | None = None
    etag: str | None = None


def scheme_of(path: str) -> str | None:
    """The scheme of a store that photos are named by; None for a path, or for another URI."""
    found = _SCHEME.match(path)
    return None if found is None else SCHEMES.get(found[1].lower())


def canonical(uri: str) -> str:
    """The URI by which a photo in a store is known: without the parameters of a signature. Raises SorceError."""
    scheme = scheme_of(uri)
    rest = uri.partition("://")[2]
    if scheme is None or not rest.strip("/") or "\0" in unquote(uri):
        raise SorceError(f"'{uri}' names no photo in a store; write it like s3://bucket/folder/photo.jpg.")
    if scheme not in WEB:
        return f"{scheme}://{rest}"
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        raise SorceError(f"'{uri}' is no web address; write it like https://host/photo.jpg.") from error
    if parts.username is not None or parts.hostname is None:
        raise SorceError("a web address of a photo may hold no user or password, which the index would show to all.")
    place = host_and_port(scheme, parts.hostname, port)
    kept = [each for each in parts.query.split("&") if each and not SIGNATURES.fullmatch(each.partition("=")[0])]
    return urlunsplit((scheme, place, parts.path, "&".join(kept), ""))


def host_and_port(scheme: str, host: str, port: int | None) -> str:
    """As in an address of http or https: without the scheme's usual port."""
    place = f"[{host}]" if ":" in host else host
    return place if port in (None, {"http": 80, "https": 443}[scheme]) else f"{place}:{port}"


@dataclass(frozen=True, slots=True)
class StorePrefix:
    """A place in a store, below which photos may be opened. Make it with `store_prefix`."""

    uri: str

    def holds(self, uri: str) -> bool:
        """Whether a canonical URI is below it. No segment may be `..`, written in whatever way."""
        path = unquote(unquote(uri.partition("?")[0]))
        return uri.startswith(f"{self.uri.rstrip('/')}/") and not {"..", "."} & set(re.split(r"[/\\]", path))

    def __str__(self) -> str:
        return self.uri


def store_prefix(text: str) -> StorePrefix:
    """The prefix that a user named, such as `s3://bucket/photos`. Raises SorceError."""
    return StorePrefix(canonical(text).partition("?")[0])


@cache
def filesystem(scheme: str) -> Any:
    """The fsspec file system of a scheme; endpoint and keys come from the environment. Raises SorceError."""
    # A listing that is remembered would hide what others have written since.
    fresh = {} if scheme in WEB else {"use_listings_cache": False}
    for library in STORE_LIBRARIES:
        # Otherwise Python prints their warnings and tracebacks; what matters is raised, too.
        logging.getLogger(library).addHandler(logging.NullHandler())
    # For zonal buckets gcsfs asks for the kind of the bucket at each call, which a user who may only read may not ask.
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    try:
        import fsspec

        return fsspec.filesystem(scheme, skip_instance_cache=True, **fresh)
    except ImportError as error:
        raise SorceError(
            f"{scheme}:// needs packages that are not installed: pip install 'sorce[{EXTRAS[scheme]}]'."
        ) from error
    except Exception as error:
        # Of whatever class: the store's library misses an address or a key.
        raise SorceError(
            f"{scheme}:// cannot be used ({_said(error)}); set its address and keys in the environment."
        ) from error


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turns a store's error into a BadPhoto of a few words."""
    try:
        yield
    except BadPhoto:
        raise
    except FileNotFoundError as error:
        raise PhotoGone("is not there") from error
    except PermissionError as error:
        raise BadPhoto("may not be read, says its store") from error
    except Exception as error:
        # Each store's library has errors of its own, and few are OSErrors.
        if type(error).__module__.partition(".")[0] not in STORE_LIBRARIES and not isinstance(error, OSError):
            raise
        raise BadPhoto(f"cannot be read from its store ({_said(error).replace(what, '...')})") from error


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200].rstrip(".!") or type(error).__name__


STORE_LIBRARIES = frozenset(
    {"adlfs", "aiobotocore", "aiohttp", "azure", "botocore", "fsspec", "gcsfs", "google", "s3fs"}
)


def content(uri: str, size: int | None = None, *, follow: bool = True) -> bytes:
    """The bytes of a photo in a store. `follow` says whether a web server may send on to another address.

    Raises BadPhoto.
    """
    scheme = scheme_of(uri)
    assert scheme is not None, uri
    if size is not None and size > MAX_BYTES:
        raise BadPhoto(f"is larger than {MAX_BYTES >> 20} MB")
    store = filesystem(scheme)
    with reading(uri):
        if scheme in WEB:
            return _of_the_web(store, uri, follow)
        # A range, so that an object that has grown does not fill the memory.
        found = bytes(store.cat_file(uri, start=0, end=MAX_BYTES + 1) if size is None else store.cat_file(uri))
    if len(found) > MAX_BYTES:
        raise BadPhoto(f"is larger than {MAX_BYTES >> 20} MB")
    return found


def _of_the_web(store: Any, uri: str, follow: bool) -> bytes:
    from fsspec.asyn import sync

    async def get() -> bytes:
        session = await store.set_session()
        async with session.get(store.encode_url(uri), allow_redirects=follow) as answer:
            if answer.status == 404:
                raise FileNotFoundError(uri)
            if answer.status >= 300:
                raise BadPhoto(f"cannot be read from its server (it answers {answer.status})")
            found = bytearray()
            async for some in answer.content.iter_chunked(1 << 20):
                found += some
                if len(found) > MAX_BYTES:
                    raise BadPhoto(f"is larger than {MAX_BYTES >> 20} MB")
            return bytes(found)

    return bytes(sync(store.loop, get))


def look_at_store(uri: str) -> FileState:
    """What the store says of a photo. Raises BadPhoto; PhotoGone only if its bucket is there."""
    scheme = scheme_of(uri)
    assert scheme is not None, uri
    store = filesystem(scheme)
    try:
        with reading(uri):
            return state_of(store.info(uri))
    except PhotoGone as error:
        # A store that lacks the bucket is another one, or not set up: as a disk that is not mounted.
        if scheme not in WEB and not _is_there(store, canonical(uri).partition("://")[2].partition("/")[0]):
            raise BadPhoto("lies in a bucket that is not there") from error
        raise


def _is_there(store: Any, bucket: str) -> bool:
    """Also true if this user may not look."""
    try:
        with reading(bucket):
            store.info(bucket)
    except PhotoGone:
        return False
    except BadPhoto:
        return True
    return True


def state_of(info: Mapping[str, Any]) -> FileState:
    """From what fsspec knows of an object: each store has its own names."""
    etag = info.get("ETag") or info.get("etag")
    changed = next((info[name] for name in TIMES if info.get(name)), None)
    size = info.get("size")
    return FileState(
        size if isinstance(size, int) else None,
        _as_time(changed),
        None if etag is None else str(etag).removeprefix("W/").strip('"'),
    )


TIMES = ("LastModified", "last_modified", "Last-Modified", "updated", "mtime")


def _as_time(given: object) -> datetime | None:
    try:
        if isinstance(given, str):
            given = parsedate_to_datetime(given) if "," in given else datetime.fromisoformat(given)
        elif isinstance(given, int | float):
            given = datetime.fromtimestamp(given, UTC)
    except (ValueError, OverflowError):
        return None
    return given.replace(tzinfo=given.tzinfo or UTC) if isinstance(given, datetime) else None


def objects(prefix: str) -> Iterator[tuple[str, FileState]]:
    """The URI and state of each object below a prefix, or of the object of that name; folder by folder.

    The listing of one folder is in memory at a time. Raises SorceError.
    """
    scheme = scheme_of(prefix)
    assert scheme is not None, prefix
    if scheme in WEB:
        # A web server has no listing.
        yield prefix, look_at_store(prefix)
        return
    store = filesystem(scheme)
    try:
        with reading(prefix):
            info = store.info(prefix)
            if info["type"] == "file" and not prefix.endswith("/"):
                yield prefix, state_of(info)
                return
            yield from _below(store, scheme, str(info["name"]))
    except BadPhoto as error:
        raise SorceError(f"'{prefix}' {error}; check its name, and the keys in the environment.") from error


def _below(store: Any, scheme: str, folder: str) -> Iterator[tuple[str, FileState]]:
    for entry in sorted(store.ls(folder, detail=True), key=lambda each: str(each["name"])):
        name = str(entry["name"])
        if entry["type"] == "directory":
            unnamed = name.rstrip("/") == folder.rstrip("/")
            yield from _below_unnamed(store, scheme, folder) if unnamed else _below(store, scheme, name)
        # A store's console makes an empty object for the folder itself.
        elif name.rstrip("/") != folder.rstrip("/"):
            yield f"{scheme}://{name}", state_of(entry)


def _below_unnamed(store: Any, scheme: str, folder: str) -> Iterator[tuple[str, FileState]]:
    """The objects below a folder without a name, as in `a//b.jpg`. fsspec lists it as the folder above."""
    found: Mapping[str, Mapping[str, Any]] = store.find(folder, detail=True)
    for name, entry in sorted(found.items()):
        if name.startswith(f"{folder.rstrip('/')}//"):
            yield f"{scheme}://{name}", state_of(entry)


def folder_and_name(uri: str) -> tuple[str, str]:
    """The folder and the file name of a photo in a store, as a person types them."""
    place, _, query = uri.partition("?")
    folder, name = posixpath.split(unquote(place) if scheme_of(uri) in WEB else place)
    return folder, f"{name}?{query}" if query else name
