"""The minimum rights of a user, as roles of OpenSearch's security plugin."""

from __future__ import annotations

import json
import re
from importlib.resources import files

from sorce.mappings.names import check_index_name
from sorce.mappings.query import Json

ROLES = ("alias", "dashboards", "ingest", "install", "search")

# The index name in the files: they work unchanged for an index with this name.
_INDEX = "photos"


def role(name: str, index: str) -> Json:
    """The body of `PUT _plugins/_security/api/roles/...`: the rights that `ingest`, `install` or `search` needs.

    `sorce ingest --alias` needs `alias` in addition to `ingest`. OpenSearch limits the role to the index's own names as
    targets, but does not limit the alias. So its user can add these indices to any alias, and receive what others write
    to it. An alias with its own write index (`is_write_index`) is safe. Raises IndexNameError.

    The index may also be an alias: `sorce ingest --alias` creates indices named after it plus eight hexadecimal digits.
    """
    check_index_name(index)
    body: Json = json.loads(files("sorce.plugin.cluster").joinpath("roles", f"{name}.json").read_text())
    for permission in body["index_permissions"]:
        permission["index_patterns"] = [_renamed(pattern, index) for pattern in permission["index_patterns"]]
    return body


def _renamed(pattern: str, index: str) -> str:
    # Between slashes it is a regular expression, in which a dot of the name would match any character.
    return pattern.replace(_INDEX, re.escape(index) if pattern.startswith("/") else index, 1)
