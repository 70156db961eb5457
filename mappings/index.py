"""The body of an index, and the additions that user attributes need."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from math import isfinite
from typing import Any

from sorce.errors import SorceError
from sorce.mappings.compression import FLOAT32, vector_mapping
from sorce.mappings.found import SCHEMA, FoundIndex, Json
from sorce.mappings.limits import MAX_KEYWORD_BYTES, SETTINGS
from sorce.mappings.lookup import as_stored
from sorce.mappings.recipe import Recipe
from sorce.mappings.values import Attribute

KEYWORD = {"type": "keyword"}
FLOAT = {"type": "float"}
DATE = {"type": "date"}
LONG = {"type": "long"}
GEO_POINT = {"type": "geo_point"}

PHOTO_OF_SCHEMA_2 = {
    "taken_on": DATE,
    "keywords": KEYWORD,
    "modified_at": DATE,
    "etag": KEYWORD,
    "recipe_hash": KEYWORD,
    # Base64. This type is only in `_source`: not indexed, and without doc values.
    "thumbnail": {"type": "binary"},
    "location": GEO_POINT,
}
"""The photo fields that schema 1 does not have."""

REGION_OF_SCHEMA_2 = {"taken_on": DATE, "keywords": KEYWORD, "location": GEO_POINT}
"""The region fields that schema 1 does not have."""

ATTRIBUTE_NAME = re.compile(r"\w[\w-]*")

_COLUMN = re.compile(rf"{ATTRIBUTE_NAME.pattern}(:(int|float|date))?")

PARSERS: dict[str | None, Callable[[str], Attribute]] = {
    None: str,
    "int": int,
    "float": float,
    "date": datetime.fromisoformat,
}


def index_body(
    recipe: Recipe,
    settings: Mapping[str, Any] | None = None,
    root: str | None = None,
    attributes: Mapping[str, object] | None = None,
    compression: str = FLOAT32,
) -> Json:
    """Settings and mapping of a new index.

    `settings` adds to or overrides the index's settings. `root` is the absolute folder that relative paths start from.
    `attributes` are the mappings of the attributes in the first documents (see `attribute_type`). `compression` is one
    of `sorce.mappings.compression`.
    """
    typed = {"properties": dict(attributes or {})}
    photo = {
        "photo_id": KEYWORD,
        "uri": KEYWORD,
        "file_name": KEYWORD,
        "folder": KEYWORD,
        "content_hash": KEYWORD,
        "bytes": LONG,
        "width": {"type": "integer"},
        "height": {"type": "integer"},
        "taken_at": DATE,
        "camera": KEYWORD,
        "ingested_at": DATE,
        "attributes": typed,
        **PHOTO_OF_SCHEMA_2,
        "regions": {"type": "nested", "properties": region_fields(recipe.dimension, typed, compression)},
    }
    meta = index_meta({"sorce": {"recipe": recipe.to_meta()}}, root)
    return {
        "settings": {"index.knn": True, **(settings or {})},
        "mappings": {"dynamic": "strict", "_meta": meta, "properties": photo},
    }


def refuse_settings(settings: Mapping[str, Any]) -> None:
    """Raises SorceError for settings of a new index with which photos or searches of sorce would fail."""
    if str(settings.get("index.knn", True)).lower() != "true":
        raise SorceError("index.knn=false leaves out the graph that searches need; leave the setting out.")
    for name, least in SETTINGS.items():
        value = str(settings.get(name, least))
        if value.isdecimal() and int(value) < least:
            raise SorceError(f"{name}={value} is too low, since sorce needs {least}; leave the setting out.")


def region_fields(dimension: int, attributes: Json, compression: str) -> Json:
    """The mapping of a region's fields."""
    return {
        "vec": vector_mapping(dimension, compression),
        "id": {"type": "short"},
        "kind": KEYWORD,
        "x1": FLOAT,
        "y1": FLOAT,
        "x2": FLOAT,
        "y2": FLOAT,
        "area": FLOAT,
        "quality": FLOAT,
        "coherence": FLOAT,
        "hubness": FLOAT,
        # Copies of the photo's fields: a filter that is combined with region conditions needs its field in the region.
        "folder": KEYWORD,
        "taken_at": DATE,
        "camera": KEYWORD,
        "attributes": attributes,
        **REGION_OF_SCHEMA_2,
    }


def index_meta(meta: Mapping[str, Any], root: str | None) -> Json:
    """The `_meta` of an index, with this schema's number, and with the root if there is one."""
    rooted = {} if root is None else {"root": root}
    return {**meta, "sorce": {**meta["sorce"], "schema": SCHEMA, **rooted}}


