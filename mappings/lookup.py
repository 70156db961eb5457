"""What ingest asks an index: what it holds of some photos, and which photos are below a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sorce.errors import SorceError
from sorce.mappings.values import Attribute, PhotoFile

Json = dict[str, Any]

ATTRIBUTES = "attributes."
KNOWN = ("recipe_hash", "bytes", "modified_at", "etag")
"""Fields of a document that decide whether its file must be read."""


@dataclass(frozen=True, slots=True)
class DocumentState:
    """One version of a document. A write names the version that was read, and is rejected if there is a later one.

    `elsewhere` is the index that the document lies in, if an alias has several and this is not the one for new photos.
    """

    seq_no: int
    primary_term: int
    elsewhere: str | None = None

    @classmethod
    def of(cls, hit: Mapping[str, Any], home: str) -> DocumentState:
        """`home` is the index for new photos, which bulk requests are sent to."""
        return cls(hit["_seq_no"], hit["_primary_term"], None if hit["_index"] == home else hit["_index"])

    @property
    def where(self) -> dict[str, str]:
        """The index for a line of a bulk request, if it is not the request's own: a cluster may forbid to name one."""
        return {} if self.elsewhere is None else {"_index": self.elsewhere}

    def to_action(self) -> dict[str, int | str]:
        """The version as parameters for a line of a bulk request."""
        return {**self.where, "if_seq_no": self.seq_no, "if_primary_term": self.primary_term}


@dataclass(frozen=True, slots=True)
class Stored:
    """What an index already holds of a photo. Dates among the attributes are text here, in the form the index accepts.

    `content_hash` is empty if the document has none; `recipe_hash` is None in a document of schema 1. `bytes`,
    `modified_at` and `etag` are those of the file when it was read.
    """

    version: DocumentState
    content_hash: str = ""
    recipe_hash: str | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    bytes: int | None = None
    modified_at: str | None = None
    etag: str | None = None

    @classmethod
    def of(cls, hit: Mapping[str, Any], home: str) -> Stored:
        """Read from a hit of `by_ids`. `home` is the index for new photos."""
        fields: Mapping[str, Sequence[Any]] = hit.get("fields", {})
        attributes = {name.removeprefix(ATTRIBUTES): fields[name][0] for name in fields if name.startswith(ATTRIBUTES)}
        known = {name: fields[name][0] for name in KNOWN if name in fields}
        return cls(DocumentState.of(hit, home), fields.get("content_hash", [""])[0], attributes=attributes, **known)

    def lacks(self, given: Mapping[str, Attribute]) -> bool:
        """Whether one of these attributes is missing or has another value."""
        return any(self.attributes.get(name) != value for name, value in as_stored(given).items())

    def is_of(self, file: PhotoFile) -> bool:
        """Whether the size, and the tag or the time of change, are those of this file."""
        if file.bytes != self.bytes:
            return False
        if file.etag is not None and self.etag is not None:
            return file.etag == self.etag
        return file.modified_at is not None and _as_stored(file.modified_at) == self.modified_at

    def knows(self, file: PhotoFile) -> bool:
        """Whether the index has the file's tag and time of change, so far as these are known."""
        changed = None if file.modified_at is None else _as_stored(file.modified_at)
        return file.etag in (None, self.etag) and changed in (None, self.modified_at)

    def with_attributes(self, given: Mapping[str, Attribute]) -> dict[str, Attribute]:
        """The attributes after a run that sets the given ones: all others stay."""
        return {**self.attributes, **as_stored(given)}


def by_ids(photo_ids: Sequence[str]) -> Json:
    """The search for what the index holds of these photos."""
    # With doc values: a get would read whole documents with all vectors, only to return two of their fields.
    return {
        # One more than there can be: a photo that lies in two indices must show.
        "size": len(photo_ids) + 1,
        "query": {"ids": {"values": list(photo_ids)}},
        "_source": False,
        "seq_no_primary_term": True,
        "docvalue_fields": ["content_hash", *KNOWN, f"{ATTRIBUTES}*"],
    }


def uris_below(prefix: str, *, relative: bool) -> Json:
    """The search for photos whose URI starts with `prefix`; `relative` leaves out `file:` URIs."""
    query: Json = {"filter": [{"prefix": {"uri": prefix}}]}
    if relative:
        query["must_not"] = [{"prefix": {"uri": "file:"}}]
    return chosen({"bool": query})


def chosen(query: Json) -> Json:
    """The search for the photos that a query names."""
    return {"query": query, "_source": False, "seq_no_primary_term": True, "docvalue_fields": ["uri"]}


def uri_of(hit: Mapping[str, Any]) -> str:
    """Read from a hit of `chosen`; the photo's id for a document without a URI."""
    return str(hit.get("fields", {}).get("uri", [hit["_id"]])[0])


def as_stored(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """Attributes as an index returns them: dates as text, in UTC. Raises SorceError for a date that UTC cannot name."""
    return {name: _as_stored(value) for name, value in attributes.items()}


def _as_stored(value: Attribute) -> Attribute:
    if not isinstance(value, datetime):
        return value
    # OpenSearch treats a date without a time zone as UTC, and stores milliseconds.
    try:
        exact = value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)
    except OverflowError as error:
        raise SorceError(f"the date {value} is in no year from 1 to 9999 in UTC; correct it.") from error
    return exact.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
