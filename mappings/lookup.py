"""What ingest asks of an index: what it holds of some photos, and which photos lie below a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sorce.mappings.values import Attribute

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stored:
    """What an index already holds of a photo. A date among the attributes is text here, as the index takes it again."""

    content_hash: str
    attributes: Mapping[str, Attribute]

    @classmethod
    def of(cls, hit: Mapping[str, Any]) -> Stored:
        """Read from a hit of `by_ids`."""
        prefix, fields = "attributes.", hit["fields"]
        attributes = {key.removeprefix(prefix): values[0] for key, values in fields.items() if key.startswith(prefix)}
        return cls(fields["content_hash"][0], attributes)

    def with_attributes(self, given: Mapping[str, Attribute]) -> dict[str, Attribute]:
        """The attributes after a run that sets the given ones: what it does not name stays."""
        return {**self.attributes, **{key: _as_stored(value) for key, value in given.items()}}


def by_ids(photo_ids: Sequence[str]) -> Json:
    """The search for what is held of these photos."""
    # By doc values: a get would read whole documents, vectors and all, to answer with two of their fields.
    return {
        "size": len(photo_ids),
        "query": {"ids": {"values": list(photo_ids)}},
        "_source": False,
        "docvalue_fields": ["content_hash", "attributes.*"],
    }


def uris_below(prefix: str, *, relative: bool) -> Json:
    """The search for photos whose URI begins so; `relative` leaves out those that say `file:`."""
    query: Json = {"filter": [{"prefix": {"uri": prefix}}]}
    if relative:
        query["must_not"] = [{"prefix": {"uri": "file:"}}]
    return {"query": {"bool": query}, "_source": False, "docvalue_fields": ["uri"]}


def uri_of(hit: Mapping[str, Any]) -> str:
    """Read from a hit of `uris_below`."""
    return str(hit["fields"]["uri"][0])


def _as_stored(value: Attribute) -> Attribute:
    if not isinstance(value, datetime):
        return value
    # OpenSearch takes a date without a zone as UTC, and counts in milliseconds.
    exact = value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)
    return exact.strftime("%Y-%m-%dT%H:%M:%S.") + f"{exact.microsecond // 1000:03}Z"