def upgrade(found: FoundIndex, root: str | None) -> Json | None:
    """What to add to the mapping of an index before writing to it; None if nothing is missing.

    An index of an older schema, or of an earlier sorce, gets the fields that it lacks; its documents stay as they are.
    Its `root` is recorded.
    """
    photo = {name: kind for name, kind in PHOTO_OF_SCHEMA_2.items() if name not in found.properties}
    there = found.properties.get("regions", {}).get("properties", {})
    region = {name: kind for name, kind in REGION_OF_SCHEMA_2.items() if name not in there}
    if not photo and not region and found.schema == SCHEMA and root in (None, found.root):
        return None
    body: Json = {"_meta": index_meta(found.meta, root)}
    if photo or region:
        body["properties"] = {**photo, "regions": {"type": "nested", "properties": region}}
    return body


def upgraded(found: FoundIndex, addition: Json, root: str | None) -> FoundIndex:
    """The facts about an index after `upgrade` was added to its mapping."""
    added = addition.get("properties", {})
    regions = found.properties.get("regions", {})
    fields = {**regions.get("properties", {}), **added.get("regions", {}).get("properties", {})}
    properties = {**found.properties, **added, "regions": {**regions, "properties": fields}}
    return replace(found, schema=SCHEMA, root=root or found.root, properties=properties)


def attribute_types(attributes: Mapping[str, Attribute]) -> Json:
    """The mapping of each attribute, by its name."""
    return {key: attribute_type(value) for key, value in attributes.items()}


def attributes_mapping(attributes: Mapping[str, Attribute]) -> Json:
    """What to add to the mapping of the photo and of its regions before documents have these attributes."""
    return types_mapping(attribute_types(attributes))


def types_mapping(types: Mapping[str, object]) -> Json:
    """Like `attributes_mapping`, from the mapping of each attribute."""
    typed = {"properties": dict(types)}
    return {"properties": {"attributes": typed, "regions": {"type": "nested", "properties": {"attributes": typed}}}}


def attribute_type(value: Attribute) -> dict[str, str]:
    if isinstance(value, datetime):
        return DATE
    if isinstance(value, int):
        return LONG
    return {"type": "double"} if isinstance(value, float) else KEYWORD


def parse_attribute(text: str) -> tuple[str, Attribute]:
    """`key=value` (a keyword), `key:int=3`, `key:float=2.5` or `key:date=2026-01-31`. Raises SorceError."""
    parts = re.fullmatch(rf"({ATTRIBUTE_NAME.pattern})(?::(int|float|date))?=(.*)", text, re.DOTALL)
    shown = text.encode(errors="backslashreplace").decode()
    try:
        if parts is not None:
            key, kind, value = parts.groups()
            found = PARSERS[kind](value)
            refuse_unstorable(shown, found)
            return key, found
    except ValueError:
        pass
    raise SorceError(
        f"attribute '{shown}' is not understood; write key=value, key:int=3, key:float=2.5 or key:date=2026-01-31."
    )


def refuse_bad_columns(columns: Sequence[str]) -> None:
    """Raises SorceError for columns of a table that do not name attributes, or name one twice. Empty ones are left."""
    named = [column for column in columns if column]
    if wrong := [column for column in named if not _COLUMN.fullmatch(column)]:
        raise SorceError(
            f"column '{wrong[0]}' cannot name an attribute; write letters, digits, _ and -, and maybe a type, as in "
            "aisle:int"
        )
    (name, count), *_ = Counter(column.partition(":")[0] for column in named).most_common(1) or [("", 0)]
    if count > 1:
        raise SorceError(f"{count} columns name the attribute '{name}'; keep one")


def refuse_bad_name(name: object) -> None:
    """Raises SorceError for a name that no attribute can have."""
    if not isinstance(name, str) or not ATTRIBUTE_NAME.fullmatch(name):
        raise SorceError(f"{name!r} cannot be the name of an attribute; write letters, digits, _ and -.")


def refuse_unstorable(shown: str, value: Attribute) -> None:
    """Raises SorceError for a value that no document can hold: OpenSearch would reject every photo with it."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | datetime):
        raise SorceError(
            f"attribute '{shown[:80]}' is of type {type(value).__name__}; give a text, an int, a float or a datetime."
        )
    if isinstance(value, datetime):
        as_stored({shown: value})
    if isinstance(value, str):
        if not _is_utf8(value):
            raise SorceError(f"attribute '{shown}' is not UTF-8; write it in UTF-8.")
        if len(value.encode()) > MAX_KEYWORD_BYTES:
            raise SorceError(
                f"attribute '{shown[:40]}...' is longer than {MAX_KEYWORD_BYTES:,} bytes, the most that OpenSearch can "
                "index; write a shorter one."
            )
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise SorceError(f"attribute '{shown}' does not fit into 64 bits; write it as key=value, without :int.")
    if isinstance(value, float) and not isfinite(value):
        raise SorceError(f"attribute '{shown}' is not a finite number; leave it out, or write it without :float.")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
