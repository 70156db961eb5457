"""Rules for saved objects: what an import refuses, and what it accepts but Dashboards then cannot show.

Gathered from the source of OpenSearch Dashboards 2.19 to 3.8 (`create_saved_objects.ts`, the types' mappings, the
parser of Vega's requests) and its issues. Dashboards itself checks little: a broken `visState` is found only when it is
opened.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sorce.errors import DashboardsError

Json = dict[str, Any]

META = "kibanaSavedObjectMeta"
SOURCE = "searchSourceJSON"
COMMON = {"title", "description", "version", META}
ALLOWED: Mapping[str, set[str]] = {
    "dashboard": COMMON | {"hits", "panelsJSON", "optionsJSON", "timeRestore", "timeFrom", "timeTo", "refreshInterval"},
    "visualization": COMMON | {"visState", "uiStateJSON", "savedSearchRefName"},
    "search": COMMON | {"hits", "columns", "sort"},
    "index-pattern": {"title", "timeFieldName", "fields", "fieldFormatMap", "sourceFilters"},
}
"""The attributes that 2.19 and all of 3.x take. One unknown attribute fails the import (strict mapping)."""

NEEDED: Mapping[str, set[str]] = {
    "dashboard": {"title", "panelsJSON", META},
    "visualization": {"title", "visState", META},
    "search": {"title", "columns", "sort", META},
    "index-pattern": {"title"},
}
IN_STRINGS = ("panelsJSON", "optionsJSON", "visState", "uiStateJSON", "fields", "fieldFormatMap", "sourceFilters")
"""Attributes that hold JSON as a string."""

NEWEST = {"index-pattern": "7.6.0", "visualization": "7.10.0", "dashboard": "7.9.3", "search": "7.9.3"}
"""The only `migrationVersion` that every version takes, if one is given at all."""

FORBIDDEN_IN_VEGA = ("window", "document", "self", "top", "parent", "setTimeout", "atob", "constructor", "prototype")
"""Names that the check of expressions in 3.8 refuses."""

CONTEXT = ("%context%", "%timefield%")

QUOTED = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""")
"""A string in an expression."""


def refuse_broken(ndjson: bytes) -> None:
    """Raises DashboardsError for an object that Dashboards would not import or not show."""
    if found := problems(ndjson):
        raise DashboardsError(f"the saved objects break rules of OpenSearch Dashboards: {'; '.join(found)}.")


def problems(ndjson: bytes) -> list[str]:
    """What is wrong, each with the object's type and id; empty if all is right."""
    objects, found = [], []
    for number, line in enumerate(ndjson.splitlines(), 1):
        try:
            objects.append(json.loads(line))
        except ValueError:
            found.append(f"line {number} is no JSON")
    found += _doubles(objects)
    known = {(each.get("type"), each.get("id")) for each in objects}
    for each in objects:
        where = f"{each.get('type')} {each.get('id')}"
        found += [f"{where}: {problem}" for rule in RULES for problem in rule(each, known)]
    return found


Known = set[tuple[Any, Any]]
Rule = Callable[[Json, Known], Iterator[str]]


def _doubles(objects: Sequence[Json]) -> list[str]:
    keys = [(each.get("type"), each.get("id")) for each in objects]
    return [f"{key[0]} {key[1]} is there twice" for key in dict.fromkeys(keys) if keys.count(key) > 1]


def _form(each: Json, _: Known) -> Iterator[str]:
    if extra := each.keys() - {"id", "type", "attributes", "references", "migrationVersion"}:
        yield f"{', '.join(sorted(extra))} is not part of a saved object"
    if each.get("type") not in ALLOWED:
        yield "this type is not one of sorce's"
    if not isinstance(each.get("id"), str) or not each["id"]:
        yield "it has no id"
    if not isinstance(each.get("references"), list):
        yield "it has no list of references"


def _migration(each: Json, _: Known) -> Iterator[str]:
    given = each.get("migrationVersion", {})
    if given and given != {each["type"]: NEWEST.get(each["type"])}:
        yield "its migrationVersion is not the one that every version takes; leave it out"


