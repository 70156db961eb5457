"""The panels as a browser shows them: Vega in Chromium, on answers of real clusters (`make test-browser`)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opensearchpy import OpenSearch
from PIL import Image

from sorce.dashboards.grid import CELL, COLUMNS, VEGA_SETTING
from sorce.dashboards.photos import PhotosView, photos_objects
from tests.dashboards.conftest import Record
from tests.kit.chromium import VEGA, browser_marks, chromium
from tests.kit.vega import Browser, Pictures, browser, serving_pictures, with_answers

Json = dict[str, Any]

pytestmark = browser_marks(vega=VEGA)

QUESTION = "a small red umbrella"


@pytest.fixture(scope="module")
def started() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def shown(started: Any) -> Iterator[Browser]:
    with browser(started) as found:
        yield found


@pytest.fixture
def pictures() -> Iterator[Pictures]:
    with serving_pictures() as there:
        yield there


def spec_of(view: PhotosView, part: str) -> Json:
    [found] = [each for each in photos_objects(view) if each.id == view.ids.of(part)]
    spec: Json = json.loads(json.loads(found.attributes["visState"])["params"]["spec"])
    return spec


def grid(view: PhotosView, page: str | None) -> Json:
    return spec_of(PhotosView(view.found, view.version, view.regions, page=page), "grid")


def keep(picture: Image.Image, name: str) -> None:
    """Into the folder SORCE_PICTURES, for people to look at."""
    folder = os.environ.get("SORCE_PICTURES")
    if folder is not None:
        picture.save(Path(folder) / f"{name}.png")


def test_boxes_lie_where_the_hits_say(
    client: OpenSearch, view: PhotosView, shown: Browser, pictures: Pictures, record_property: Record
) -> None:
    spec = with_answers(client, grid(view, pictures.url), QUESTION)
    shown.show(spec, external_urls=True)
    hits = spec["data"][0]["values"]["hits"]["hits"]
    expected = []
    for n, hit in enumerate(hits):
        scale = min((CELL - 8) / hit["fields"]["width"][0], (CELL - 28) / hit["fields"]["height"][0])
        left, top = n % COLUMNS * CELL, n // COLUMNS * CELL
        for region in hit["inner_hits"]["p0"]["hits"]["hits"]:
            x1, y1, x2, y2 = (region["fields"][f"regions.{name}"][0] * scale for name in ("x1", "y1", "x2", "y2"))
            expected.append((left + x1, top + y1, x2 - x1, y2 - y1))
    found = [(box["x"], box["y"], box["width"], box["height"]) for box in shown.items("box")]
    assert len(hits) == 20
    assert len(found) == 60
    off = np.abs(np.array(found) - np.array(expected)).max()
    record_property("pixels off", float(off))
    assert off <= 0.5
    similarities = [float(each["text"].split()[0]) for each in shown.items("caption")]
    assert similarities == pytest.approx([hit["_score"] - 1 for hit in hits], abs=0.001)
    assert shown.errors == []
    keep(shown.picture(), "grid")


# The content policy, whether Vega may load pictures, whether the page sends CORS headers, and whether pictures show.
CASES = {
    "both settings": (None, True, True, True),
    "without enableExternalUrls": (None, False, True, False),
    # An SVG needs none.
    "without CORS": (None, True, False, True),
    "forbidden by the policy": ("img-src 'self' data:", True, True, False),
}


def is_red(pixel: tuple[int, ...]) -> bool:
    """A thin line may share its pixel with what is below."""
    return pixel[0] > 1.15 * max(pixel[1:3])


def drawn_boxes(shown: Browser, picture: Image.Image) -> int:
    """How many boxes are seen: the picture is red in the middle of their left edges."""
    places = [(box["x"], box["y"] + box["height"] / 2) for box in shown.items("box")]
    near = [[(max(0, int(x) + step), int(y)) for step in (-1, 0, 1)] for x, y in places]
    return sum(any(is_red(picture.getpixel(place)) for place in each) for each in near)


@pytest.mark.parametrize("name", CASES)
def test_pictures_show_when_both_settings_allow_them(
    client: OpenSearch, view: PhotosView, pictures: Pictures, started: Any, name: str
) -> None:
    policy, external, pictures.cors, seen = CASES[name]
    spec = with_answers(client, grid(view, pictures.url), QUESTION)
    with browser(started, policy) as page:
        page.show(spec, external_urls=external)
        picture = page.picture()
        keep(picture, name.replace(" ", "-"))
        # Boxes are drawn in any case, and the sentence that names the settings stands where no picture covers it.
        assert drawn_boxes(page, picture) == 60
        assert page.items("missing")[0]["text"][1:3] == [
            f"{VEGA_SETTING} or",
            f'csp.allowedImgSources: ["{pictures.url}"]',
        ]
        photo = page.items("photo")[0]
        lower_right = (int(photo["x"] + photo["width"] - 5), int(photo["y"] + photo["height"] - 5))
        assert (picture.getpixel(lower_right) == pictures.colour) is seen
        middle = picture.crop((60, 60, int(photo["width"]) - 20, int(photo["height"]) - 20))
        # Letters are dark; a picture of one colour has none.
        grey = [pixel for pixel in middle.getdata() if max(pixel) < 200 and max(pixel) - min(pixel) < 10]
        assert bool(grey) is not seen
        assert (pictures.asked > 0) is (external and policy is None)


def test_without_the_page_the_grid_says_how_to_get_pictures(
    client: OpenSearch, view: PhotosView, shown: Browser
) -> None:
    shown.show(with_answers(client, grid(view, None), QUESTION), external_urls=True)
    assert shown.items("picture") == []
    assert shown.items("missing")[0]["text"][1] == "with --page URL"


def test_stored_thumbnails_show_with_the_setting_of_vega_alone(
    client: OpenSearch, view: PhotosView, shown: Browser
) -> None:
    stored = PhotosView(view.found, view.version, view.regions, has_thumbnails=True)
    spec = with_answers(client, spec_of(stored, "grid"), QUESTION)
    for hit in spec["data"][0]["values"]["hits"]["hits"]:
        # A WebP of one blue pixel, in Base64.
        hit["_source"] = {"thumbnail": "UklGRhwAAABXRUJQVlA4TA8AAAAvAAAAAAcQ/Y/+ByKi/wEA"}
    del spec["data"][0]["values"]["hits"]["hits"][3]["_source"]
    shown.show(spec, external_urls=True)
    assert len(shown.items("picture")) == 19
    assert shown.items("missing")[3]["text"][0] == "this photo has no thumbnail: run"
    assert shown.items("missing")[4]["text"][1] == VEGA_SETTING
    assert shown.errors == []


def test_a_click_filters_to_the_photo(client: OpenSearch, view: PhotosView, shown: Browser, pictures: Pictures) -> None:
    spec = with_answers(client, grid(view, pictures.url), QUESTION)
    shown.show(spec, external_urls=True)
    hits = spec["data"][0]["values"]["hits"]["hits"]
    photo, box = shown.items("photo")[6], shown.items("box")[0]
    for place in ((photo["x"] + photo["width"] - 4, photo["y"] + photo["height"] - 4), (box["x"] + 5, box["y"] + 5)):
        shown.page.mouse.click(*place)
    asked = shown.page.evaluate("window.filters")
    ids = [hits[6]["_id"], hits[0]["_id"]]
    assert asked == [[{"match_phrase": {"photo_id": each}}, view.found.asked] for each in ids]


@pytest.mark.parametrize("external", [True, False])
def test_the_slider_hides_boxes(
    client: OpenSearch, view: PhotosView, shown: Browser, pictures: Pictures, external: bool
) -> None:
    spec = with_answers(client, grid(view, pictures.url), QUESTION)
    shown.show(spec, external_urls=external)
    scores = [
        region["_score"] - 1
        for hit in spec["data"][0]["values"]["hits"]["hits"]
        for region in hit["inner_hits"]["p0"]["hits"]["hits"]
    ]
    shown.page.evaluate("view.signal('least', 0.5).runAsync()")
    left = sum(score >= 0.5 for score in scores)
    assert len(shown.items("box")) == drawn_boxes(shown, shown.picture()) == left < len(scores)
    assert shown.page.locator("#v svg .box > path").count() == left


def test_a_picture_that_is_missing_costs_no_other(
    client: OpenSearch, view: PhotosView, shown: Browser, pictures: Pictures
) -> None:
    spec = with_answers(client, grid(view, pictures.url), QUESTION)
    pictures.missing = spec["data"][0]["values"]["hits"]["hits"][0]["_id"]
    shown.show(spec, external_urls=True)
    picture = shown.picture()
    assert drawn_boxes(shown, picture) == 60
    corners = [(int(each["x"] + each["width"] - 5), int(each["y"] + 90)) for each in shown.items("photo")]
    assert [picture.getpixel(corner) == pictures.colour for corner in corners] == [False] + [True] * 19
    assert shown.errors == shown.told() == []


@pytest.mark.parametrize("part", ["time", "folder", "camera", "kind", "size", "attribute0", "attribute1"])
def test_counts_are_drawn(client: OpenSearch, view: PhotosView, shown: Browser, part: str) -> None:
    spec = with_answers(client, spec_of(view, part))
    # Dashboards sets the size to that of the panel.
    shown.show({**spec, "width": 330, "height": 240}, external_urls=False)
    bars = shown.items("bar")
    values = next(data for data in spec["data"] if "values" in data)
    buckets = values["values"]
    for name in values["format"]["property"].split("."):
        buckets = buckets[name]
    assert len(bars) == len(buckets) > 0
    across = "height" if part == "time" else "width"
    counts = [bucket["doc_count"] for bucket in buckets]
    scale = max(bar[across] for bar in bars) / max(counts)
    assert [bar[across] for bar in bars] == pytest.approx([count * scale for count in counts], abs=1)
    assert shown.errors == []
    keep(shown.picture(), f"counts-{part}")
    if part in ("folder", "camera"):
        [left, top, padding] = shown.page.evaluate("[...view.origin(), view.padding().left]")
        shown.page.evaluate("window.filters = []")
        shown.page.mouse.click(left + padding + 5, top + padding + bars[0]["y"] + bars[0]["height"] / 2)
        expected = [[{"match_phrase": {part: buckets[0]["key"]}}, view.found.asked]]
        assert shown.page.evaluate("window.filters") == expected


HOSTILE = [
    "<script>window.hacked = 1</script>.jpg",
    '"><img src=x onerror="window.hacked = 1">.jpg',
    "'+window.hacked+'.jpg",
    "x" * 5000 + ".jpg",
    "\u202egpj.exe",
    "two\nlines\x1b[31m.jpg",
    "{{value}} ${x} \\u0041.jpg",
    "",
]


def test_hostile_names_are_only_text(client: OpenSearch, view: PhotosView, shown: Browser, pictures: Pictures) -> None:
    spec = with_answers(client, grid(view, pictures.url), QUESTION)
    for hit, name in zip(spec["data"][0]["values"]["hits"]["hits"], HOSTILE, strict=False):
        hit["fields"] |= {"file_name": [name], "folder": [name]}
    shown.show(spec, external_urls=True)
    captions = [each["text"][7:] for each in shown.items("caption")[: len(HOSTILE)]]
    assert captions[:3] == HOSTILE[:3]
    assert captions[3] == "x" * 199 + "…"
    assert captions[4:6] == ["\ufffdgpj.exe", "two\ufffdlines\ufffd[31m.jpg"]
    assert captions[6:] == HOSTILE[6:]
    tooltips = [each["tooltip"] for each in shown.items("photo")[: len(HOSTILE)]]
    assert [each["photo"] for each in tooltips] == [each["folder"] for each in tooltips] == captions
    assert [each["tooltip"]["photo"] for each in shown.items("box")[: 3 * len(HOSTILE) : 3]] == captions
    assert shown.page.evaluate("window.hacked") is None
    assert shown.errors == []
    keep(shown.picture(), "hostile-names")


def test_a_malformed_document_is_named_and_the_rest_is_drawn(
    client: OpenSearch, view: PhotosView, shown: Browser, pictures: Pictures
) -> None:
    spec = with_answers(client, grid(view, pictures.url), QUESTION)
    hits = spec["data"][0]["values"]["hits"]["hits"]
    del hits[0]["fields"]
    hits[1]["fields"]["width"] = [0]
    del hits[2]["fields"]["folder"]
    del hits[3]["inner_hits"]["p0"]["hits"]["hits"][0]["fields"]["regions.x1"]
    shown.show(spec, external_urls=True)
    captions = [each["text"][7:] for each in shown.items("caption")]
    assert captions[0] == f"{hits[0]['_id']} (its document is malformed)"
    assert captions[1] == f"{hits[1]['fields']['file_name'][0]} (its document is malformed)"
    assert captions[2:] == [hit["fields"]["file_name"][0] for hit in hits[2:]]
    assert len(shown.items("box")) == 60 - 3 - 3 - 1
    assert shown.errors == []


def test_a_click_on_a_hostile_value_filters_to_it(client: OpenSearch, view: PhotosView, shown: Browser) -> None:
    spec = with_answers(client, spec_of(view, "folder"))
    spec["data"][0]["values"]["aggregations"]["values"]["buckets"] = [
        {"key": name, "doc_count": 9} for name in HOSTILE if name
    ]
    shown.show({**spec, "width": 330, "height": 240}, external_urls=False)
    bars = shown.items("bar")
    assert len(bars) == len(HOSTILE) - 1
    [left, top, padding] = shown.page.evaluate("[...view.origin(), view.padding().left]")
    for bar in bars:
        shown.page.mouse.click(left + padding + 5, top + padding + bar["y"] + bar["height"] / 2)
    clicked = [clause["match_phrase"]["folder"] for clause, _ in shown.page.evaluate("window.filters")]
    assert clicked == HOSTILE[:-1]
    assert shown.page.evaluate("window.hacked") is None
    assert shown.errors == []
