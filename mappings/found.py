"""What is known of an existing index: read from one answer of the cluster and used for the whole command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sorce.errors import IndexMissing
from sorce.mappings import probe
from sorce.mappings.recipe import Recipe
from sorce.mappings.values import Vector

Json = dict[str, Any]

SCHEMA = 2
"""The schema version that this sorce writes. Indices of 0.1.0 have no number: they are schema 1."""


@dataclass(frozen=True, slots=True)
class FoundIndex:
    """A concrete index, found by its own name or by an alias.

    `asked` is the given name, `name` the concrete index. `uuid` distinguishes it from a later index with the same name.
    `properties` are those of its mapping, and `default_pipeline` is its default search pipeline. `root` is the absolute
    folder that relative paths start from, if the index records it. `alias_filter` and `search_routing` belong to the
    alias and apply to every search through it. `meta` is the mapping's `_meta` as stored.
    """

    asked: str
    name: str
    uuid: str
    schema: int
    recipe: Recipe
    properties: Mapping[str, Any]
    root: str | None = None
    default_pipeline: str | None = None
    alias_filter: Json | None = None
    search_routing: str | None = None
    aliases: Mapping[str, Json] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_alias(self) -> bool:
        return self.asked != self.name

    @property
    def probe(self) -> Vector | None:
        """The vector of `sorce.mappings.probe.TEXT` by the index's model; None in an index of an older sorce."""
        return probe.from_text(self.meta.get("sorce", {}).get("probe"), self.recipe.dimension)

    def by_its_own_name(self) -> FoundIndex:
        """The same index as if found by its own name: then no alias filter applies."""
        return replace(self, asked=self.name, alias_filter=None, search_routing=None)

    @classmethod
    def of(cls, asked: str, answer: Mapping[str, Any]) -> FoundIndex:
        """Reads the answer to `GET /asked?flat_settings=true`. Raises IndexMissing if it is not one of sorce's indices.

        A newer schema than this sorce knows is refused, too: this sorce could damage its documents.
        """
        if len(answer) != 1:
            raise IndexMissing(
                f"'{asked}' names {len(answer)} indices ({', '.join(sorted(answer))}); name one of them, or have the "
                f"alias name one only: run `sorce ingest --alias {asked}` with the model and regions to keep."
            )
        [(name, body)] = answer.items()
        meta, settings = body["mappings"].get("_meta", {}), body["settings"]
        recipe, ours = Recipe.from_meta(meta, asked), meta["sorce"]
        schema = ours.get("schema", 1)
        if not isinstance(schema, int) or schema > SCHEMA:
            raise IndexMissing(
                f"index '{asked}' has schema {schema!r}, and this sorce knows schemas up to {SCHEMA}; upgrade sorce."
            )
        aliases = body.get("aliases", {})
        alias = aliases.get(asked, {}) if asked != name else {}
        root = ours.get("root")
        return cls(
            asked=asked,
            name=str(name),
            uuid=str(settings["index.uuid"]),
            schema=schema,
            recipe=recipe,
            properties=body["mappings"].get("properties", {}),
            root=root if isinstance(root, str) else None,
            default_pipeline=settings.get("index.search.default_pipeline"),
            alias_filter=alias.get("filter"),
            search_routing=alias.get("search_routing"),
            aliases=aliases,
            meta=meta,
        )
