"""The next index of an alias: what OpenSearch's own `_rollover` must know to make it."""

from __future__ import annotations

from typing import Any

from opensearchpy import OpenSearch

from sorce.cluster import description, missing
from sorce.errors import IndexMissing
from sorce.mappings.found import FoundIndex

PRIORITY = 500
"""Of two templates that fit an index, the one with the higher number counts. OpenSearch's own ones have 100."""

OF_ONE_INDEX = ("blocks", "creation_date", "provided_name", "resize", "uuid", "version", "routing.allocation.initial_")
"""The settings that belong to one index, by the beginnings of their names."""


def rollover_template(client: OpenSearch, alias: str) -> dict[str, Any]:
    """The body of `PUT _index_template/...` for the next indices of an alias: mapping and settings of its write index.

    `_rollover` counts in six digits: photos-000002 follows photos-000001. Raises IndexMissing for an index itself, or
    for an alias that `_rollover` would move away from its index; also if there is none of that name.
    """
    answer = description(client, alias)
    if not answer:
        raise missing(alias)
    found = FoundIndex.of(alias, answer)
    if not found.is_alias:
        raise IndexMissing(f"'{found.name}' is an index; name the alias that rolls over.")
    if not found.is_write_index:
        raise IndexMissing(
            f"'{found.name}' is not marked as the write index of '{found.asked}', so a rollover would hide its photos; "
            f'add it again with "is_write_index": true (POST /_aliases).'
        )
    body = answer[found.name]
    settings = {
        name: value
        for name, value in body["settings"].items()
        if not name.removeprefix("index.").startswith(OF_ONE_INDEX)
    }
    # With all names that begin so, an index of another recipe (`sorce ingest --alias`) would get this mapping, too.
    return {
        "index_patterns": [f"{found.asked}-000*"],
        "priority": PRIORITY,
        "template": {"settings": settings, "mappings": body["mappings"]},
    }
