"""The index as ingest sees it: made or compared, asked what it holds, and rid of what is gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from opensearchpy import OpenSearch, exceptions, helpers

from sorce.cluster import reason, recipe_of
from sorce.errors import ClusterError
from sorce.mappings import Attribute, Recipe, refuse_mismatch
from sorce.mappings.index import attributes_mapping, index_body


@dataclass(frozen=True, slots=True)
class Stored:
    """What an index already holds of a photo. A date among the attributes is text here, as the index takes it again."""

    content_hash: str
    attributes: Mapping[str, Attribute]

    def with_attributes(self, given: Mapping[str, Attribute]) -> dict[str, Attribute]:
        """The attributes after a run that sets the given ones: what it does not name stays."""
        return {**self.attributes, **{key: _as_stored(value) for key, value in given.items()}}


def _as_stored(value: Attribute) -> Attribute:
    if not isinstance(value, datetime):
        return value
    # OpenSearch takes a date without a zone as UTC, and counts in milliseconds.
    exact = value.replace(tzinfo=value.tzinfo or timezone.utc).astimezone(timezone.utc)
    return exact.strftime("%Y-%m-%dT%H:%M:%S.") + f"{exact.microsecond // 1000:03}Z"


class Index:
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
            refuse_mismatch(self.name, there, recipe)

    def make(self, recipe: Recipe) -> None:
        """Creates the index where there is none. Raises RecipeMismatch where there is another."""
        self.refuse_other(recipe)
        if not self.client.indices.exists(index=self.name):
            try:
                self.client.indices.create(index=self.name, body=index_body(recipe))
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
        # By doc values: a get would read whole documents, vectors and all, to answer with two of their fields.
        body = {
            "size": len(photo_ids),
            "query": {"ids": {"values": list(photo_ids)}},
            "_source": False,
            "docvalue_fields": ["content_hash", "attributes.*"],
        }
        try:
            found = self.client.search(index=self.name, body=body)["hits"]["hits"]
        except exceptions.NotFoundError:
            return {}
        return {hit["_id"]: _stored(hit["fields"]) for hit in found}

    def uris(self, prefix: str, relative: bool) -> Iterator[tuple[str, str]]:
        """Ids and URIs of the photos whose URI begins so; `relative` leaves out those that say `file:`."""
        query: dict[str, Any] = {"filter": [{"prefix": {"uri": prefix}}]}
        if relative:
            query["must_not"] = [{"prefix": {"uri": "file:"}}]
        body = {"query": {"bool": query}, "_source": False, "docvalue_fields": ["uri"]}
        for hit in helpers.scan(self.client, query=body, index=self.name, size=1000):
            yield hit["_id"], hit["fields"]["uri"][0]

    def delete(self, photo_ids: Sequence[str]) -> int:
        """How many documents it removed."""
        body = {"query": {"ids": {"values": list(photo_ids)}}}
        removed: int = self.client.delete_by_query(index=self.name, body=body, params={"conflicts": "proceed"})[
            "deleted"
        ]
        return removed

    def refresh(self) -> None:
        """What was written is found from now on."""
        self.client.indices.refresh(index=self.name)


def _stored(fields: Mapping[str, Any]) -> Stored:
    prefix = "attributes."
    attributes = {key.removeprefix(prefix): values[0] for key, values in fields.items() if key.startswith(prefix)}
    return Stored(fields["content_hash"][0], attributes)


def address(client: OpenSearch) -> str:
    """For messages: where the client looks for the cluster."""
    host = client.transport.hosts[0]
    return f"{host.get('scheme', 'http')}://{host.get('host', 'localhost')}:{host.get('port', 9200)}"
