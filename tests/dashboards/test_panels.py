"""What the panels ask, against real clusters: hits as the stored template's and numpy's, counts as numpy's."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from opensearchpy import OpenSearch

from sorce.cluster import find_index, version
from sorce.dashboards.build import built
from sorce.dashboards.photos import PhotosView, photos_objects
from sorce.dashboards.question import GridSearch, question
from sorce.mappings.names import Names
from tests.dashboards.conftest import Record
from tests.dashboards.test_charts import CHARTS
from tests.kit.corpus import PHOTOS, Corpus, Words
from tests.kit.dashboards import counting, filled

Json = dict[str, Any]

QUESTIONS = [
    *(
        "a fish",
        "a small red umbrella",
        "umbrella",
        "two cups on a table",
        "ein Hund auf der Straße",
        "犬",
        "a dog AND a cat",
    ),
    *(
        "bicycle without a rider",
        "the letter x",
        "42",
        "A PHOTO",
        "a b",
        "half hidden zebra",
        "cat's eye",
        "naïve café",
    ),
    *("a red-brown owl", "x" * 300, "a traffic light; red", "wheel, broken", "not a cup"),
]


@pytest.fixture(scope="module", params=["exact", "graph"])
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def asked(form: str, client: OpenSearch, index: str) -> Json:
    """The panel's body: for an index of this size, and for one beyond a million regions."""
    regions = {"exact": 1800, "graph": 2_000_000}[form]
    return question(GridSearch(index, version(client), regions, "ingested_at", 10, 3))


def hits(client: OpenSearch, index: str, body: Json) -> list[tuple[str, float, int]]:
    """Each hit's photo, score and best region."""
    found = client.search(index=index, body=body)["hits"]["hits"]
    return [
        (hit["_id"], round(hit["_score"], 5), hit["inner_hits"]["p0"]["hits"]["hits"][0]["fields"]["regions.id"][0])
        for hit in found
    ]


def test_twenty_questions_give_the_template_s_hits(
    client: OpenSearch, index: str, asked: Json, form: str, line: str, record_property: Record
) -> None:
    others = []
    for text in QUESTIONS:
        body = {"id": f"sorce-{index}", "params": {"text": text, "exact": True}}
        params = {"search_pipeline": f"sorce-{index}"}
        path = f"/{index}/_search/template"
        found = client.transport.perform_request("POST", path, params=params, body=body)["hits"]["hits"]
        expected = [(hit["_id"], round(hit["_score"], 5)) for hit in found]
        assert len(expected) == 10
        if [hit[:2] for hit in hits(client, index, filled(asked, text))] != expected:
            others.append(text)
    record_property(f"questions as the template, {form}, {line}", len(QUESTIONS) - len(others))
    assert others == []


PILLS: Mapping[str, tuple[list[Json], list[Json], Any]] = {
    "camera": ([{"match_phrase": {"camera": "Canon"}}], [], lambda photo: photo.camera == "Canon"),
    "not a camera": ([], [{"match_phrase": {"camera": "Canon"}}], lambda photo: photo.camera is None),
    "one percent": (
        [{"terms": {"photo_id": [f"{7:032x}", f"{8:032x}"]}}],
        [],
        lambda photo: photo.file.file_name in ("7.jpg", "8.jpg"),
    ),
    "two": (
        [{"match_phrase": {"attributes.aisle": 2}}, {"match_phrase": {"folder": "/a"}}],
        [],
        lambda photo: photo.attributes["aisle"] == 2 and photo.file.folder == "/a",
    ),
    "none": ([{"match_phrase": {"camera": "Nikon"}}], [], lambda _: False),
}


@pytest.mark.parametrize("name", PILLS)
def test_filters_cost_no_hit(client: OpenSearch, index: str, asked: Json, corpus: Corpus, name: str) -> None:
    pills, against, keeps = PILLS[name]
    cosines = (corpus.vectors @ Words().embed_texts(["a small fish"])[0]).astype(np.float64)
    kept = [i for i in range(PHOTOS) if keeps(corpus.photos[i])]
    best = sorted(kept, key=lambda i: -cosines[i].max())[:10]
    found = hits(client, index, filled(asked, "a small fish", pills, against))
    assert [hit[0] for hit in found] == [f"{i:032x}" for i in best]
    assert [hit[2] for hit in found] == [int(cosines[i].argmax()) for i in best]
    assert [hit[1] - 1 for hit in found] == pytest.approx([cosines[i].max() for i in best], abs=1e-4)


