"""Photos in tar archives without compression, on a disk or in a store: `tar://MEMBER::ARCHIVE`."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from typing import BinaryIO, cast

from sorce.errors import BadPhoto, SorceError
from sorce.pictures.limits import MAX_BYTES
from sorce.pictures.stores import FileState, canonical, filesystem, look_at_store, reading, scheme_of

TAR = "tar://"
BLOCK = 1 << 16
"""Bytes that one request for a header reads."""
_CHAIN = re.compile(r"tar://(?P<member>.*)::(?P<archive>(?:[a-z0-9]+://|/).*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class MemberUri:
    """A member of an archive, or a pattern of members. `archive` is a store's URI or an absolute path."""

    member: str
    archive: str

    @classmethod
    def of(cls, uri: str) -> MemberUri:
        """Raises SorceError for what is not written like `tar://MEMBER::ARCHIVE`."""
        parts = _CHAIN.fullmatch(uri)
        if parts is None:
            raise SorceError(
                f"'{uri}' names no member of an archive; write it like tar://*.jpg::s3://bucket/x.tar, or with the "
                "whole path of an archive on this machine: tar://*.jpg::/data/x.tar."
            )
        archive = parts["archive"].removeprefix("file://")
        if archive.startswith("/"):
            return cls(parts["member"], archive)
        if scheme_of(archive) is None:
            raise SorceError(
                f"'{archive}' is in no store that sorce reads; name an archive of s3://, gs://, az:// or http."
            )
        return cls(parts["member"], canonical(archive))

    @property
    def is_local(self) -> bool:
        return self.archive.startswith("/")

    def uri(self, member: str) -> str:
        """The URI of one member, as it is known in an index."""
        return f"{TAR}{member}::{self._place}"

    def folder_and_name(self) -> tuple[str, str]:
        """The folder and the file name of the member, as a person types them: the archive is a folder, too."""
        *folders, name = self.member.split("/")
        # Many archives begin each name with `./`.
        return "/".join([self._place, *(each for each in folders if each not in ("", "."))]), name

    @property
    def _place(self) -> str:
        return f"file://{self.archive}" if self.is_local else self.archive


def members(uri: MemberUri) -> Iterator[tarfile.TarInfo]:
    """The files of an archive that match the URI's pattern, in their order. Raises SorceError."""
    pattern = uri.member or "*"
    try:
        with _errors(uri), _stream(uri) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                if member.isreg() and (member.name == uri.member or fnmatch(member.name, pattern)):
                    yield member
                # Otherwise tarfile keeps all of them.
                archive.members = []  # type: ignore[attr-defined]
    except BadPhoto as error:
        raise SorceError(f"the archive '{uri.archive}' {error}.") from error


def member_content(uri: MemberUri, member: tarfile.TarInfo) -> bytes:
    """The bytes of a member: one range of the archive. Raises BadPhoto."""
    if member.size > MAX_BYTES:
        raise BadPhoto(f"is larger than {MAX_BYTES >> 20} MB")
    start, end = member.offset_data, member.offset_data + member.size
    with _errors(uri):
        if uri.is_local:
            with open(uri.archive, "rb") as stream:  # noqa: PTH123
                stream.seek(start)
                found = stream.read(member.size)
        else:
            found = filesystem(str(scheme_of(uri.archive))).cat_file(uri.archive, start=start, end=end)
    if len(found) != member.size:
        raise BadPhoto("is in an archive that is cut short, or whose server gives no ranges of a file")
    return bytes(found)


def find_member(uri: MemberUri) -> tarfile.TarInfo:
    """The one member of this name. Raises BadPhoto."""
    try:
        found = next((member for member in members(uri) if member.name == uri.member), None)
    except SorceError as error:
        raise BadPhoto(f"cannot be read ({str(error).rstrip('.')})") from error
    if found is None:
        raise BadPhoto("is not in its archive")
    return found


def archive_state(uri: MemberUri) -> FileState:
    """What the store says of the archive: its tag stands for all members. Nothing for an archive on a disk."""
    with suppress(BadPhoto):
        return FileState() if uri.is_local else look_at_store(uri.archive)
    return FileState()


def member_state(member: tarfile.TarInfo, archive: FileState) -> FileState:
    """A member has no tag of its own: where its archive has one, that is it."""
    with suppress(ValueError, OverflowError):
        return FileState(member.size, datetime.fromtimestamp(member.mtime, UTC), archive.etag)
    return FileState(member.size, None, archive.etag)


def _stream(uri: MemberUri) -> BinaryIO:
    if uri.is_local:
        return open(uri.archive, "rb")  # noqa: PTH123
    store = filesystem(str(scheme_of(uri.archive)))
    # Between two headers lies a photo: a larger block would read photos that nobody asked for.
    return cast(BinaryIO, store.open(uri.archive, "rb", block_size=BLOCK))


@contextmanager
def _errors(uri: MemberUri) -> Iterator[None]:
    try:
        with reading(uri.archive):
            yield
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise BadPhoto(f"is no tar archive that can be read ({error}); a compressed one must be unpacked") from error
