"""What a run writes to: one index, or those of an alias. Looked up once, created when its first photo is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from opensearchpy import OpenSearch, exceptions

from sorce.cluster import cause, look_up, reason
from sorce.errors import ClusterError, IndexMissing
from sorce.ingest.retry import Retry
from sorce.mappings import Attribute, Recipe, Vector, probe, refuse_mismatch
from sorce.mappings.compression import FLOAT32
from sorce.mappings.found import FoundIndex
from sorce.mappings.index import (
    attribute_types,
    index_body,
    refuse_bad_name,
    refuse_settings,
    refuse_unstorable,
    types_mapping,
    upgrade,
    upgraded,
)
from sorce.mappings.limits import MAX_CANDIDATES
from sorce.mappings.lookup import DocumentState, Json, Stored, by_ids, chosen, uri_of, uris_below
from sorce.mappings.selection import Selection
from sorce.models.querybank import banked

PAGE = MAX_CANDIDATES
"""Photos listed per request: the most that OpenSearch allows."""

FIRST_PRIORITY = 1_000_000_000
"""No template of a cluster should come before the one that tries a new index."""

Types = Mapping[str, object]
"""The mapping of each attribute, by its name."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A photo in the list of all photos below a folder. `version` is the state of its document that was read."""

    photo_id: str
    uri: str
    version: DocumentState


