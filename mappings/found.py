"""What is known of an existing index: read from one answer of the cluster and used for the whole command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sorce.errors import IndexMissing
from sorce.mappings import probe
from sorce.mappings.compression import FLOAT32, compression_of
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

    If an alias has several indices, this is its write index, which new photos go to. `others` are the other ones, of
    the same recipe.
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
    others: tuple[FoundIndex, ...] = ()

    @property
    def is_alias(self) -> bool:
        return self.asked != self.name

    @property
    def every(self) -> tuple[FoundIndex, ...]:
        """All indices of the name; the one for new photos is the first."""
        return (replace(self, others=()), *self.others) if self.others else (self,)

    @property
    def names(self) -> list[str]:
        """The names of all indices; that of the one for new photos is the first."""
        return [self.name, *(each.name for each in self.others)]

    @property
    def fields(self) -> Mapping[str, Any]:
        """The properties of all indices together: one may have attributes that another lacks."""
        merged = self.properties
        for each in self.others:
            merged = _merged(each.properties, merged)
        return merged

    @property
    def shared_root(self) -> str | None:
        """The folder that relative paths start from. A new index of the alias may not record it yet."""
        return next((each.root for each in self.every if each.root is not None), None)

    @property
    def has_filter(self) -> bool:
        """Whether the alias hides photos of any of its indices."""
        return any(each.alias_filter is not None for each in self.every)

    @property
    def filter_clauses(self) -> list[Json]:
        """The alias's filter, for a search that is sent to the indices themselves."""
        if not self.has_filter:
            return []
        if not self.others:
            return [self.alias_filter or {}]
        return [{"bool": {"should": [_within(each) for each in self.every], "minimum_should_match": 1}}]

    @property
    def compression(self) -> str:
        """How the graph of the index for new photos holds vectors (`sorce.mappings.compression`)."""
        vector = self.properties.get("regions", {}).get("properties", {}).get("vec", {})
        return compression_of(vector)

    @property
    def is_compressed(self) -> bool:
        """Whether the graph of any of its indices compares vectors roughly."""
        return any(each.compression != FLOAT32 for each in self.every)

    @property
    def probe(self) -> Vector | None:
        """The vector of `sorce.mappings.probe.TEXT` by the index's model; None in an index of an older sorce."""
        return probe.from_text(self.meta.get("sorce", {}).get("probe"), self.recipe.dimension)

    def by_its_own_name(self) -> FoundIndex:
        """The same index, as if looked up by its own name: no alias filter applies."""
        return replace(self, asked=self.name, alias_filter=None, search_routing=None)

    @classmethod
    def of(cls, asked: str, answer: Mapping[str, Any]) -> FoundIndex:
        """Reads the answer to `GET /asked?flat_settings=true`. Raises IndexMissing if it is not one of sorce's indices.

        Several indices must be those of an alias with a write index, and of one recipe. A newer schema than this sorce
        knows is refused, too: this sorce could damage its documents.
        """
        each = cls.each_of(asked, answer)
        return each[0] if len(each) == 1 else _together(asked, each)

    @classmethod
    def each_of(cls, asked: str, answer: Mapping[str, Any]) -> list[FoundIndex]:
        """Like `of`, each index by itself, in the order of their names."""
        return [cls._one(asked, name, body) for name, body in sorted(answer.items())]

    @property
    def is_write_index(self) -> bool:
        """Whether the alias says so: then it may have other indices, too."""
        return self.aliases.get(self.asked, {}).get("is_write_index") is True

    @classmethod
    def _one(cls, asked: str, name: str, body: Mapping[str, Any]) -> FoundIndex:
        meta, settings = body["mappings"].get("_meta", {}), body["settings"]
        # Before the recipe is read: that of a newer schema may have another form.
        schema = _schema_of(meta, asked)
        recipe, ours = Recipe.from_meta(meta, asked), meta["sorce"]
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


def _schema_of(meta: Mapping[str, Any], asked: str) -> int:
    """The number of an index's schema. Raises IndexMissing for one that this sorce does not know."""
    ours = meta.get("sorce")
    schema = ours.get("schema", 1) if isinstance(ours, Mapping) else 1
    if type(schema) is not int or schema < 1:
        raise IndexMissing(
            f"the schema of index '{asked}' is malformed ({schema!r}), so `sorce ingest` did not write it; name "
            "another index."
        )
    if schema > SCHEMA:
        raise IndexMissing(
            f"index '{asked}' has schema {schema}, and this sorce knows schemas up to {SCHEMA}; upgrade sorce."
        )
    return schema


def _together(asked: str, each: Sequence[FoundIndex]) -> FoundIndex:
    """The write index of an alias, with the others. Raises IndexMissing."""
    names = ", ".join(one.name for one in each)
    writing = [one for one in each if one.is_write_index]
    if len(writing) != 1:
        raise IndexMissing(
            f"'{asked}' names {len(each)} indices ({names}) and none of them is its write index; name one of them, "
            "mark the newest with is_write_index, or have the alias name one only: run "
            f"`sorce ingest --alias {asked}` with the model and regions to keep."
        )
    [first] = writing
    others = tuple(one for one in each if one is not first)
    for one in others:
        if (one.recipe, one.recipe.bank) != (first.recipe, first.recipe.bank):
            raise IndexMissing(
                f"alias '{asked}' names indices of different recipes: '{first.name}' holds {first.recipe} and "
                f"'{one.name}' {one.recipe}; name one of them, or take one out of the alias."
            )
    roots = sorted({one.root for one in each if one.root is not None})
    if len(roots) > 1:
        raise IndexMissing(
            f"the indices of alias '{asked}' have photos below different roots ({', '.join(roots)}); name one of them, "
            "or take one out of the alias."
        )
    return replace(first, others=others)


def _within(index: FoundIndex) -> Json:
    """The clause that keeps an index's photos that its alias does not hide."""
    only: list[Json] = [{"term": {"_index": index.name}}]
    return {"bool": {"filter": only if index.alias_filter is None else [*only, index.alias_filter]}}


def _merged(older: Mapping[str, Any], newer: Mapping[str, Any]) -> dict[str, Any]:
    """Both, with all that is below them. Where they differ, the newer one counts."""
    return {**older, **dict(_joined(older, newer))}


def _joined(older: Mapping[str, Any], newer: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in newer.items():
        there = older.get(name)
        both = isinstance(there, Mapping) and isinstance(value, Mapping)
        yield name, _merged(there, value) if both else value  # type: ignore[arg-type]