def test_a_filter_of_one_percent_shows_numpy_s_first_ten(
    client: OpenSearch, index: str, line: str, record_property: Record
) -> None:
    corpus, name = Corpus(photos=1500, regions=2), f"{index}-many"
    corpus.load(client, name)
    try:
        body = question(GridSearch(name, version(client), 3000, "ingested_at", 10, 3))
        # The pipeline is that of the index with the plugin: the model is the same.
        pills = [{"terms": {"photo_id": [f"{i:032x}" for i in range(0, 1500, 100)]}}]
        asked = filled({**body, "search_pipeline": Names(index).bar}, "a small fish", pills)
        found = [hit[0] for hit in hits(client, name, asked)]
    finally:
        client.indices.delete(index=name)
    best = (corpus.vectors[::100] @ Words().embed_texts(["a small fish"])[0]).max(axis=1)
    expected = [f"{100 * i:032x}" for i in np.argsort(-best)[:10]]
    same = sum(mine == right for mine, right in zip(found, expected, strict=False))
    record_property(f"first ten as numpy, {line}", same)
    assert found == expected


def test_an_empty_bar_shows_photos(client: OpenSearch, index: str, asked: Json) -> None:
    assert hits(client, index, filled(asked)) == hits(client, index, filled(asked, "a photo"))


def requests(view: PhotosView) -> dict[str, Json]:
    """The bodies of all Vega panels, by the part of their ids."""
    found = {}
    for each in photos_objects(view):
        state = json.loads(each.attributes.get("visState", "{}"))
        if state.get("type") == "vega":
            [data] = [one for one in json.loads(state["params"]["spec"])["data"] if "url" in one]
            found[each.id.split("-")[1]] = data["url"]["body"]
    return found


PATHS = {"kind": ("regions", "kinds"), "size": ("regions", "sizes"), "time": ("taken",)}
"""Where the buckets of a panel are in its answer, else in `values`."""


def counted(client: OpenSearch, index: str, body: Json, part: str) -> dict[Any, int]:
    found = client.search(index=index, body=body)["aggregations"]
    for name in PATHS.get(part, ("values",)):
        found = found[name]
    return {bucket.get("key_as_string", bucket["key"]): bucket["doc_count"] for bucket in found["buckets"]}


def expected_counts(corpus: Corpus, kept: list[int]) -> dict[str, Any]:
    """What each panel must count over these photos. Of sizes and months, the numbers alone, in their order."""
    photos = [corpus.photos[i] for i in kept]
    regions = [region for i in kept for region in corpus.regions[i]]
    areas = np.array([each.box.share_of(1000, 800) for each in regions])
    months = np.bincount([photo.taken_at.month for photo in photos if photo.taken_at], minlength=13)
    return {
        "folder": Counter(photo.file.folder for photo in photos),
        "camera": Counter(photo.camera for photo in photos if photo.camera),
        "attribute0": Counter(photo.attributes["aisle"] for photo in photos),
        "attribute1": Counter(photo.attributes["shop"] for photo in photos),
        "kind": Counter(each.kind for each in regions),
        "size": list(np.histogram(areas, [0, 0.0001, 0.001, 0.01, 0.1, 1])[0]),
        "time": [count for count in months if count],
    }


@pytest.mark.parametrize("filtered", [False, True])
def test_counts_are_numpy_s(
    client: OpenSearch, view: PhotosView, corpus: Corpus, line: str, filtered: bool, record_property: Record
) -> None:
    expected = expected_counts(corpus, [i for i in range(PHOTOS) if not filtered or corpus.photos[i].camera == "Canon"])
    bodies = requests(view)
    assert set(bodies) == {"grid", *expected}
    pills = [{"match_phrase": {"camera": "Canon"}}] if filtered else []
    wrong = []
    for part, right in expected.items():
        # What is typed is no filter: it changes no count.
        body = filled(bodies[part], "a small red umbrella", pills)
        found = counted(client, view.found.asked, body, part)
        values = list(found.values())
        mine = [count for count in values if count] if part == "time" else values if part == "size" else found
        if mine != right:
            wrong.append((part, mine, right))
        elif not filtered:
            record_property(f"panel as numpy, {line}", part)
    assert wrong == []


def test_every_panel_that_counts_is_asked(view: PhotosView, corpus: Corpus, line: str, record_property: Record) -> None:
    found = counting(built(view))
    record_property(f"panels that count, {line}", len(found))
    assert found == {*expected_counts(corpus, [0]), *CHARTS}


def test_the_time_range_holds(client: OpenSearch, index: str) -> None:
    body = question(GridSearch(index, version(client), 1800, "taken_at", 200, 1))
    text = json.dumps(filled(body, "a fish")).replace("1996-11-29", "2026-03-15").replace("2026-11-29T", "2026-05-15T")
    assert {int(hit[0], 16) % 12 for hit in hits(client, index, json.loads(text))} == {3, 4}
    assert find_index(client, index).asked == index
