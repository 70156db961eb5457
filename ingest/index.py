"""The index as ingest sees it: made or compared, asked what it holds, and rid of what is gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from opensearchpy import OpenSearch, exceptions

from sorce.cluster import reason, recipe_of
from sorce.errors import ClusterError
from sorce.ingest.retry import Retry
from sorce.mappings import Attribute, Recipe, refuse_mismatch
from sorce.mappings.index import attributes_mapping, index_body
from sorce.mappings.limits import MAX_CANDIDATES
from sorce.mappings.lookup import Stored, by_ids, uri_of, uris_below
from sorce.models.querybank import banked

PAGE = MAX_CANDIDATES
"""Photos that are listed by one request: as many as OpenSearch allows."""


class TargetIndex:
    """An index, or an alias of one."""

    def __init__(self, client: OpenSearch, name: str) -> None:
        self.client = client
        self.name = name

    def recipe(self) -> Recipe | None:
        """None where there is no index yet."""
        return recipe_of(self.client, self.name) if self.client.indices.exists(index=self.name) else None

    def refuse_other(self, recipe: Recipe) -> None:
        """Raises RecipeMismatch where the index holds vectors of another recipe."""
        there = self.recipe()
        if there is not None:
            refuse_mismatch(self.name, there, banked(recipe))

    def make(self, recipe: Recipe) -> None:
        """Creates the index where there is none. Raises RecipeMismatch where there is another."""
        self.refuse_other(recipe)
        if not self.client.indices.exists(index=self.name):
            try:
                self.client.indices.create(index=self.name, body=index_body(banked(recipe)))
            except exceptions.RequestError as error:
                if error.error != "resource_already_exists_exception":
                    raise
                self.refuse_other(recipe)  # another ingest came first

    def add_attributes(self, attributes: Mapping[str, Attribute]) -> None:
        """Makes the index ready for these attributes. Raises ClusterError where it has one with another type."""
        if not attributes:
            return
        try:
            self.client.indices.put_mapping(index=self.name, body=attributes_mapping(attributes))
        except exceptions.RequestError as error:
            raise ClusterError(
                f"index '{self.name}' cannot take these attributes ({reason(error)}); "
                "give each the type that it has there, or another name."
            ) from error

    def stored(self, photo_ids: Sequence[str]) -> dict[str, Stored]:
        """What is there of these photos, as of the last refresh; nothing where there is no index."""
        try:
            return {hit["_id"]: Stored.of(hit) for hit in self._hits(by_ids(photo_ids))}
        except exceptions.NotFoundError:
            return {}

    def uris(self, prefix: str, relative: bool, retry: Retry) -> Iterator[tuple[str, str]]:
        """Ids and URIs of the photos whose URI begins so, as of the last refresh; `relative` leaves out `file:`.

        Raises Interrupted where the run ends first.
        """
        body = uris_below(prefix, relative=relative) | {"size": PAGE, "sort": ["uri"]}
        # By pages: a scroll would not outlive a restart of the cluster.
        while hits := retry.insist(partial(self._hits, body)):
            yield from ((hit["_id"], uri_of(hit)) for hit in hits)
            body["search_after"] = hits[-1]["sort"]

    def _hits(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        # With a part of the answer missing, a photo would look new, and lose the attributes that it has.
        whole = {"allow_partial_search_results": "false"}
        found: list[dict[str, Any]] = self.client.search(index=self.name, body=body, params=whole)["hits"]["hits"]
        return found

    def delete(self, photo_ids: Sequence[str]) -> int:
        """How many documents it removed."""
        body = {"query": {"ids": {"values": list(photo_ids)}}}
        removed: int = self.client.delete_by_query(index=self.name, body=body, params={"conflicts": "proceed"})[
            "deleted"
        ]
        return removed

    def refresh(self) -> None:
        """What was written is found from now on. Nothing where there is no index."""
        self.client.indices.refresh(index=self.name, params={"ignore_unavailable": "true"})
