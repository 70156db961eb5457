"""The cluster settings that let ML Commons call the encoder.

OpenSearch stores the trusted endpoints as one list that can only be replaced as a whole. A client that reads the list,
appends and writes it can overwrite another client's change. So each installation first writes down what it adds (its
`Record`), and only then changes the list. Afterwards it reads both again, and repeats until the list contains what
every record says. The last one to write the list has seen all other records, so no installation's entry is lost. An
entry that an administrator adds by hand has no record: it is put back if it was seen once. It is lost only if it is
written between a read and the write directly after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opensearchpy import OpenSearch

from sorce.errors import PluginError
from sorce.plugin.cluster.endpoint import Endpoint, is_private
from sorce.plugin.cluster.record import INSTALLING, LEAVING, Record, records

TRUSTED = "plugins.ml_commons.trusted_connector_endpoints_regex"
PRIVATE = "plugins.ml_commons.connector.private_ip_enabled"

MAX_TRIES = 50


class AllowList:
    """The two settings of a cluster, changed for one installation. `own` names the pipelines that hold its record."""

    def __init__(self, client: OpenSearch, own: Sequence[str] = ()) -> None:
        self._client, self._own = client, own
        # Read the settings first: if another installation adds an entry, its record exists by then.
        self._read()
        self._first = records(client)
        self._seen: dict[str, None] = {}
        self._recorded: set[str] = set()

    @property
    def trusted(self) -> list[str]:
        """The patterns that are in effect."""
        return list(self._in_force(TRUSTED) or [])

    @property
    def calls_private(self) -> bool:
        """Whether the cluster may call private addresses."""
        return str(self._in_force(PRIVATE)).lower() == "true"

    def record(self, endpoint: Endpoint) -> Record:
        """The record of an installation that is about to trust the endpoint, whether or not it already has one."""
        known = self._first
        mine = next((known[name] for name in self._own if name in known), None)
        # If sorce is installed for another index, the settings have already changed.
        first = mine or next(iter(known.values()), None) or self._found()
        ours = {pattern for record in known.values() for pattern in record.added}
        added = set() if mine is None else set(mine.added)
        if endpoint.pattern in ours or endpoint.pattern not in self.trusted:
            added.add(endpoint.pattern)
        return Record(first.trusted, first.trusted_was_set, first.private, sorted(added), INSTALLING)

    def add(self, endpoint: Endpoint) -> None:
        """Allows the cluster to call the encoder, and nothing else that it could not call before.

        The installation's record must be written first.
        """
        self._settle(add=[endpoint.pattern])
        if endpoint.is_private and not self.calls_private:
            self._put(PRIVATE, True)

    def tidy(self, record: Record, addresses: Sequence[str]) -> list[str]:
        """Removes what the record added and nobody else needs. Returns the patterns that the record must still list.

        `addresses` are those that the cluster's connectors call.
        """
        idle = {pattern for pattern in record.added if not any(re.fullmatch(pattern, url) for url in addresses)}
        self._settle(drop=idle, before=record)
        installing = any(other.state == INSTALLING for other in self._others(records(self._client)).values())
        in_use = installing or any(_may_be_private(url) for url in addresses)
        if self._set(PRIVATE) != record.private and not in_use:
            self._put(PRIVATE, record.private)
        return sorted(set(record.added) - idle)

    def _settle(self, add: Iterable[str] = (), drop: Iterable[str] = (), before: Record | None = None) -> None:
        """Writes the list until it is correct. With `before`, a list that is as before any sorce is unset again."""
        for _ in range(MAX_TRIES):
            # Read the records first: an installation that finishes between the two reads has its entry in the list.
            known = records(self._client)
            self._read()
            wanted = self._wanted(known, add, drop)
            as_before = before is not None and not before.trusted_was_set and set(wanted) == set(before.trusted)
            if wanted == self.trusted and not (as_before and self._set(TRUSTED) is not None):
                return
            self._put(TRUSTED, None if as_before else wanted)
        raise PluginError(
            f"others keep changing the cluster's setting {TRUSTED}; run the same command again when they are done."
        )

    def _wanted(self, known: Mapping[str, Record], add: Iterable[str], drop: Iterable[str]) -> list[str]:
        self._recorded |= {pattern for record in known.values() for pattern in record.added}
        self._seen |= dict.fromkeys(self.trusted)
        by_hand = [pattern for pattern in self._seen if pattern not in self._recorded]
        others = self._others(known)
        # Entries of older installations are in the list, unless an administrator has removed them.
        new = (it for name, it in others.items() if it.state == INSTALLING or self._first.get(name) != it)
        needed = {pattern for record in others.values() for pattern in record.added}
        left = [pattern for pattern in self.trusted if pattern not in set(drop) - needed]
        missing = [*by_hand, *(pattern for record in new for pattern in record.added), *add]
        return list(dict.fromkeys([*left, *missing]))

    def _others(self, known: Mapping[str, Record]) -> dict[str, Record]:
        return {name: it for name, it in known.items() if name not in self._own and it.state != LEAVING}

    def _found(self) -> Record:
        return Record(self.trusted, self._set(TRUSTED) is not None, self._set(PRIVATE))

    def _in_force(self, name: str) -> Any:
        levels = (self._given[level] for level in ("transient", "persistent", "defaults"))
        return next((level[name] for level in levels if name in level), None)

    def _set(self, name: str) -> Any:
        return self._given[self._level(name)].get(name)

    def _level(self, name: str) -> str:
        # Transient settings override persistent ones.
        return "transient" if name in self._given["transient"] else "persistent"

    def _put(self, name: str, value: Any) -> None:
        self._client.cluster.put_settings(body={self._level(name): {name: value}})
        self._read()

    def _read(self) -> None:
        params = {"include_defaults": "true", "flat_settings": "true"}
        self._given: dict[str, dict[str, Any]] = self._client.cluster.get_settings(params=params)


def _may_be_private(url: str) -> bool:
    try:
        return is_private(url)
    except PluginError:
        return True
