"""What sorce builds keeps the rules of Dashboards, and each rule refuses a sample that breaks it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from sorce.dashboards.build import built
from sorce.dashboards.objects import Ids, SavedObject, ndjson
from sorce.dashboards.photos import PhotosView
from sorce.dashboards.rules import problems, refuse_broken
from sorce.errors import DashboardsError
from sorce.mappings.found import FoundIndex
from sorce.mappings.index import attribute_types, index_body
from sorce.mappings.query import Version
from tests.dashboards.conftest import Record
from tests.kit.corpus import RECIPE

Json = dict[str, Any]

TYPES = attribute_types({"shop": "north", "aisle": 3, "price": 2.5}) | {"sold": {"type": "date"}}


def found(name: str = "photos") -> FoundIndex:
    mapping = index_body(RECIPE, attributes=TYPES)["mappings"]
    return FoundIndex.of(name, {name: {"mappings": mapping, "settings": {"index.uuid": "x"}}})


VIEW = PhotosView(found(), Version(3, 6), regions=1000, has_thumbnails=True, page="https://photos.example")


def objects(view: PhotosView = VIEW) -> list[SavedObject]:
    return built(view)


@pytest.mark.parametrize(
    "view",
    [
        VIEW,
        PhotosView(found("photos-2026"), Version(2, 19), regions=2_000_000, time_field="taken_at"),
        PhotosView(found(), Version(2, 19), regions=0, page="http://127.0.0.1:8100/base"),
    ],
    ids=["all", "large", "page"],
)
def test_what_is_built_keeps_every_rule(view: PhotosView, record_property: Record) -> None:
    content = ndjson(objects(view))
    found = problems(content)
    record_property("objects built", len(objects(view)))
    record_property("objects refused", len({problem.partition(":")[0] for problem in found}))
    assert found == []
    refuse_broken(content)
    assert content.count(b"\n") == len(objects(view)) > 30


def part(lines: list[Json], name: str) -> Json:
    return next(line for line in lines if line["id"] == f"sorce-{name}-photos")


def spec_of(lines: list[Json], change: Callable[[Json], Any]) -> None:
    """Changes the Vega specification of the grid."""
    attributes = part(lines, "grid")["attributes"]
    state = json.loads(attributes["visState"])
    spec = json.loads(state["params"]["spec"])
    change(spec)
    state["params"]["spec"] = json.dumps(spec)
    attributes["visState"] = json.dumps(state)


def source_of(lines: list[Json], **more: Any) -> None:
    meta = part(lines, "list")["attributes"]["kibanaSavedObjectMeta"]
    meta["searchSourceJSON"] = json.dumps(json.loads(meta["searchSourceJSON"]) | more)


def name_click(spec: Json) -> None:
    spec["signals"][-1]["on"][0]["update"] = "window.open(datum.photo)"


BROKEN: dict[str, tuple[Callable[[list[Json]], Any], str]] = {
    "unknown attribute": (
        lambda lines: part(lines, "board")["attributes"].update(variablesJSON="{}"),
        "the attribute variablesJSON is unknown to some version",
    ),
    "display name": (
        lambda lines: part(lines, "pattern")["attributes"].update(displayName="Photos"),
        "the attribute displayName is unknown to some version",
    ),
    "too new": (
        lambda lines: part(lines, "grid").update(migrationVersion={"visualization": "7.11.0"}),
        "its migrationVersion is not the one",
    ),
    "not a string": (
        lambda lines: part(lines, "grid")["attributes"].update(visState={"type": "vega"}),
        "visState is no string that holds JSON",
    ),
    "broken string": (
        lambda lines: part(lines, "board")["attributes"].update(panelsJSON="[{"),
        "panelsJSON holds a string that is no JSON",
    ),
    "no reference": (
        lambda lines: part(lines, "list").update(references=[]),
        "it has no reference 'kibanaSavedObjectMeta.searchSourceJSON.index'",
    ),
    "reference to nothing": (
        lambda lines: lines.remove(part(lines, "rejects")),
        "it refers to index-pattern sorce-rejects-photos, which is not there",
    ),
    "bare index": (lambda lines: source_of(lines, index="sorce-pattern-photos"), "searchSourceJSON names its index"),
    "twice": (lambda lines: lines.append(dict(lines[0])), "index-pattern sorce-pattern-photos is there twice"),
    "query and context": (
        lambda lines: spec_of(lines, lambda spec: spec["data"][0]["url"].update({"%context%": True})),
        "both a query and %context%",
    ),
    "no schema": (lambda lines: spec_of(lines, lambda spec: spec.pop("$schema")), "has no $schema"),
    "forbidden expression": (lambda lines: spec_of(lines, name_click), "uses 'window', which Dashboards refuses"),
    "control without reference": (
        lambda lines: part(lines, "controls")["references"].pop(),
        "it has no reference 'control_4_index_pattern'",
    ),
    "export's last line": (
        lambda lines: lines.append({"exportedCount": 3, "missingRefCount": 0}),
        "exportedCount, missingRefCount is not part of a saved object",
    ),
}


@pytest.mark.parametrize(("spoil", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_sample_is_refused(spoil: Callable[[list[Json]], Any], said: str, record_property: Record) -> None:
    lines = [each.as_json() for each in objects()]
    spoil(lines)
    content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    is_refused = any(said in problem for problem in problems(content))
    record_property("broken sample", "refused" if is_refused else "taken")
    assert is_refused, problems(content)
    with pytest.raises(DashboardsError, match="break rules of OpenSearch Dashboards"):
        refuse_broken(content)


def test_two_indices_share_no_id() -> None:
    one, other = Ids("photos"), Ids("list-photos")
    assert one.made("sorce-list-photos")
    assert not other.made("sorce-list-photos")
    assert not one.made("sorce-list-list-photos")
    assert not one.made("my-own-photos")


def test_an_object_tells_what_wrote_it() -> None:
    first, again = objects(), objects()
    other = objects(PhotosView(found(), Version(3, 6), regions=1000, page="https://elsewhere.example"))
    said = {each.id: each.attributes.get("description") for each in first}
    assert said == {each.id: each.attributes.get("description") for each in again}
    changed = {each.id for each in other if each.attributes.get("description") != said[each.id]}
    assert changed == {"sorce-grid-photos", "sorce-help-photos", "sorce-list-photos"}
