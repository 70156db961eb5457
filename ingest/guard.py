"""Makes sure that a run writes only to the index that it looked up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
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
    """A few actions at the start of each bulk request. They change nothing; their answers tell where it went.

    For each index that the request writes to: an update with `require_alias` fails, since the name is no alias. It also
    stops OpenSearch from creating a missing index for this request. A deletion with a state that no document has fails
    with the UUID of the index. It is resolved with the same cluster state as the whole request. If the run was given an
    alias, another such deletion tells which index the alias writes to. No right is needed beyond the right to write.

    `name` and `uuid` are those of the index for new photos, and `others` are the UUIDs of the alias's other indices.
    """

    asked: str
    name: str
    uuid: str
    others: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, found: FoundIndex) -> Guard:
        return cls(found.asked, found.name, found.uuid, {each.name: each.uuid for each in found.others})

    def of_request(self, indices: Set[str | None]) -> Guard:
        """The guard of a request that writes to these other indices, too."""
        return replace(self, others={name: uuid for name, uuid in self.others.items() if name in indices})

    @property
    def lines(self) -> bytes:
        actions: list[Any] = []
        # The request itself goes to the first one.
        for where in ({}, *({"_index": name} for name in self.others)):
            actions += [{"update": {**where, "_id": NOBODY, "require_alias": True}}, {"doc": {}}]
            actions.append({"delete": {**where, "_id": NOBODY, **NEVER}})
        if self.asked != self.name:
            actions.append({"delete": {"_index": self.asked, "_id": NOBODY, **NEVER}})
        return b"".join(orjson.dumps(action) + b"\n" for action in actions)

    @property
    def actions(self) -> int:
        return 2 * (1 + len(self.others)) + (self.asked != self.name)

    def undecided(self, items: Sequence[Item]) -> Item | None:
        """The answer, if any, that does not say which index it is from: the cluster was busy, or refused the user."""
        return next((item for item, _ in self._probes(items) if item["error"]["type"] not in DECISIVE), None)

    def is_elsewhere(self, items: Sequence[Item]) -> bool:
        """Whether the request went to another index, or to none."""
        return any(item["error"].get("index_uuid") != uuid for item, uuid in self._probes(items))

    def replaced(self, taken_back: int, overwritten: int) -> IndexReplaced:
        """The error to raise then. What the last request wrote may have been removed again."""
        what = f"index '{self.name}'" if self.asked == self.name else f"alias '{self.asked}' or its index '{self.name}'"
        said = f"{what} was deleted, made again or moved while this run wrote to it; the run has stopped"
        if taken_back:
            said += f", and has taken back the {taken_back:,} documents of its last request"
        if overwritten:
            said += f"; {overwritten:,} documents were changed"
        return IndexReplaced(f"{said}: see what '{self.asked}' is now, and run the same command again.")

    def _probes(self, items: Sequence[Item]) -> Iterator[tuple[Item, str]]:
        """The answer of each deletion, and the UUID that it must name."""
        for number, uuid in enumerate((self.uuid, *self.others.values())):
            yield next(iter(items[2 * number + 1].values())), uuid
        if self.asked != self.name:
            yield next(iter(items[self.actions - 1].values())), self.uuid
