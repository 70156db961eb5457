"""The least that a user must be allowed, as roles of OpenSearch's security plugin."""

from __future__ import annotations

import json
import re
from importlib.resources import files

from sorce.mappings.names import check_index_name
from sorce.mappings.query import Json

ROLES = ("alias", "ingest", "install", "search")

# Of the files: they can be used as they are for an index of this name.
_INDEX = "photos"


def role(name: str, index: str) -> Json:
    """The body of `PUT _plugins/_security/api/roles/...`: what `ingest`, `install` or `search` needs for an index.

    `alias` is what `sorce ingest --alias` needs in addition to `ingest`. OpenSearch limits it to the index's own names
    as targets, but not the alias: its user can add these indices to any alias, and receive what others write to it,
    unless that alias has its own write index (`is_write_index`). Raises IndexNameError.

    The index may be an alias, too: what `sorce ingest --alias` makes has its name with eight hexadecimal digits more.
    """
    check_index_name(index)
    body: Json = json.loads(files("sorce.plugin.cluster").joinpath("roles", f"{name}.json").read_text())
    for permission in body["index_permissions"]:
        permission["index_patterns"] = [_renamed(pattern, index) for pattern in permission["index_patterns"]]
    return body


def _renamed(pattern: str, index: str) -> str:
    # Between slashes it is a regular expression, where a dot of the name would stand for any character.
    return pattern.replace(_INDEX, re.escape(index) if pattern.startswith("/") else index, 1)
