"""The cluster settings that let ML Commons call the encoder: added when installing, put back when uninstalling."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from opensearchpy import OpenSearch, exceptions

from sorce.errors import PluginError
from sorce.plugin.cluster.endpoint import Endpoint, is_private

TRUSTED = "plugins.ml_commons.trusted_connector_endpoints_regex"
PRIVATE = "plugins.ml_commons.connector.private_ip_enabled"

MADE_BY = "Made by sorce. Its record of the cluster's settings: "


@dataclass(frozen=True)
class Record:
    """What an installation must know to leave no trace: the settings before any sorce, and the patterns it answers for.

    It is kept in the description of a search pipeline, where whoever uninstalls finds it.
    """

    trusted: Sequence[str]
    trusted_was_set: bool
    private: str | None
    added: Sequence[str] = ()

    def description(self) -> str:
        return MADE_BY + json.dumps(asdict(self))


def records(client: OpenSearch) -> dict[str, Record]:
    """The records of all installations in the cluster, by the name of the pipeline that holds them."""
    try:
        pipelines: dict[str, dict[str, Any]] = client.transport.perform_request("GET", "/_search/pipeline")
    except exceptions.NotFoundError:
        return {}
    said = {name: str(pipeline.get("description", "")) for name, pipeline in pipelines.items()}
    return {
        name: Record(**json.loads(text.removeprefix(MADE_BY)))
        for name, text in said.items()
        if text.startswith(MADE_BY)
    }


class AllowList:
    """The two settings of a cluster."""

    def __init__(self, client: OpenSearch) -> None:
        self._client = client
        self._read()

    @property
    def trusted(self) -> list[str]:
        """The patterns in force."""
        return list(self._in_force(TRUSTED) or [])

    @property
    def calls_private(self) -> bool:
        """Whether addresses inside the network may be called."""
        return str(self._in_force(PRIVATE)).lower() == "true"

    def record(self, name: str, endpoint: Endpoint) -> Record:
        """The record of an installation that is about to trust the endpoint, whether or not it has one already."""
        known = records(self._client)
        # Where sorce is installed for another index, the settings are no longer what they were.
        first = known.get(name) or next(iter(known.values()), None) or self._found()
        ours = {pattern for record in known.values() for pattern in record.added}
        added = set(known[name].added) if name in known else set()
        if endpoint.pattern in ours or endpoint.pattern not in self.trusted:
            added.add(endpoint.pattern)
        return Record(first.trusted, first.trusted_was_set, first.private, sorted(added))

    def add(self, endpoint: Endpoint) -> None:
        """Lets the cluster call the encoder, and beside what it could call before nothing else."""
        if endpoint.pattern not in self.trusted:
            self._put(TRUSTED, [*self.trusted, endpoint.pattern])
        if endpoint.is_private and not self.calls_private:
            self._put(PRIVATE, True)

    def tidy(self, record: Record, addresses: Sequence[str]) -> None:
        """Takes back what the record answers for and none of these addresses of the cluster's connectors needs."""
        idle = [pattern for pattern in record.added if not any(re.fullmatch(pattern, url) for url in addresses)]
        left = [pattern for pattern in self.trusted if pattern not in idle]
        if left != self.trusted:
            as_before = not record.trusted_was_set and left == list(record.trusted)
            self._put(TRUSTED, None if as_before else left)
        if self._set(PRIVATE) != record.private and not any(_may_be_private(url) for url in addresses):
            self._put(PRIVATE, record.private)

    def _found(self) -> Record:
        return Record(self.trusted, self._set(TRUSTED) is not None, self._set(PRIVATE))

    def _in_force(self, name: str) -> Any:
        levels = (self._given[level] for level in ("transient", "persistent", "defaults"))
        return next((level[name] for level in levels if name in level), None)

    def _set(self, name: str) -> Any:
        return self._given[self._level(name)].get(name)

    def _level(self, name: str) -> str:
        # What is set transiently outdoes what is persistent.
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
