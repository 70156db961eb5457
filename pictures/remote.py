"""Photos in stores and archives as sources of an ingest, and the bytes of one for viewing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

from sorce.errors import SorceError
from sorce.mappings import Attribute, Rejected
from sorce.pictures.archives import (
    TAR,
    MemberUri,
    archive_state,
    find_member,
    member_content,
    member_state,
    members,
)
from sorce.pictures.loading import SUFFIXES
from sorce.pictures.names import composed, matches
from sorce.pictures.source import Source
from sorce.pictures.stores import (
    WEB,
    FileState,
    canonical,
    content,
    folder_and_name,
    look_at_store,
    objects,
    scheme_of,
)

UNKNOWN = FileState()


def is_remote(path: str) -> bool:
    """Whether it names a photo, or several, by a URI of a store or an archive."""
    return path.lower().startswith(TAR) or scheme_of(path) is not None


def canonical_uri(uri: str) -> str:
    """The URI by which the index knows a photo of a store or an archive. Raises SorceError."""
    if uri.lower().startswith(TAR):
        member = MemberUri.of(uri)
        return member.uri(member.member)
    return canonical(uri)


def named_source(uri: str, attributes: Mapping[str, Attribute] | None = None) -> Source | Rejected:
    """The photo of a URI, as a list gives it: its store is asked when the photo's turn comes."""
    try:
        known = canonical_uri(uri)
        if uri.lower().startswith(TAR):
            found = MemberUri.of(uri)
            read, look = partial(read_member, found), partial(look_at_member, found)
            return _source(known, read, look=look, attributes=attributes)
        return _source(known, partial(content, uri), look=partial(look_at_store, uri), attributes=attributes)
    except SorceError as error:
        return Rejected(uri, f"has no URI that is understood: {error}")


def read_member(uri: MemberUri) -> bytes:
    """The bytes of the member of an archive. Raises BadPhoto."""
    return member_content(uri, find_member(uri))


def look_at_member(uri: MemberUri) -> FileState:
    """What is known of a member without its bytes. Raises BadPhoto."""
    return member_state(find_member(uri), archive_state(uri))


@dataclass(frozen=True, slots=True)
class StorePhotos:
    """The photos below a prefix of a store, or in an archive; or the one photo of that name.

    A photo that is named is always tried. Others count if their name ends like a picture's, and no `ignore` pattern
    matches.
    """

    uri: str
    ignore: Sequence[str] = ()

    def __iter__(self) -> Iterator[Source | Rejected]:
        """Raises SorceError if the store or the archive cannot be read."""
        return (source for source in self._all() if source is not None)

    def count(self) -> tuple[int, int]:
        """How many photos there are, and how many other objects. Raises SorceError."""
        photos = others = 0
        for source in self._all():
            photos += source is not None
            others += source is None
        return photos, others

    def _all(self) -> Iterator[Source | Rejected | None]:
        return self._of_archive() if self.uri.lower().startswith(TAR) else self._of_store()

    def _of_store(self) -> Iterator[Source | Rejected | None]:
        prefix = canonical(self.uri)
        for uri, state in objects(self.uri if scheme_of(self.uri) in WEB else prefix):
            if uri != prefix and uri != self.uri and not self._wants(uri):
                yield None
                continue
            yield _source(canonical(uri), partial(content, uri, state.size), state)

    def _of_archive(self) -> Iterator[Source | Rejected | None]:
        named = MemberUri.of(self.uri)
        archive = archive_state(named)
        for member in members(named):
            if member.name != named.member and not self._wants(member.name):
                yield None
                continue
            uri = named.uri(member.name)
            yield _source(uri, partial(member_content, named, member), member_state(member, archive))

    def _wants(self, name: str) -> bool:
        path = PurePosixPath(name)
        return path.suffix.lower() in SUFFIXES and not matches(path, self.ignore)


def _source(
    uri: str,
    read: Callable[[], bytes],
    state: FileState = UNKNOWN,
    look: Callable[[], FileState] | None = None,
    attributes: Mapping[str, Attribute] | None = None,
) -> Source | Rejected:
    try:
        uri.encode()
    except UnicodeEncodeError:
        # As in an archive whose names are Latin-1.
        return Rejected(uri.encode(errors="backslashreplace").decode(), "has a name that is not UTF-8; rename it")
    folder, file_name = MemberUri.of(uri).folder_and_name() if uri.startswith(TAR) else folder_and_name(uri)
    return Source(
        uri,
        composed(folder),
        composed(file_name),
        uri,
        read,
        modified_at=state.modified_at,
        etag=state.etag,
        size=state.size,
        look=look,
        attributes=attributes or {},
    )
