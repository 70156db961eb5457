"""The indices of a cluster that sorce made: what they hold, and how to delete one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opensearchpy import OpenSearch, exceptions

from sorce.access import Access
from sorce.cluster import Hosts, address, connect, find_index, look_up, translate_errors
from sorce.errors import ClusterError, IndexMissing, IndexNameError
from sorce.mappings import Recipe
from sorce.mappings.compression import FLOAT32
from sorce.mappings.conditions import attributes_of
from sorce.mappings.found import FoundIndex
from sorce.mappings.selection import regions_of

log = logging.getLogger("sorce.listing")

NOT_HIDDEN = "*,-.*"
"""No index of sorce begins with a dot, and for those of OpenSearch itself its client prints a warning."""


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """What an index holds. `bytes` are those of all copies on disk; None if the user may not ask for them.

    If an alias with several indices was named, `name` is its write index, `others` are the other ones, and the counts
    are those of all together. `attributes` maps each user attribute to its type in OpenSearch. `root` is the folder
    that relative paths start from, if there is one. `compression` is how the graph holds vectors: `1x` or `4x`.
    """

    name: str
    uuid: str
    aliases: tuple[str, ...]
    schema: int
    recipe: Recipe
    root: str | None
    photos: int
    regions: int
    bytes: int | None
    attributes: Mapping[str, str]
    others: tuple[str, ...] = ()
    compression: str = FLOAT32

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name,
            "uuid": self.uuid,
            "aliases": list(self.aliases),
            "schema": self.schema,
            "recipe": self.recipe.to_meta(),
            "root": self.root,
            "photos": self.photos,
            "regions": self.regions,
            "bytes": self.bytes,
            "attributes": dict(self.attributes),
            "others": list(self.others),
            "compression": self.compression,
        }


def indices(url: Hosts = None, access: Access | None = None) -> list[IndexInfo]:
    """All indices of a cluster that sorce made, by name.

    `url` is the cluster's, a list of those of its nodes, or a client, as for `open_index`. Raises ClusterError, also
    for a user who may not list all indices.
    """
    client = connect(url, access)
    try:
        with translate_errors(address(client)):
            return list_indices(client)
    finally:
        if client is not url:
            client.close()


def list_indices(client: OpenSearch) -> list[IndexInfo]:
    """Like `indices`. An index whose recipe cannot be read is left out, with a warning in the log."""
    ours = {"filter_path": "*.mappings._meta.sorce.recipe.model"}
    found = []
    try:
        names = sorted(client.indices.get_mapping(index=NOT_HIDDEN, params=ours))
    except exceptions.AuthorizationException as error:
        raise ClusterError(
            f"this user may not list all indices of the cluster at {address(client)} (403); describe one with "
            "`sorce index info NAME`, or ask as a user who may read all mappings."
        ) from error
    for name in names:
        try:
            there = look_up(client, name)
        except (IndexMissing, IndexNameError) as error:
            log.warning("%s", error)
            continue
        # It may have been deleted meanwhile.
        if there is not None:
            found.append(described(client, there))
    return found


def described(client: OpenSearch, found: FoundIndex) -> IndexInfo:
    """What the indices themselves hold, whatever the filter of the alias that they were found by."""
    body = {"size": 0, "track_total_hits": True, "aggs": {"regions": {"nested": {"path": "regions"}}}}
    whole = {"allow_partial_search_results": "false"}
    answer = client.search(index=found.names, body=body, params=whole)
    return IndexInfo(
        name=found.name,
        uuid=found.uuid,
        aliases=tuple(sorted(found.aliases)),
        schema=found.schema,
        recipe=found.recipe,
        root=found.shared_root,
        photos=int(answer["hits"]["total"]["value"]),
        regions=int(answer["aggregations"]["regions"]["doc_count"]),
        bytes=_bytes(client, found.names),
        attributes=attributes_of(regions_of(found)),
        others=tuple(found.names[1:]),
        compression=found.compression,
    )


def delete_index(client: OpenSearch, info: IndexInfo) -> None:
    """Deletes the index that was described. Raises IndexMissing if its name stands for another one now.

    OpenSearch deletes by name only, so a moment remains between this check and the deletion.
    """
    found = find_index(client, info.name)
    if found.uuid != info.uuid:
        raise IndexMissing(f"'{info.name}' was deleted or made again meanwhile; look at it and run the command again.")
    client.indices.delete(index=found.name)
    log.info("deleted index '%s' of %d photos", info.name, info.photos)


def _bytes(client: OpenSearch, names: list[str]) -> int | None:
    try:
        return int(client.indices.stats(index=names, metric="store")["_all"]["total"]["store"]["size_in_bytes"])
    except exceptions.AuthorizationException:
        return None
