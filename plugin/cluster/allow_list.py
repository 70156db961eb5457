"""The cluster settings that let ML Commons call the encoder.

OpenSearch stores the trusted endpoints as one list that can only be replaced as a whole. So a client that reads the
list, changes it and writes it can undo what another client wrote in between. Each installation therefore has a `Record`
of its entries. It writes the record before it adds an entry, and deletes the record after it has removed the entry.
After each write, a client reads the records and the list again, and repeats until the list is right. So the last one
that writes has seen every change:

| between my read and my write, the other ... | my write | what I read then, and mend |
|---|---|---|
| installs | removes its entry | its record is new: I put its entry back |
| uninstalls | puts its entry back | its record is gone or says that it leaves: I remove its entry |

An entry without a record was added by an administrator. It is put back if it was seen once. It is lost only if it is
written between a read and the write directly after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opensearchpy import OpenSearch

from sorce.errors import PluginError
from sorce.plugin.cluster.endpoint import Endpoint, is_private
from sorce.plugin.cluster.ml_commons import MlCommons
from sorce.plugin.cluster.record import INSTALLING, LEAVING, Record, records

TRUSTED = "plugins.ml_commons.trusted_connector_endpoints_regex"
PRIVATE = "plugins.ml_commons.connector.private_ip_enabled"

MAX_TRIES = 50


class AllowList:
    """The two settings of a cluster, changed for one installation. `own` names the pipelines that hold its record."""

    def __init__(self, client: OpenSearch, own: Sequence[str] = ()) -> None:
        self._client, self._own = client, own
        self._endpoint: Endpoint | None = None
        # Read the records before and after: each entry of the list has its record in one of the two.
        first = records(client)
        self._read()
        self._first = first | records(client)

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
        added = set() if mine is None else set(mine.added)
        if endpoint.pattern in _patterns(known.values()) or endpoint.pattern not in self.trusted:
            added.add(endpoint.pattern)
        return Record(first.trusted, first.trusted_was_set, first.private, sorted(added), INSTALLING)

    def add(self, endpoint: Endpoint) -> None:
        """Allows the cluster to call the encoder, and nothing else that it could not call before.

        The installation's record must be written first.
        """
        self._endpoint = endpoint
        self._settle()

    def tidy(self, record: Record) -> list[str]:
        """Removes what the record added and no connector calls. Returns the patterns that the record must still list.

        What `add` allowed in the same installation stays.
        """
        self._settle(record)
        return sorted(set(record.added) - self._idle(record.added))

    def _settle(self, before: Record | None = None) -> None:
        """Writes the settings until they are right. `before` says what they are reset to when nobody needs them."""
        seen: dict[str, None] = {}
        recorded = _patterns([*self._first.values(), *([before] if before else [])])
        private = self._set(PRIVATE)
        for _ in range(MAX_TRIES):
            # Read the records first: an installation that finishes between the two reads has its entry in the list.
            known = records(self._client)
            self._read()
            seen |= dict.fromkeys(self.trusted)
            recorded |= _patterns(known.values())
            trusted_is_right = self._put_trusted(self._wanted(known, seen, recorded), before)
            if self._put_private(known, private, before) and trusted_is_right:
                return
        raise PluginError(
            f"others keep changing the cluster's setting {TRUSTED}; run the same command again when they are done."
        )

    def _wanted(self, known: Mapping[str, Record], seen: Iterable[str], recorded: set[str]) -> list[str]:
        """All that was seen in the list without what sorce added and nobody needs; and what is being added now."""
        others = self._others(known)
        mine = [self._endpoint.pattern] if self._endpoint else []
        idle = self._idle(recorded.intersection(seen) - _patterns(others.values()) - set(mine))
        # An older installation's entry that is not in the list was removed by an administrator.
        new = [it for name, it in others.items() if it.state == INSTALLING or self._first.get(name) != it]
        candidates = dict.fromkeys([*self.trusted, *seen, *sorted(_patterns(new)), *mine])
        return [pattern for pattern in candidates if pattern not in idle]

    def _put_trusted(self, wanted: list[str], before: Record | None) -> bool:
        """Whether the list is right already. A list that is as before any sorce is unset again."""
        unset = before is not None and not before.trusted_was_set and set(wanted) == set(before.trusted)
        if set(wanted) == set(self.trusted) and not (unset and self._set(TRUSTED) is not None):
            return True
        self._put(TRUSTED, None if unset else wanted)
        return False

    def _put_private(self, known: Mapping[str, Record], found: Any, before: Record | None) -> bool:
        """Whether the setting is right already. `found` is its value at first, which stays while it is in use."""
        value = self._set(PRIVATE)
        if self._endpoint and self._endpoint.is_private:
            value = value if self.calls_private else True
        elif before:
            value = found if self._calls_private_addresses(known) else before.private
        if value == self._set(PRIVATE):
            return True
        self._put(PRIVATE, value)
        return False

    def _calls_private_addresses(self, known: Mapping[str, Record]) -> bool:
        installing = any(other.state == INSTALLING for other in self._others(known).values())
        return installing or any(_may_be_private(url) for url in MlCommons(self._client).addresses())

    def _idle(self, patterns: Iterable[str]) -> set[str]:
        """Those that allow no address that a connector calls, whoever created it."""
        asked = set(patterns)
        called = MlCommons(self._client).addresses() if asked else []
        return {pattern for pattern in asked if not any(re.fullmatch(pattern, url) for url in called)}

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


def _patterns(records: Iterable[Record]) -> set[str]:
    return {pattern for record in records for pattern in record.added}


def _may_be_private(url: str) -> bool:
    try:
        return is_private(url)
    except PluginError:
        return True
