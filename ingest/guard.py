"""Makes sure that a run writes only to the index that it looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from sorce.errors import ClusterError
from sorce.mappings.found import FoundIndex

NOBODY = "sorce-guard"
"""An id that no document has."""

NEVER = {"if_seq_no": 2**62, "if_primary_term": 1}
"""A state that no document ever has: an action that names it is refused."""

DECISIVE = ("version_conflict_engine_exception", "index_not_found_exception", "illegal_argument_exception")
"""The errors that tell where a request went. The last one is for an alias of several indices."""

Item = Mapping[str, Any]


class IndexReplaced(ClusterError):
    """The name now stands for another index than at the start of the run."""


@dataclass(frozen=True)
class Guard:
    """Two or three actions at the start of each bulk request. They change nothing; their answers tell where it went.

    An update with `require_alias` fails, since the name is no alias. It also stops OpenSearch from creating a missing
    index for this request. A deletion with a state that no document has fails with the UUID of the index. It is
    resolved with the same cluster state as the whole request. If the run was given an alias, a second such deletion
    tells which index the alias names. No right is needed beyond the right to write.
    """

    asked: str
    name: str
    uuid: str

    @classmethod
    def of(cls, found: FoundIndex) -> Guard:
        return cls(found.asked, found.name, found.uuid)

    @property
    def lines(self) -> bytes:
        actions: list[Any] = [{"update": {"_id": NOBODY, "require_alias": True}}, {"doc": {}}]
        actions.append({"delete": {"_id": NOBODY, **NEVER}})
        if self.asked != self.name:
            actions.append({"delete": {"_index": self.asked, "_id": NOBODY, **NEVER}})
        return b"".join(orjson.dumps(action) + b"\n" for action in actions)

    @property
    def actions(self) -> int:
        return 2 if self.asked == self.name else 3

    def undecided(self, items: Sequence[Item]) -> Item | None:
        """The answer, if any, that does not say which index it is from: the cluster was busy, or refused the user."""
        return next((item for item in self._probes(items) if item["error"]["type"] not in DECISIVE), None)

    def is_elsewhere(self, items: Sequence[Item]) -> bool:
        """Whether the request went to another index, or to none."""
        return any(item["error"].get("index_uuid") != self.uuid for item in self._probes(items))

    def replaced(self, taken_back: int, overwritten: int) -> IndexReplaced:
        """The error to raise then. Some documents may have been written to the other index and removed again."""
        what = f"index '{self.name}'" if self.asked == self.name else f"alias '{self.asked}' or its index '{self.name}'"
        said = f"{what} was deleted, made again or moved while this run wrote to it; the run has stopped"
        if taken_back:
            said += f", and has taken back {taken_back:,} documents that went to the other index"
        if overwritten:
            said += f"; {overwritten:,} documents of the other index were changed"
        return IndexReplaced(f"{said}: see what '{self.asked}' is now, and run the same command again.")

    def _probes(self, items: Sequence[Item]) -> list[Item]:
        return [next(iter(item.values())) for item in items[1 : self.actions]]