@dataclass(frozen=True)
class NewIndex:
    """What a new index gets besides its recipe: index settings, the root of relative paths, and how the graph holds
    vectors (`sorce.mappings.compression`). Raises SorceError for settings with which photos or searches would fail.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    root: str | None = None
    compression: str = FLOAT32

    def __post_init__(self) -> None:
        refuse_settings(self.settings)


class TargetIndex:
    """An index, found by its own name or an alias. Look it up once; then all requests go to the index itself.

    If an alias has several indices, new photos go to its write index, and all others stay where they lie.
    """

    def __init__(self, client: OpenSearch, asked: str, new: NewIndex | None = None) -> None:
        """`new` says how to create the index if there is none."""
        self.client, self.asked, self.new = client, asked, new or NewIndex()
        self.probe: Callable[[], Vector] | None = None
        """Encodes the probe of a new index (`sorce.mappings.probe`); None leaves it out."""
        self.found: FoundIndex | None = None
        """The result of the look-up; None if there is no index yet."""

    @property
    def name(self) -> str:
        """The name of the index for new photos, or of the index to be created."""
        return self.found.name if self.found else self.asked

    @property
    def names(self) -> list[str]:
        """The names of all indices, or of the index to be created."""
        return self.found.names if self.found else [self.asked]

    def look_up(self) -> FoundIndex | None:
        """Asks the cluster. Raises IndexNameError, IndexMissing, ClusterError."""
        self.found = look_up(self.client, self.asked)
        if self.found is not None:
            _refuse_unwritable(self.found)
        return self.found

    def refuse_other(self, recipe: Recipe) -> None:
        """Raises RecipeMismatch if the index holds vectors of another recipe."""
        if self.found is not None:
            refuse_mismatch(self.asked, self.found.recipe, banked(recipe))

    def prepare(self, recipe: Recipe, types: Types) -> None:
        """Adds what an existing index lacks: the fields of this schema, the root, attributes of these types.

        Raises RecipeMismatch, and ClusterError if it has an attribute of another type.
        """
        self.refuse_other(recipe)
        if self.found is None:
            return
        first, *others = [self._upgraded(each) for each in self.found.every]
        self.found = replace(first, others=tuple(others))
        there = [_attribute_types(each.properties) for each in self.found.every]
        missing = {name: kind for name, kind in types.items() if any(each.get(name) != kind for each in there)}
        if missing:
            self._add_attributes(missing)

    def _upgraded(self, found: FoundIndex) -> FoundIndex:
        addition = upgrade(found, self.new.root)
        if addition is None:
            return found
        self.client.indices.put_mapping(index=found.name, body=addition)
        return upgraded(found, addition, self.new.root)

    def try_new(self, recipe: Recipe, types: Types) -> None:
        """Raises ClusterError if the cluster would not create the index with these settings and attributes.

        So nobody learns this from the first photo, which may take minutes to encode. A user without the right to ask
        does learn it then. Nothing is created.
        """
        if self.found is not None or not (self.new.settings or types):
            return
        body = self._body(recipe, types)
        template = {"index_patterns": [self.asked], "priority": FIRST_PRIORITY, "template": body}
        try:
            self.client.indices.simulate_template(body=template)
        except exceptions.RequestError as error:
            raise ClusterError(
                f"index '{self.asked}' cannot be made: {cause(error)}; correct its settings (--setting, "
                "--settings, --shards, --replicas) or the attributes."
            ) from error
        except (exceptions.AuthorizationException, exceptions.NotFoundError):
            pass

    def make(self, recipe: Recipe, types: Types | None = None) -> None:
        """Creates the index if there is none. Raises RecipeMismatch if one with another recipe exists."""
        if self.found is None:
            body = self._body(recipe, types or {})
            if self.probe is not None:
                body["mappings"]["_meta"]["sorce"]["probe"] = probe.to_text(self.probe())
            try:
                self.client.indices.create(index=self.asked, body=body)
            except exceptions.RequestError as error:
                if error.error != "resource_already_exists_exception":
                    raise
            # Another ingest may have created it first, and its UUID is needed.
            if self.look_up() is None:
                raise IndexMissing(
                    f"index '{self.asked}' was deleted just after it was made; run the same command again."
                )
            self._refuse_rival_root()
        self.prepare(recipe, types or {})

    def _body(self, recipe: Recipe, types: Types) -> Json:
        """Settings and mapping of the new index."""
        return index_body(banked(recipe), self.new.settings, self.new.root, dict(types), self.new.compression)

    def _refuse_rival_root(self) -> None:
        """Raises ClusterError if another ingest made the index at the same moment, for photos below another root."""
        assert self.found is not None
        if self.found.root != self.new.root:
            raise ClusterError(
                f"another ingest made index '{self.asked}' at the same moment with another root (its root: "
                f"{self.found.root}; here: {self.new.root}); name another index, or the same --root."
            )

    def attribute_types(self) -> dict[str, object]:
        """The mapping of each attribute that the index has."""
        return {} if self.found is None else _attribute_types(self.found.fields)

    def _add_attributes(self, types: Types) -> None:
        try:
            # To all in one request: if one refuses, none gets them.
            self.client.indices.put_mapping(index=self.names, body=types_mapping(types))
        except exceptions.RequestError as error:
            raise ClusterError(
                f"index '{', '.join(self.names)}' cannot take these attributes ({reason(error)}); "
                "give each the type that it has there, or another name."
            ) from error

    def stored(self, photo_ids: Sequence[str]) -> dict[str, Stored]:
        """What the index holds of these photos, as of the last refresh. Empty if there is no index.

        Raises ClusterError for a photo that lies in two indices of an alias: a write to one would leave the other.
        """
        there: dict[str, Stored] = {}
        for hit in self._hits(by_ids(photo_ids)) if self.found is not None else ():
            if (other := there.get(hit["_id"])) is not None:
                elsewhere = other.version.elsewhere or hit["_index"]
                raise ClusterError(
                    f"photo '{hit['_id']}' lies in two indices of '{self.asked}'; take it from one of them: "
                    f"sorce delete --index {elsewhere} {hit['_id']}."
                )
            there[hit["_id"]] = Stored.of(hit, self.name)
        return there

    def listed(self, prefix: str, relative: bool, retry: Retry) -> Iterator[Listed]:
        """The photos whose URI starts with `prefix`, as of the last refresh. `relative` leaves out `file:` URIs.

        Raises Interrupted if the run ends first.
        """
        return self._listed(uris_below(prefix, relative=relative), retry)

    def selected(self, selection: Selection, retry: Retry) -> Iterator[Listed]:
        """The photos that a selection names, as of the last refresh. Raises QueryError, and Interrupted."""
        return iter(()) if self.found is None else self._listed(chosen(selection.query(self.found)), retry)

    def _listed(self, body: Json, retry: Retry) -> Iterator[Listed]:
        body = body | {"size": PAGE, "sort": ["uri"]}
        # In pages, because a scroll does not survive a restart of the cluster.
        while self.found is not None and (hits := retry.insist(partial(self._hits, body))):
            yield from (Listed(hit["_id"], uri_of(hit), DocumentState.of(hit, self.name)) for hit in hits)
            body["search_after"] = hits[-1]["sort"]

    def has_absolute_paths(self) -> bool:
        """Whether any photo is named by its absolute path."""
        return self.has_photos("file:")

    def has_photos(self, prefix: str) -> bool:
        """Whether the URI of any photo starts with `prefix`, as of the last refresh."""
        return self.found is not None and bool(self._hits(uris_below(prefix, relative=False) | {"size": 1}))

    def _hits(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        # If part of the answer were missing, a photo would look new and lose its attributes.
        whole = {"allow_partial_search_results": "false"}
        found: list[dict[str, Any]] = self.client.search(index=self.names, body=body, params=whole)["hits"]["hits"]
        return found

    def refresh(self) -> None:
        """Makes all writes searchable. Does nothing if there is no index."""
        self.client.indices.refresh(index=self.names, params={"ignore_unavailable": "true"})


def types_of(attributes: Mapping[str, Attribute]) -> Types:
    """Raises SorceError for an attribute that no document can hold."""
    for name, value in attributes.items():
        refuse_bad_name(name)
        refuse_unstorable(f"{name}={value}", value)
    return attribute_types(attributes)


def _attribute_types(properties: Mapping[str, Any]) -> dict[str, object]:
    return dict(properties.get("attributes", {}).get("properties", {}))


def refuse_routing(found: FoundIndex) -> None:
    """Raises IndexMissing for an alias with routing."""
    aliases = [each.aliases.get(found.asked, {}) for each in found.every]
    if found.is_alias and any("index_routing" in alias or "search_routing" in alias for alias in aliases):
        raise IndexMissing(
            f"alias '{found.asked}' sends its documents to one shard (routing), which an ingest would not follow; "
            f"ingest into the index itself: --index {found.name}."
        )


def _refuse_unwritable(found: FoundIndex) -> None:
    refuse_routing(found)
    if found.is_alias and found.aliases.get(found.asked, {}).get("is_write_index") is False:
        raise IndexMissing(
            f"alias '{found.asked}' takes no documents (is_write_index is false); ingest into the index itself: "
            f"--index {found.name}."
        )
