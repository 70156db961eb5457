"""The document changes that a run makes, as lines of a bulk request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import orjson

from sorce.mappings import Attribute
from sorce.mappings.lookup import DocumentState
from sorce.mappings.update import merge

TRIES = 10
"""How often OpenSearch itself repeats an update that conflicts with another update."""

Counted = Literal["new", "changed", "unchanged", "pruned"]
"""How the report counts a photo."""


@dataclass(frozen=True, slots=True)
class Write:
    """A pending change of one document. Each subclass says what to send first, and what to send after a conflict.

    `name` is shown to the user, `photo_id` is the document's id, `counted` is how the report counts the photo when it
    is done. `version` is the document state that was read; None if there was no document.
    """

    name: str
    photo_id: str
    counted: Counted
    version: DocumentState | None

    @property
    def regions(self) -> int:
        """How many regions it writes."""
        return 0

    @property
    def size(self) -> int:
        """Approximate size in bytes."""
        return 100

    @property
    def elsewhere(self) -> str | None:
        """The index that the document lies in, if it is not the run's index for new photos."""
        return None if self.version is None else self.version.elsewhere

    @property
    def lines(self) -> bytes:
        """Lines of a bulk request that is refused (409) unless the document is in the state that was read."""
        raise NotImplementedError

    @property
    def lines_after_conflict(self) -> bytes | None:
        """Lines that make the same change to a document in any state; None if it must then be left alone."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class WriteDocument(Write):
    """A whole document, as JSON. `attributes` are those that this run sets."""

    document: bytes
    region_count: int
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    @property
    def regions(self) -> int:
        return self.region_count

    @property
    def size(self) -> int:
        return len(self.document)

    @property
    def lines(self) -> bytes:
        if self.version is None:
            return _lines({"create": {"_id": self.photo_id}}, self.document)
        return _lines({"index": {"_id": self.photo_id, **self.version.to_action()}}, self.document)

    @property
    def lines_after_conflict(self) -> bytes:
        body = orjson.dumps(merge(orjson.Fragment(self.document), self.attributes))
        return _lines(_update(self), body)


@dataclass(frozen=True, slots=True)
class WriteFields(Write):
    """An update by a script, as JSON: sets attributes, and fields that older documents lack."""

    update: bytes

    @property
    def size(self) -> int:
        return len(self.update)

    @property
    def lines(self) -> bytes:
        if self.version is None:
            return self.lines_after_conflict
        return _lines({"update": {"_id": self.photo_id, **self.version.to_action()}}, self.update)

    @property
    def lines_after_conflict(self) -> bytes:
        return _lines(_update(self), self.update)


@dataclass(frozen=True, slots=True)
class Deletion(Write):
    """Deletes a document unless it has changed."""

    @property
    def lines(self) -> bytes:
        assert self.version is not None
        return orjson.dumps({"delete": {"_id": self.photo_id, **self.version.to_action()}}) + b"\n"

    @property
    def lines_after_conflict(self) -> None:
        return None


def document_json(document: Mapping[str, object]) -> bytes:
    """A document as JSON. Vectors are numpy arrays, and each number keeps its precision."""
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def _update(write: Write) -> dict[str, object]:
    where = {} if write.version is None else write.version.where
    return {"update": {**where, "_id": write.photo_id, "retry_on_conflict": TRIES}}


def _lines(action: Mapping[str, object], body: bytes) -> bytes:
    return b"%s\n%s\n" % (orjson.dumps(action), body)