def _attributes(each: Json, _: Known) -> Iterator[str]:
    kind, given = str(each.get("type")), each.get("attributes", {})
    if kind not in ALLOWED:
        return
    if extra := given.keys() - ALLOWED[kind]:
        yield f"the attribute {', '.join(sorted(extra))} is unknown to some version"
    if missing := NEEDED[kind] - given.keys():
        yield f"the attribute {', '.join(sorted(missing))} is missing"


def _strings(each: Json, _: Known) -> Iterator[str]:
    given = each.get("attributes", {})
    texts = {name: given[name] for name in IN_STRINGS if name in given}
    if META in given:
        texts[SOURCE] = given[META].get(SOURCE)
    for name, text in texts.items():
        if not isinstance(text, str):
            yield f"{name} is no string that holds JSON"
        elif _parsed(text) is None:
            yield f"{name} holds a string that is no JSON"


def _references(each: Json, known: Known) -> Iterator[str]:
    references = each.get("references") or []
    names = {reference.get("name") for reference in references}
    wanted = set(_wanted(each))
    for name in sorted(wanted - names):
        yield f"it has no reference '{name}'"
    for name in sorted(names - wanted):
        yield f"nothing in it uses the reference '{name}'"
    for reference in references:
        if (reference.get("type"), reference.get("id")) not in known:
            yield f"it refers to {reference.get('type')} {reference.get('id')}, which is not there"


def _wanted(each: Json) -> Iterator[str]:
    """The names of the references that the object's own text uses."""
    given = each.get("attributes", {})
    source = _parsed(given.get(META, {}).get(SOURCE)) or {}
    if "indexRefName" in source:
        yield source["indexRefName"]
    for panel in _parsed(given.get("panelsJSON")) or []:
        yield panel.get("panelRefName", "panelRefName")
    for control in _state(each).get("params", {}).get("controls", []):
        yield control.get("indexPatternRefName", "indexPatternRefName")


def _bare_index(each: Json, _: Known) -> Iterator[str]:
    source = _parsed(each.get("attributes", {}).get(META, {}).get(SOURCE)) or {}
    if "index" in source:
        yield "searchSourceJSON names its index itself; use indexRefName and a reference"


def _vega(each: Json, _: Known) -> Iterator[str]:
    state = _state(each)
    if state.get("type") != "vega":
        return
    spec = _parsed(state.get("params", {}).get("spec"))
    if not isinstance(spec, dict):
        yield "its Vega specification is no JSON"
        return
    if "$schema" not in spec:
        yield "its Vega specification has no $schema"
    for data in _listed(spec.get("data")):
        url = data.get("url")
        if isinstance(url, dict) and any(url.get(name) for name in CONTEXT) and "query" in url.get("body", {}):
            yield "a Vega request has both a query and %context%"
    for expression in expressions(spec):
        for name in FORBIDDEN_IN_VEGA:
            if name in _words(expression):
                yield f"the Vega expression {expression!r} uses '{name}', which Dashboards refuses"


RULES: Sequence[Rule] = (_form, _migration, _attributes, _strings, _references, _bare_index, _vega)


def _state(each: Json) -> Json:
    found = _parsed(each.get("attributes", {}).get("visState"))
    return found if isinstance(found, dict) else {}


def _parsed(text: object) -> Any:
    """None if it is no JSON."""
    if not isinstance(text, str):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def _listed(data: object) -> list[Json]:
    return data if isinstance(data, list) else [data] if isinstance(data, dict) else []


def expressions(spec: object) -> Iterator[str]:
    """The texts that Vega evaluates."""
    if isinstance(spec, dict):
        for name, value in spec.items():
            if name in ("expr", "update", "signal", "test", "init") and isinstance(value, str):
                yield value
            elif name != "body":
                yield from expressions(value)
    elif isinstance(spec, list):
        for each in spec:
            yield from expressions(each)


def _words(expression: str) -> set[str]:
    """The names in an expression. What is in quotes is none, such as an index `top-photos`."""
    return set(re.findall(r"\w+", QUOTED.sub(" ", expression)))
