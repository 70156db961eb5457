"""What an installation records about the cluster's settings, so that uninstall can restore them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from typing import Any

from opensearchpy import OpenSearch, exceptions

MADE_BY = "Made by sorce. Its record of the cluster's settings: "

INSTALLING, INSTALLED, LEAVING = "installing", "installed", "leaving"


@dataclass(frozen=True)
class Record:
    """The settings before any sorce, the patterns that this installation added, and its state.

    It is stored in the description of the index's default search pipeline.
    """

    trusted: Sequence[str]
    trusted_was_set: bool
    private: str | None
    added: Sequence[str] = ()
    state: str = INSTALLED
    """0.1.0 recorded no state."""

    def description(self) -> str:
        return MADE_BY + json.dumps(asdict(self))


def records(client: OpenSearch) -> dict[str, Record]:
    """The records of all installations in the cluster, by the name of the pipeline that holds them."""
    try:
        pipelines = client.search_pipeline.get()
    except exceptions.NotFoundError:
        return {}
    read = {name: parse_record(pipeline) for name, pipeline in pipelines.items()}
    return {name: record for name, record in read.items() if record is not None}


def parse_record(pipeline: Mapping[str, Any]) -> Record | None:
    """The record in a search pipeline; None if it holds none, or one that was edited by hand."""
    text = str(pipeline.get("description", ""))
    if not text.startswith(MADE_BY):
        return None
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        said = json.loads(text.removeprefix(MADE_BY))
        given = {field.name: said[field.name] for field in fields(Record) if field.name in said}
        found = Record(**given)
        if all(isinstance(pattern, str) for pattern in [*found.trusted, *found.added]):
            return found
    return None
