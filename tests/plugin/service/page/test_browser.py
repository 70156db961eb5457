"""The page in Chromium (`make test-browser`): each behaviour, on drawn scenes in a real OpenSearch."""

from __future__ import annotations

import csv
import json
import re
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zipfile import ZipFile

import httpx
import pytest
from opensearchpy import OpenSearch
from PIL import Image

from sorce.mappings.index import index_body
from sorce.plugin.service.page.settings import PageSettings
from tests.kit.album import MODEL, SCRIPT, Album, fill, served_page
from tests.kit.chromium import AXE, browser_marks, chromium
from tests.kit.gallery import AGAIN, HEBREW, HUGE, Gallery, GalleryModel, fill_gallery, served_gallery

pytestmark = browser_marks(axe=AXE)

Json = dict[str, Any]
STATIC = Path(__file__).parents[4] / "plugin/service/page/static"
TEXT = "kick scooter"
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def started() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def model() -> GalleryModel:
    return GalleryModel()


@pytest.fixture(scope="module")
def gallery(cluster: OpenSearch, model: GalleryModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    name = f"test-browser-{uuid.uuid4().hex[:8]}"
    yield fill_gallery(cluster, model, name, tmp_path_factory.mktemp("gallery"))
    cluster.indices.delete(index=f"{name}-*")


@pytest.fixture(scope="module")
def url(cluster: OpenSearch, gallery: Gallery, model: GalleryModel, cache: Path) -> Iterator[str]:
    with served_gallery(cluster, gallery, model, PageSettings([gallery.root], cache=cache)) as address:
        yield address


Show = Callable[..., Any]


@pytest.fixture
def show(started: Any, url: str) -> Iterator[Show]:
    """Opens the page with this query. Afterwards: nothing on the console, and no request to another host."""
    contexts: list[Any] = []
    seen: dict[str, list[str]] = {"errors": [], "foreign": []}

    def opened(query: str = "", at: str = url, expected: tuple[str, ...] = (), **options: Any) -> Any:
        context = started.new_context(**{"viewport": WIDE, **options})
        contexts.append(context)
        context.set_default_timeout(60_000)
        page = context.new_page()

        def told(message: Any) -> None:
            if message.type == "error" and not any(each in message.text for each in expected):
                seen["errors"].append(message.text)

        def asked(request: Any) -> None:
            if not request.url.startswith((at, "blob:", "data:")):
                seen["foreign"].append(request.url)

        page.on("console", told)
        page.on("pageerror", lambda error: seen["errors"].append(str(error)))
        page.on("request", asked)
        page.goto(f"{at}/{query}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert seen == {"errors": [], "foreign": []}


def ids(page: Any) -> list[str]:
    found: list[str] = page.locator(".tile").evaluate_all("all => all.map(tile => tile.dataset.id)")
    return found


def waited(page: Any, number: int | None = None) -> list[str]:
    """The ids of the tiles, once there are some, or so many."""
    page.wait_for_function(
        "n => { const all = document.querySelectorAll('.tile').length; return n === null ? all > 0 : all === n; }",
        arg=number,
    )
    page.wait_for_selector("#progress", state="hidden")
    return ids(page)


def answer(url: str, **body: Any) -> Json:
    found = httpx.post(f"{url}/api/search", json={"phrases": [TEXT], "fold": 0.97, **body}, timeout=30)
    return dict(found.raise_for_status().json())


def query_of(page: Any) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def rect(page: Any, selector: str) -> Json:
    """Where an element is on the screen; transforms are counted in."""
    place: Json = page.locator(selector).first.evaluate(
        "e => { const {x, y, width, height} = e.getBoundingClientRect(); return {x, y, width, height}; }"
    )
    return place


def open_first(page: Any) -> None:
    waited(page)
    page.locator(".tile a.picture").first.click()
    page.wait_for_selector("#stage .box")


# Searching


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["desktop", "phone"])
def test_four_phrases_can_be_told_apart(show: Show, size: dict[str, int]) -> None:
    page = show(f"?q={TEXT}&q={TEXT}&q=robot&q={TEXT}", viewport=size)
    waited(page)
    tile = page.locator(".tile").first
    assert tile.locator(".overlay text").count() == 4
    # Three of them have the same box.
    places = tile.locator(".overlay text").evaluate_all("all => all.map(e => e.getBoundingClientRect().x)")
    assert len({round(place) for place in places}) >= 3
    cut = "e => { const one = e.getBoundingClientRect(), all = e.parentElement.getBoundingClientRect();"
    cut += " return one.top < all.top || one.bottom > all.bottom || one.right > all.right; }"
    assert not any(badge.evaluate(cut) for badge in tile.locator(".badge").all())


def test_a_search_shows_the_hits_of_the_server_in_their_order(show: Show, url: str) -> None:
    page = show()
    page.wait_for_selector(".message")
    assert page.evaluate("document.activeElement.matches('.term input')")
    page.keyboard.type(TEXT)
    page.keyboard.press("Enter")
    shown, hits = waited(page), answer(url)["hits"]
    assert shown == [hit["photo_id"] for hit in hits]
    assert query_of(page)["q"] == [TEXT]
    badges = page.locator(".tile .badge").all_inner_texts()
    assert [float(each) for each in badges] == pytest.approx([hit["similarity"] for hit in hits], abs=0.006)
    status = page.locator("#status").inner_text()
    assert status.startswith("8 photos · 9 photos, ")
    assert " ms" in status
    assert TEXT in page.title()


def test_the_best_box_lies_on_the_thumbnail_where_the_hit_says(show: Show, url: str) -> None:
    page = show(f"?q={TEXT}")
    waited(page)
    page.wait_for_selector(".picture.loaded")
    for hit in answer(url)["hits"][:3]:
        tile = f".tile[data-id='{hit['photo_id']}']"
        whole, box = rect(page, f"{tile} .picture"), rect(page, f"{tile} .box .line")
        x1, y1, x2, _ = hit["matches"][0][0]["relative_box"]
        assert box["x"] - whole["x"] == pytest.approx(x1 * whole["width"], abs=2.5)
        assert box["y"] - whole["y"] == pytest.approx(y1 * whole["height"], abs=2.5)
        assert box["width"] == pytest.approx((x2 - x1) * whole["width"], abs=4)


def test_several_phrases_have_colours_and_letters_and_a_not_counts_against(show: Show, url: str) -> None:
    page = show(f"?q={TEXT}")
    waited(page)
    page.get_by_role("button", name="Add another phrase").click()
    page.keyboard.type("robot")
    page.get_by_role("button", name="Add something that the photo must not show").click()
    page.keyboard.type("snowman")
    page.keyboard.press("Enter")
    page.wait_for_selector(".badge >> text=B")
    hits = answer(url, phrases=[TEXT, "robot"], nots=["snowman"])["hits"]
    assert waited(page) == [hit["photo_id"] for hit in hits]
    badges = page.locator(".tile").first.locator(".badge")
    assert [each[0] for each in badges.all_inner_texts()] == ["A", "B"]
    colours = badges.evaluate_all("all => all.map(e => getComputedStyle(e).backgroundColor)")
    assert len(set(colours)) == 2
    assert page.locator(".tile").first.locator("svg .label").all_text_contents() == ["B", "A"]
    assert page.locator(".term .letter").all_inner_texts() == ["A", "B", "\N{MINUS SIGN}"]
    # Taking a phrase away searches again.
    page.locator(".term").nth(1).get_by_role("button").click()
    page.wait_for_function("() => !location.search.includes('robot')")


def test_filters_are_those_of_the_index_and_narrow_the_hits(show: Show, url: str) -> None:
    page = show(f"?q={TEXT}")
    waited(page)
    legends = page.locator("#filters legend").all_inner_texts()
    assert {"Kind of box", "Folder", "Camera", "Keywords", "Taken on", "Size of the box", "Near a place"} < set(legends)
    page.locator("[id='filter-where-shop']").select_option("north")
    page.wait_for_selector(".condition >> text=shop=north")
    page.locator("[id='filter-attributes.aisle-0']").fill("3")
    page.keyboard.press("Tab")
    page.wait_for_selector(".condition >> text=aisle>=3")
    page.locator("[id='filter-taken_on-1']").fill("2026-06-30")
    page.locator("#filter-folder").select_option("shelf")
    page.wait_for_selector(".condition >> text=folder shelf")
    where = ["shop=north", "aisle>=3"]
    hits = answer(url, filter={"where": where, "folder": "shelf", "until": "2026-06-30"})["hits"]
    assert waited(page, len(hits)) == [hit["photo_id"] for hit in hits]
    assert 0 < len(hits) < 6
    assert query_of(page)["where"] == where
    page.locator(".condition >> text=aisle>=3").click()
    page.wait_for_function("() => !location.search.includes('aisle')")
    page.go_back()
    page.wait_for_selector(".condition >> text=aisle>=3")


def test_the_ends_of_a_range_are_those_of_the_index(show: Show) -> None:
    page = show()
    page.wait_for_selector("text=What are you looking for?")
    fields = [{"name": "attributes.year", "type": "integer", "min": 2019, "max": 2031}]
    told = page.evaluate(
        """async fields => {
            const root = document.createElement("div");
            const { showFilters } = await import("./static/filters.js");
            showFilters(root, fields, {}, () => {});
            return [...root.querySelectorAll("input")].map(each => each.placeholder);
        }""",
        fields,
    )
    assert told == ["2019", "2031"]


def test_boxes_per_photo_and_kinds(show: Show) -> None:
    page = show(f"?q={TEXT}")
    waited(page)
    page.locator("#boxes").fill("3")
    page.keyboard.press("Tab")
    page.wait_for_function("() => document.querySelector('.tile').querySelectorAll('.box').length === 3")
    page.get_by_role("checkbox", name="whole photo").check()
    page.wait_for_selector(".condition >> text=whole photo")
    waited(page)
    page.wait_for_function("() => document.querySelector('.tile').querySelectorAll('.box').length === 1")


def test_less_of_what_matches_any_text(show: Show, url: str) -> None:
    page = show(f"?q={TEXT}")
    waited(page)
    assert page.locator("#rank-setting").is_hidden()
    page.locator("#debias").fill("2")
    page.wait_for_function("() => location.search.includes('debias=2')")
    hits = answer(url, debias=2)["hits"]
    assert waited(page) == [hit["photo_id"] for hit in hits] != [hit["photo_id"] for hit in answer(url)["hits"]]


def test_hits_are_ordered_by_the_quality_of_their_boxes_too(show: Show, url: str, gallery: Gallery) -> None:
    page = show(f"?index={gallery.rated}&q={TEXT}")
    by_similarity = waited(page)
    page.locator("#rank").select_option("product")
    page.wait_for_function("() => location.search.includes('rank=product')")
    hits = answer(url, index=gallery.rated, rank="product")["hits"]
    assert waited(page) == [hit["photo_id"] for hit in hits] != by_similarity


def test_the_first_hits_are_looked_at_again(show: Show, url: str) -> None:
    page = show(f"?q={TEXT}")
    waited(page)
    page.locator("#locate").select_option("3")
    page.wait_for_function("() => location.search.includes('locate=3')")
    hits = answer(url, locate=3)["hits"]
    assert waited(page) == [hit["photo_id"] for hit in hits]
    open_first(page)
    assert "seen when looking again" in page.locator(".box-entry").all_inner_texts()[-1]


def test_the_slider_acts_at_once_without_a_request(show: Show, url: str) -> None:
    page = show(f"?q={TEXT}")
    waited(page)
    similarities = [hit["similarity"] for hit in answer(url)["hits"]]
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/api/" in request.url else None)
    least = round(similarities[2], 3) - 0.004
    slide(page, least)
    assert len(waited(page, sum(each >= slid(page) for each in similarities))) >= 3
    slide(page, slid_most(page))
    page.wait_for_selector("text=Nothing above")
    [nearest] = ids(page)
    assert nearest == answer(url)["hits"][0]["photo_id"]
    assert f"{similarities[0]:.2f}" in page.locator("#message").inner_text()
    assert float(query_of(page)["min"][0]) == pytest.approx(slid(page))
    assert asked == []


def slide(page: Any, value: float) -> None:
    page.locator("#least").evaluate("(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }", value)


def slid(page: Any) -> float:
    return float(page.locator("#least").input_value())


def slid_most(page: Any) -> float:
    return float(page.locator("#least").get_attribute("max"))


def test_the_whole_state_is_in_the_address(show: Show, gallery: Gallery) -> None:
    query = (
        f"?index={gallery.scenes}&q={TEXT}&q=robot&not=snowman&where=shop%3Dnorth&boxes=2&debias=0.5&fold=off&min=0.01"
    )
    page = show(query)
    waited(page)
    assert page.locator(".term input").evaluate_all("all => all.map(e => e.value)") == [TEXT, "robot", "snowman"]
    assert page.locator("#boxes").input_value() == "2"
    assert page.locator("#debias").input_value() == "0.5"
    assert not page.locator("#fold").is_checked()
    assert page.locator("#least-value").inner_text() == "0.010"
    before = page.url
    page.locator(".tile a.picture").first.click()
    page.wait_for_selector("#photo[open]")
    deep = page.url
    assert query_of(page)["photo"]
    page.go_back()
    page.wait_for_selector("#photo:not([open])", state="attached")
    assert page.url == before
    other = page.context.new_page()
    other.goto(deep)
    other.wait_for_selector("#photo[open] #stage .box")
    # A photo that is no hit of the search opens, too.
    other.goto(f"{deep.split('?')[0]}?photo={gallery.photo(f'shelf/{HEBREW}')}")
    other.wait_for_selector(f"#photo[open] >> text={HEBREW}")
    other.keyboard.press("Escape")
    other.wait_for_function("() => !new URLSearchParams(location.search).has('photo')")


def test_a_late_answer_never_replaces_a_newer_one(show: Show, url: str) -> None:
    page = show()
    held: list[Any] = []

    def hold(route: Any) -> None:
        if json.loads(route.request.post_data)["phrases"] == ["robot"]:
            held.append(route)
        else:
            route.continue_()

    page.route("**/api/search", hold)
    page.locator(".term input").fill("robot")
    with page.expect_request("**/api/search"):
        page.keyboard.press("Enter")
    page.locator(".term input").fill(TEXT)
    page.keyboard.press("Enter")
    newer = waited(page)
    assert len(held) == 1
    # Chromium has dropped the request already, or takes the late answer and the page leaves it.
    held[0].fulfill(json={**answer(url, phrases=["robot"]), "hits": []})
    page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    assert ids(page) == newer


def asked_and_held(page: Any) -> list[Any]:
    """Searches for something else, and holds the request. It is the list's only item."""
    held: list[Any] = []
    page.route("**/api/search", lambda route: held.append(route))
    page.locator(".term input").fill("robot")
    with page.expect_request("**/api/search"):
        page.keyboard.press("Enter")
    return held


def test_a_search_that_was_left_by_going_back_is_not_shown(show: Show, url: str) -> None:
    page = show(f"?q={TEXT}")
    before = waited(page)
    held = asked_and_held(page)
    page.go_back()
    page.wait_for_selector("#progress", state="hidden")
    held[0].fulfill(json={**answer(url, phrases=["robot"]), "hits": []})
    page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    assert ids(page) == before
    assert page.locator(".term input").input_value() == TEXT


def test_the_hits_of_before_are_out_of_reach_while_others_are_waited_for(show: Show) -> None:
    page = show(f"?q={TEXT}")
    before = waited(page)
    held = asked_and_held(page)
    assert page.locator("#grid").evaluate("grid => grid.inert")
    page.locator("#show-export").click()
    with page.expect_request("**/api/export") as asked:
        page.locator("#export [value=go]").click()
    # What is exported are still the hits of before, of the search that found them.
    assert asked.value.post_data_json["request"]["phrases"] == [TEXT]
    assert asked.value.post_data_json["photo_ids"] == before
    held[0].continue_()
    page.wait_for_selector("#progress", state="hidden")
    assert not page.locator("#grid").evaluate("grid => grid.inert")


def test_a_photo_of_the_address_opens_though_the_slider_moved_during_its_search(show: Show, url: str) -> None:
    hit = answer(url)["hits"][0]
    page = show()
    page.wait_for_selector("text=What are you looking for?")
    held: list[Any] = []
    page.route("**/api/search", lambda route: held.append(route))
    with page.expect_request("**/api/search"):
        page.evaluate(
            "to => { history.pushState(null, '', to); dispatchEvent(new PopStateEvent('popstate')); }",
            f"?q={TEXT}&photo={hit['photo_id']}",
        )
    page.locator("#least").evaluate("slider => { slider.value = 0.01; slider.dispatchEvent(new Event('input')); }")
    held[0].continue_()
    page.wait_for_selector("#stage .box")
    assert query_of(page)["photo"] == [hit["photo_id"]]


def test_pictures_of_hits_that_are_no_longer_wanted_are_not_waited_for(show: Show) -> None:
    page = show(expected=("ERR_FAILED",))
    held: list[Any] = []
    page.route("**/thumb/**", lambda route: held.append(route))
    page.locator(".term input").fill(TEXT)
    page.keyboard.press("Enter")
    waited(page)
    page.wait_for_function("() => [...document.querySelectorAll('img.thumb')].every(each => each.src)")
    page.route("**/api/search", lambda route: held.append(route))
    page.locator(".term input").fill("robot")
    page.keyboard.press("Enter")
    page.wait_for_selector("#progress", state="visible")
    assert page.locator("img.thumb[src]").count() == 0
    page.unroute_all()
    # Wanted again, they are asked for again.
    page.go_back()
    page.wait_for_selector(".picture.loaded")


def test_a_busy_server_is_asked_again(show: Show) -> None:
    page = show(expected=("503",))
    tries: list[int] = []

    def refuse_once(route: Any) -> None:
        tries.append(1)
        if len(tries) == 1:
            route.fulfill(status=503, headers={"Retry-After": "1"}, json={"error": {"message": "busy"}})
        else:
            route.continue_()

    page.route("**/api/search", refuse_once)
    page.wait_for_selector(".message")
    page.keyboard.type(TEXT)
    page.keyboard.press("Enter")
    page.wait_for_selector("text=The server is busy")
    waited(page)
    assert len(tries) == 2


def test_a_refused_search_is_shown_as_a_sentence(show: Show) -> None:
    page = show(f"?index=not-served&q={TEXT}", expected=("404",))
    page.wait_for_selector("[role=alert] >> text=not-served")


def test_another_index_is_chosen(show: Show, gallery: Gallery) -> None:
    page = show(f"?q={TEXT}&folder=shelf")
    waited(page)
    page.locator("#index").select_option(gallery.many)
    page.wait_for_selector("text=1,100 photos, 3,300 regions;")
    assert query_of(page)["index"] == [gallery.many]
    assert "folder" not in query_of(page)


def test_a_link_to_a_photo_of_a_later_page_shows_its_boxes(show: Show, url: str, gallery: Gallery) -> None:
    late = answer(url, index=gallery.many, fold=None, **{"from": 100})["hits"][-1]
    page = show(f"?index={gallery.many}&q={TEXT}&fold=off&photo={late['photo_id']}")
    page.wait_for_selector("#stage .box")
    assert f"{late['similarity']:.2f}" in page.locator(".box-entry").first.inner_text()
    page.keyboard.press("Escape")
    waited(page)
    page.wait_for_function("() => !location.search.includes('photo=')")
    # The search does not find this one, whatever its boxes are.
    page.goto(f"{page.url}&where=shop%3Dnorth&photo={0:032x}")
    page.wait_for_selector("#photo-no-boxes", state="visible")


# What nobody should send


def test_an_address_of_nonsense_is_read_as_far_as_it_makes_sense(show: Show, url: str) -> None:
    nonsense = "boxes=1e999&min=-&rank=zz&debias=NaN&locate=x&fold=maybe&like=x:y&not_like=r:a:b&min_area=big&other=1"
    nonsense += "&index=&photo="
    page = show(f"?q={TEXT}&{nonsense}")
    assert waited(page) == [hit["photo_id"] for hit in answer(url)["hits"]]
    assert query_of(page)["boxes"] == ["1e999"]
    page.locator("#fold").uncheck()
    page.wait_for_function("() => location.search.includes('fold=off')")
    assert query_of(page).keys() == {"index", "q", "fold"}


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("since=never", "never"),
        ("near=nowhere", "nowhere"),
        ("min_area=7", "7"),
        ("kind=zebra", "zebra"),
        ("where=colour", "colour"),
        ("rank=product", "quality"),
        ("like=r:zzzzzzzz:99999999999999999999", "is not the number of a region"),
        ("like=u:gone", "send it again"),
        ("q=" + 2_500 * "long", "too long"),
        ("q=a&q=b&q=c&like=r:zzzzzzzz:1&like=r:zzzzzzzz:2", "1 to 4"),
    ],
)
def test_what_the_server_refuses_of_an_address_is_a_sentence_and_can_be_taken_back(
    show: Show, url: str, asked: str, sentence: str
) -> None:
    # The small picture of an example that is not there is refused, too.
    page = show(f"?q={TEXT}&{asked}", expected=("422", "404"))
    page.wait_for_selector(f"[role=alert] >> text={sentence}")
    if asked == "rank=product":
        page.locator("#rank").select_option("similarity")
    elif asked.startswith(("q=", "like=")):
        for _ in range(len(query_of(page).get("like", [])) + len(query_of(page)["q"]) - 1):
            page.locator(".term .remove").last.click()
    else:
        page.locator(".condition").click()
    assert waited(page) == [hit["photo_id"] for hit in answer(url)["hits"]]


def test_an_index_that_is_not_there_can_be_changed(show: Show, page: httpx.Client, album: Album) -> None:
    # The address is all that names it: there is one index, and nothing to choose otherwise.
    shown = show("?q=red&index=nothing", at=str(page.base_url).rstrip("/"), expected=("404", "422"))
    shown.wait_for_selector("[role=alert] >> text=nothing")
    shown.locator("#index").select_option(album.index)
    waited(shown)
    assert shown.locator("#index-setting").is_hidden()


def test_an_index_without_photos_says_so(show: Show, cluster: OpenSearch, cache: Path, tmp_path: Path) -> None:
    empty = Album(f"test-empty-{uuid.uuid4().hex[:8]}", tmp_path)
    cluster.indices.create(index=empty.index, body=index_body(MODEL.recipe, {"number_of_replicas": 0}))
    with served_page(cluster, empty, PageSettings([tmp_path], cache=cache)) as client:
        page = show(at=str(client.base_url).rstrip("/"))
        page.wait_for_selector(".message >> text=There is no photo in this index.")
        page.locator(".term input").fill("red")
        page.keyboard.press("Enter")
        page.wait_for_selector("#notes >> text=holds no photos")
        page.wait_for_selector(".message >> text=Nothing found")
        page.context.close()
    cluster.indices.delete(index=empty.index)


def test_a_photo_that_is_not_there_closes_with_a_sentence(show: Show) -> None:
    page = show(f"?q={TEXT}&photo=../../etc/passwd", expected=("404",))
    page.wait_for_selector(".toast.error >> text=finds no photo")
    page.wait_for_selector("#photo:not([open])", state="attached")
    waited(page)
    page.wait_for_function("() => !location.search.includes('photo=')")


def test_without_a_network_paging_says_so_and_goes_on_later(show: Show, gallery: Gallery) -> None:
    page = show(f"?index={gallery.many}&q={TEXT}&fold=off", expected=("ERR_INTERNET_DISCONNECTED",))
    waited(page)
    page.wait_for_load_state("networkidle")
    before = loaded(page)
    page.context.set_offline(True)
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    page.wait_for_selector(".toast.error >> text=The server does not answer.")
    page.wait_for_selector("#more", state="visible")
    assert loaded(page) == before
    page.context.set_offline(False)
    page.locator("#more").click()
    page.wait_for_function("n => document.querySelector('#status b').textContent !== n", arg=said(before))
    assert loaded(page) > before


def test_two_tabs_keep_each_other_s_marks(show: Show) -> None:
    page = show(f"?q={TEXT}")
    order = waited(page)
    other = page.context.new_page()
    other.goto(page.url)
    waited(other)
    for tab, place in ((page, 0), (other, 1)):
        tab.bring_to_front()
        tab.locator(".tile a.picture").nth(place).focus()
        tab.keyboard.press("r")
        for each in (page, other):
            each.wait_for_selector(f".tile[data-id='{order[place]}'] .verdict.right")
    assert page.locator("#marks-count").inner_text().startswith("2 boxes")


def test_an_index_that_is_deleted_meanwhile(show: Show, cluster: OpenSearch, cache: Path, tmp_path: Path) -> None:
    album = fill(cluster, f"test-deleted-{uuid.uuid4().hex[:8]}", tmp_path)
    with served_page(cluster, album, PageSettings([album.root], cache=cache)) as client:
        page = show("?q=red&fold=off", at=str(client.base_url).rstrip("/"), expected=("404", "422"))
        waited(page)
        cluster.indices.delete(index=album.index)
        page.locator(".tile a.picture").first.click()
        page.wait_for_selector(f"#photo .toast.error >> text={album.index}")
        page.keyboard.press("Escape")
        page.locator(".term input").fill("blue")
        page.keyboard.press("Enter")
        page.wait_for_selector(f"[role=alert] >> text={album.index}")
        page.reload()
        page.wait_for_selector(f"[role=alert] >> text={album.index}")
        page.context.close()


# The grid


def test_rows_are_justified_and_pictures_load_late(show: Show, gallery: Gallery) -> None:
    page = show(f"?index={gallery.many}&q={TEXT}&fold=off")
    waited(page)
    grid = rect(page, "#grid")
    assert page.locator(".row").nth(1).evaluate(
        "e => e.lastElementChild.getBoundingClientRect().right"
    ) == pytest.approx(grid["x"] + grid["width"], abs=1.5)
    assert page.locator("img.thumb").evaluate_all("all => new Set(all.map(e => e.loading)).size") == 1
    assert page.locator("img.thumb").first.get_attribute("loading") == "lazy"


def test_a_thousand_hits_cost_no_more_than_two_hundred(show: Show, gallery: Gallery) -> None:
    page = show(f"?index={gallery.many}&q={TEXT}&fold=off")
    waited(page)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")

    def costs(hits: int) -> Json:
        while (before := loaded(page)) < hits:
            page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
            page.wait_for_function("n => document.querySelector('#status b').textContent !== n", arg=said(before))
        page.wait_for_function("() => [...document.querySelectorAll('img.thumb[src]')].every(each => each.complete)")
        # What the first collection finalizes is free after the second.
        for _ in range(2):
            session.send("HeapProfiler.collectGarbage")
        measured = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
        return {"heap": measured["JSHeapUsedSize"], "nodes": page.evaluate("document.querySelectorAll('*').length")}

    few, many = costs(200), costs(1000)
    assert loaded(page) >= 1000
    assert many["nodes"] <= 1.2 * few["nodes"]
    assert many["heap"] <= 1.2 * few["heap"]
    # What was emptied comes again.
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_selector(".tile[aria-posinset='1']")


def said(hits: int) -> str:
    return f"The first {hits:,} photos"


def loaded(page: Any) -> int:
    return int(page.locator("#status b").inner_text().split()[2].replace(",", ""))


def test_the_crop_is_enlarged_on_hover_and_on_focus(show: Show) -> None:
    page = show(f"?q={TEXT}")
    waited(page)
    page.locator(".tile").first.hover()
    page.wait_for_selector(".tile:first-child .crop.loaded")
    page.mouse.move(640, 20)
    page.wait_for_selector(".crop", state="detached")
    page.locator(".tile a.picture").first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".tile:nth-child(2) .crop.loaded")


def test_near_duplicates_are_folded_and_unfold(show: Show, gallery: Gallery) -> None:
    page = show(f"?q={TEXT}")
    folded = waited(page)
    page.get_by_role("button", name="1 near-duplicate").click()
    unfolded = waited(page, len(folded) + 1)
    assert {gallery.photo("street/0000.jpg"), gallery.photo(f"shelf/{AGAIN}")} <= set(unfolded)
    page.get_by_role("button", name="1 near-duplicate").click()
    waited(page, len(folded))


def test_near_duplicates_of_an_earlier_page_are_folded(show: Show, url: str) -> None:
    page = show()

    def one_photo_a_page(route: Any) -> None:
        asked = json.loads(route.request.post_data)
        route.continue_(post_data=json.dumps({**asked, "from": asked["from"] // asked["size"], "size": 1}))

    page.route("**/api/search", one_photo_a_page)
    page.wait_for_selector(".message")
    page.keyboard.type(TEXT)
    page.keyboard.press("Enter")
    hits = answer(url)["hits"]
    assert waited(page, len(hits)) == [hit["photo_id"] for hit in hits]
    page.get_by_role("button", name="1 near-duplicate").click()
    waited(page, len(hits) + 1)


def test_hits_are_reached_chosen_and_opened_by_keys(show: Show) -> None:
    page = show(f"?q={TEXT}")
    order = waited(page)
    page.locator(".tile a.picture").first.focus()
    focused = "document.activeElement.closest('.tile')?.dataset.id"
    for key, place in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", len(order) - 1), ("Home", 0)):
        page.keyboard.press(key)
        assert page.evaluate(focused) == order[place]
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) in order[2:]
    page.keyboard.press("Home")
    page.keyboard.press("x")
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+X")
    assert page.locator("#selection-count").inner_text() == "3 selected"
    # Only one hit is a stop of the Tab key.
    assert page.locator("a.picture[tabindex='0']").count() == 1
    page.keyboard.press("Enter")
    page.wait_for_selector("#photo[open]")
    page.keyboard.press("Escape")
    assert page.evaluate(focused) == order[2]
    page.keyboard.press("/")
    page.keyboard.type("x?r")
    assert page.locator(".term input").input_value() == "x?r"
    assert page.locator("dialog[open]").count() == 0


def test_what_is_typed_stays_when_a_photo_is_opened_and_closed(show: Show) -> None:
    page = show(f"?q={TEXT}")
    order = waited(page)
    typed = page.locator(".term input")
    typed.fill("not asked yet")
    page.locator(".tile a.picture").first.click()
    page.wait_for_selector("#photo[open]")
    page.evaluate("addEventListener('popstate', () => document.body.classList.add('stepped'))")
    page.keyboard.press("Escape")
    page.wait_for_selector("body.stepped")
    assert typed.input_value() == "not asked yet"
    page.go_forward()
    page.wait_for_selector("#photo[open]")
    assert query_of(page)["photo"] == [order[0]]
    assert typed.input_value() == "not asked yet"


def test_a_hit_opens_in_a_tab_of_its_own(show: Show) -> None:
    page = show(f"?q={TEXT}")
    order = waited(page)
    with page.context.expect_page() as opened:
        page.locator(".tile a.picture").nth(1).click(modifiers=["Control"])
    opened.value.wait_for_selector("#stage .box")
    assert query_of(opened.value)["photo"] == [order[1]]


def test_the_hits_are_one_key_away(show: Show) -> None:
    page = show(f"?q={TEXT}")
    order = waited(page)
    focused = "document.activeElement.closest('.tile')?.dataset.id"
    page.keyboard.press("Tab")
    assert page.locator("#to-hits").inner_text() == "To the hits"
    page.keyboard.press("Enter")
    assert page.evaluate(focused) == order[0]
    page.keyboard.press("/")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == order[0]


def test_the_help_lists_the_keys(show: Show) -> None:
    page = show()
    # Its keys work once the page knows its indices.
    page.wait_for_selector("text=ready to be searched")
    page.locator("body").click(position={"x": 700, "y": 700})
    page.keyboard.press("?")
    page.wait_for_selector("#help[open] kbd >> text=Shift+X")
    assert page.locator("#help").evaluate("e => [e.scrollTop, e.scrollHeight > e.clientHeight]") == [0, True]
    page.keyboard.press("Escape")
    page.wait_for_selector("#help:not([open])", state="attached")
    page.locator(".term input").fill(TEXT)
    page.keyboard.press("Enter")
    open_first(page)
    page.keyboard.press("?")
    page.wait_for_selector("#help[open]")
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").get_attribute("id") == "photo"


# The photo


def sticks(page: Any, picture: str, hit: Json) -> None:
    """The best box lies on the picture where the hit says, whatever the zoom is."""
    whole, box = rect(page, picture), rect(page, "#stage .box[data-list='0'] .line")
    x1, y1, x2, _ = hit["matches"][0][0]["relative_box"]
    stroke = 0.01 * whole["width"] / (x2 - x1) / 10 + 4
    assert box["x"] - whole["x"] == pytest.approx(x1 * whole["width"], abs=stroke)
    assert box["y"] - whole["y"] == pytest.approx(y1 * whole["height"], abs=stroke)
    assert box["width"] == pytest.approx((x2 - x1) * whole["width"], abs=2 * stroke)


def settled(page: Any, script: str, before: Any) -> Any:
    page.wait_for_function(
        f"before => JSON.stringify({script}) !== before", arg=json.dumps(before, separators=(",", ":"))
    )
    page.evaluate("new Promise(done => setTimeout(done, 250))")
    return page.evaluate(script)


WIDTH = "document.querySelector('#stage .view').getBoundingClientRect().width"


def test_boxes_stick_to_the_photo_by_wheel_and_keys(show: Show, url: str) -> None:
    page = show(f"?q={TEXT}&folder=street", reduced_motion="reduce")
    open_first(page)
    hit = answer(url, filter={"folder": "street"})["hits"][0]
    sticks(page, "#stage .view", hit)
    width = page.evaluate(WIDTH)
    page.locator("#stage").hover(position={"x": 300, "y": 250})
    page.mouse.wheel(0, -400)
    larger = settled(page, WIDTH, width)
    assert larger > width
    sticks(page, "#stage .view", hit)
    page.mouse.down()
    page.mouse.move(500, 400)
    page.mouse.up()
    sticks(page, "#stage .view", hit)
    page.keyboard.press("+")
    largest = settled(page, WIDTH, larger)
    assert largest > larger
    sticks(page, "#stage .view", hit)
    page.keyboard.press("0")
    assert settled(page, WIDTH, largest) == pytest.approx(width, rel=0.01)
    page.keyboard.press("z")
    settled(page, WIDTH, width)
    box, stage = rect(page, "#stage .box[data-list='0'] .line"), rect(page, "#stage")
    assert max(box["width"] / stage["width"], box["height"] / stage["height"]) == pytest.approx(0.5, abs=0.06)
    sticks(page, "#stage .view", hit)
    zoomed = page.evaluate(WIDTH)
    # More room for the photo does not undo the zoom.
    page.keyboard.press("i")
    page.wait_for_function("before => document.querySelector('#stage').clientWidth > before", arg=stage["width"] + 100)
    assert settled(page, WIDTH, zoomed) > zoomed
    sticks(page, "#stage .view", hit)


def test_boxes_stick_to_the_photo_by_pinch(show: Show, url: str) -> None:
    page = show(f"?q={TEXT}&folder=street", viewport=PHONE, is_mobile=True, has_touch=True, reduced_motion="reduce")
    open_first(page)
    # Its details come later, and take room from the photo.
    page.wait_for_selector("#photo-details dt")
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    width, stage = page.evaluate(WIDTH), rect(page, "#stage")
    x, y = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *apart: float) -> None:
        points = [{"x": x + each, "y": y, "id": n} for n, each in enumerate(apart)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", -20, 20)
    for distance in (40, 60, 80):
        touch("touchMove", -distance, distance)
    touch("touchEnd")
    assert settled(page, WIDTH, width) > 1.3 * width
    sticks(page, "#stage .view", answer(url, filter={"folder": "street"})["hits"][0])


def test_a_huge_photo_opens_in_tiles_down_to_its_pixels(show: Show, url: str, gallery: Gallery) -> None:
    tiles: list[str] = []
    page = show(f"?q={TEXT}", reduced_motion="reduce")
    page.on("request", lambda request: tiles.append(request.url) if "/tiles/" in request.url else None)
    waited(page)
    hit = next(each for each in answer(url)["hits"] if each["photo_id"] == gallery.photo(f"shelf/{HUGE}"))
    page.locator(f"a.picture[data-id='{hit['photo_id']}']").click()
    page.wait_for_selector("#stage canvas")
    page.wait_for_function("() => document.querySelector('#stage .overlay').style.width !== ''")
    width = "parseFloat(document.querySelector('#stage .overlay').style.width)"
    whole = page.evaluate(width)
    description = httpx.get(f"{url}/tiles/{hit['photo_id']}.json").json()
    deepest = f"/{description['max_level']}/"
    assert max(description["width"], description["height"]) == 3 * 1600
    assert not any(deepest in each for each in tiles)
    page.keyboard.press("z")
    page.wait_for_function(f"before => {width} > 1.5 * before", arg=whole)
    # The overlay covers the photo's canvas, so a box lies where its share of the overlay says.
    overlay, box = rect(page, "#stage .overlay"), rect(page, "#stage .box[data-list='0'] .line")
    x1, y1, _, _ = hit["matches"][0][0]["relative_box"]
    assert box["x"] - overlay["x"] == pytest.approx(x1 * overlay["width"], abs=4)
    assert box["y"] - overlay["y"] == pytest.approx(y1 * overlay["height"], abs=4)
    stage = rect(page, "#stage")
    assert box["x"] + box["width"] / 2 == pytest.approx(stage["x"] + stage["width"] / 2, abs=stage["width"] / 4)
    with page.expect_response(lambda response: deepest in response.url and response.ok):
        for _ in range(8):
            page.keyboard.press("+")
    page.keyboard.press("Escape")
    page.wait_for_selector("#photo:not([open])", state="attached")


def test_the_list_and_the_boxes_highlight_each_other(show: Show) -> None:
    page = show(f"?q={TEXT}&boxes=3&folder=street")
    open_first(page)
    entries, boxes = page.locator(".box-entry"), page.locator("#stage .box")
    assert entries.count() == boxes.count() == 3
    entries.nth(1).hover()
    page.wait_for_selector("#stage .shade", state="attached")
    region = page.locator("#stage .box.on").get_attribute("data-region")
    page.mouse.move(5, 5)
    page.wait_for_selector("#stage .shade", state="detached")
    place = rect(page, f"#stage .box[data-region='{region}'] .line")
    page.mouse.move(place["x"] + 2, place["y"] + place["height"] / 2)
    page.wait_for_selector("li:nth-child(2) .box-entry.on")
    page.keyboard.press("ArrowDown")
    assert entries.nth(1).get_attribute("aria-pressed") == "true"
    page.keyboard.press("b")
    assert boxes.first.is_hidden()
    page.keyboard.press("b")
    assert boxes.first.is_visible()


def test_next_and_previous_stay_within_the_hits_also_when_zoomed(show: Show) -> None:
    page = show(f"?q={TEXT}")
    order = waited(page)
    open_first(page)
    assert page.get_by_role("button", name="Previous hit").is_disabled()
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("id => location.search.includes(id)", arg=order[1])
    assert page.locator("#photo-place").inner_text().startswith("2 of 8")
    page.get_by_role("button", name="Next hit").click()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("id => location.search.includes(id)", arg=order[1])
    page.keyboard.press("Escape")
    page.wait_for_selector("#photo:not([open])", state="attached")
    page.wait_for_function("id => document.activeElement.closest('.tile')?.dataset.id === id", arg=order[1])


def test_details_are_shown_and_the_path_is_copied(show: Show) -> None:
    page = show(f"?q={TEXT}&folder=street", permissions=["clipboard-read", "clipboard-write"])
    open_first(page)
    page.wait_for_selector("#photo-details >> text=Canon EOS")
    shown = page.locator("#photo-details").inner_text()
    assert all(
        each in shown for each in ("1,600 \N{MULTIPLICATION SIGN} 1,200", "aisle", "drawn", "48.50000, 2.25000", "2026")
    )
    path = page.locator("#photo-details .copied").first
    assert path.inner_text().startswith("street/")
    path.click()
    page.wait_for_selector("text=Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == path.inner_text()


def test_more_like_a_box(show: Show, url: str) -> None:
    page = show(f"?q={TEXT}&folder=street&boxes=2")
    open_first(page)
    hit = answer(url, filter={"folder": "street"}, boxes=2)["hits"][0]
    region = hit["matches"][0][1]["region_id"]
    page.locator(".box-entry").nth(1).click()
    page.get_by_role("button", name="More like this", exact=True).click()
    page.wait_for_function("() => location.search.includes('like=r')")
    like = [{"photo_id": hit["photo_id"], "region_id": region}]
    expected = answer(url, phrases=[], like=like, boxes=2, filter={"folder": "street"})["hits"]
    assert waited(page) == [each["photo_id"] for each in expected]
    assert page.locator(".term.like img").is_visible()
    assert expected[0]["photo_id"] == hit["photo_id"]


def test_a_box_and_a_photo_count_against_the_hits(show: Show, url: str) -> None:
    page = show(f"?q={TEXT}")
    before = waited(page)
    open_first(page)
    # The key for the chosen box, and the button for the whole photo.
    page.keyboard.press("n")
    page.wait_for_function("() => location.search.includes('not_like=r')")
    hit = answer(url)["hits"][0]
    unlike = [
        {"photo_id": hit["photo_id"], "region_id": hit["region_id"]},
        {"photo_id": hit["photo_id"], "region_id": 0},
    ]
    assert waited(page) == [each["photo_id"] for each in answer(url, not_like=unlike[:1])["hits"]] != before
    page.locator(f"a.picture[data-id='{hit['photo_id']}']").click()
    page.get_by_role("button", name="But not like this photo").click()
    page.wait_for_function("() => new URLSearchParams(location.search).getAll('not_like').length === 2")
    hits = answer(url, not_like=unlike)["hits"]
    assert waited(page) == [each["photo_id"] for each in hits]
    wanted = [f"r:{hit['photo_id']}:{each['region_id']}" for each in unlike]
    assert query_of(page) == {"index": [hits[0]["index"]], "q": [TEXT], "not_like": wanted}
    chips = page.locator(".term.not.like")
    assert chips.locator(".letter").all_inner_texts() == ["\N{MINUS SIGN}"] * 2
    assert chips.locator(".about").all_inner_texts() == ["but not like this"] * 2
    assert chips.locator("img").count() == 2
    # No more than two.
    assert page.get_by_role("button", name="Add something that the photo must not show").is_disabled()
    page.locator(".tile a.picture").nth(1).focus()
    page.keyboard.press("n")
    page.wait_for_selector(".toast.error >> text=at most 2 things")
    # One step back is the photo that it was said of, in the search before.
    page.go_back()
    page.wait_for_selector("#photo[open]")
    page.keyboard.press("Escape")
    page.wait_for_function("() => !location.search.includes('photo=')")
    assert query_of(page)["not_like"] == wanted[:1]
    page.reload()
    waited(page)
    chips.get_by_role("button", name="Remove").click()
    page.wait_for_function("() => !location.search.includes('not_like')")
    assert waited(page) == before


def test_a_drawn_box_counts_against_the_hits(show: Show, url: str) -> None:
    page = show(f"?q={TEXT}&folder=street")
    open_first(page)
    page.keyboard.press("d")
    page.keyboard.press("ArrowRight")
    page.locator("#photo-draw").get_by_role("button", name="But not like this").click()
    page.wait_for_function("() => location.search.includes('not_like=b')")
    photo_id, sides = query_of(page)["not_like"][0].split(":")[1:]
    unlike = [{"photo_id": photo_id, "box": [float(each) for each in sides.split(",")]}]
    hits = answer(url, not_like=unlike, filter={"folder": "street"})["hits"]
    assert waited(page) == [hit["photo_id"] for hit in hits]
    badges = page.locator(".tile .badge").all_inner_texts()
    assert [float(each) for each in badges] == pytest.approx([hit["similarity"] for hit in hits], abs=0.006)
    assert query_of(page)["q"] == [TEXT]


def test_nothing_is_excluded_before_something_is_searched_for(show: Show, gallery: Gallery) -> None:
    page = show(f"?photo={gallery.photo('street/0000.jpg')}")
    page.wait_for_selector("#photo-details >> text=Canon EOS")
    page.get_by_role("button", name="But not like this photo").click()
    page.wait_for_selector("#photo .toast >> text=First search for something")
    page.get_by_role("button", name="More like this photo").click()
    page.wait_for_function("() => location.search.includes('like=r')")
    assert waited(page)[0] == gallery.photo("street/0000.jpg")


def test_a_drawn_box_is_searched_by(show: Show) -> None:
    page = show(f"?q={TEXT}&folder=street")
    open_first(page)
    page.keyboard.press("d")
    view = rect(page, "#stage .view")
    page.mouse.move(view["x"] + 100, view["y"] + 100)
    page.mouse.down()
    page.mouse.move(view["x"] + 240, view["y"] + 220, steps=3)
    page.mouse.up()
    page.get_by_role("button", name="Search by this box").click()
    page.wait_for_function("() => location.search.includes('like=b')")
    waited(page)
    photo_id, sides = query_of(page)["like"][0].split(":")[1:]
    scale = 1600 / view["width"]
    expected = [100 * scale, 100 * scale, 240 * scale, 220 * scale]
    assert [float(each) for each in sides.split(",")] == pytest.approx(expected, abs=3)
    # By keys: the first arrow puts a box in the middle.
    page.go_back()
    page.wait_for_selector("#photo[open] #stage .box")
    page.keyboard.press("d")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_function("() => location.search.includes('like=b')")
    assert query_of(page)["like"][0].split(":")[1] == photo_id
    waited(page)
    page.go_back()
    page.wait_for_selector("#photo[open] #stage .box")
    page.keyboard.press("d")
    page.keyboard.press("Escape")
    assert page.locator("#photo[open]").count() == 1


GIVE = """async ([kind, base64]) => {
  const bytes = Uint8Array.from(atob(base64), each => each.charCodeAt(0));
  const given = new DataTransfer();
  given.items.add(new File([bytes], 'a.png', {type: 'image/png'}));
  const options = {bubbles: true, cancelable: true};
  document.body.dispatchEvent(kind === 'drop'
    ? new DragEvent('drop', {...options, dataTransfer: given})
    : new ClipboardEvent('paste', {...options, clipboardData: given}));
}"""


def test_a_picture_that_comes_late_does_not_replace_a_newer_search(show: Show, gallery: Gallery) -> None:
    page = show()
    page.wait_for_selector("text=What are you looking for?")
    held: list[Any] = []
    page.route("**/api/like*", lambda route: held.append(route))
    with page.expect_request("**/api/like*"):
        page.locator("#file").set_input_files(gallery.root / "street/0010.jpg")
    page.locator(".term input").fill(TEXT)
    page.keyboard.press("Enter")
    order = waited(page)
    with page.expect_response("**/api/like*"):
        held[0].continue_()
    page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    assert ids(page) == order
    assert query_of(page)["q"] == [TEXT]
    assert "like" not in query_of(page)


@pytest.mark.parametrize("kind", ["drop", "paste", "file"])
def test_a_picture_is_searched_by(show: Show, gallery: Gallery, kind: str) -> None:
    file = BytesIO()
    with Image.open(gallery.root / "street/0010.jpg") as scene:
        scene.save(file, "PNG")
    page = show()
    page.wait_for_selector("text=What are you looking for?")
    if kind == "file":
        page.locator("#file").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": file.getvalue()})
    else:
        page.evaluate(GIVE, [kind, b64encode(file.getvalue()).decode()])
    assert waited(page)[0] in (gallery.photo("street/0010.jpg"), gallery.photo(f"shelf/{HUGE}"))
    assert page.locator(".term.like img").get_attribute("src").startswith("blob:")


# To judge and to carry away


def saved(page: Any, act: Callable[[], None]) -> bytes:
    with page.expect_download() as download:
        act()
    return Path(download.value.path()).read_bytes()


def test_marks_are_kept_and_exported_as_ground_truth(show: Show) -> None:
    page = show(f"?q={TEXT}")
    order = waited(page)
    page.locator(".tile a.picture").first.focus()
    page.keyboard.press("r")
    page.wait_for_selector(".tile:first-child .verdict.right")
    page.locator(".tile a.picture").nth(1).click()
    page.wait_for_selector("#stage .box")
    page.get_by_role("button", name="Wrong").click()
    page.wait_for_selector(".box-entry[data-verdict='wrong']")
    page.reload()
    waited(page)
    page.keyboard.press("Escape")
    page.wait_for_selector(f".tile[data-id='{order[0]}'] .verdict.right")
    page.wait_for_selector(f".tile[data-id='{order[1]}'] .verdict.wrong")
    lines = saved(page, lambda: page.get_by_role("button", name="Export as ground truth").click()).decode().splitlines()
    found = [json.loads(line) for line in lines]
    labels = [thing["label"] for line in found for thing in line["objects"]]
    assert (len(found), labels) == (2, [TEXT])
    page.locator("#marks-clear").click()
    page.wait_for_function("() => document.querySelector('.tile .verdict') === null")


def test_selected_hits_are_exported(show: Show, gallery: Gallery) -> None:
    page = show(f"?q={TEXT}")
    order = waited(page)
    page.locator(".tile .select").nth(1).check(force=True)
    page.locator(".tile a.picture").nth(3).click(modifiers=["Shift"])
    assert page.locator("#selection-count").inner_text() == "3 selected"

    def export(name: str) -> bytes:
        page.locator("#selection-export").click()
        page.locator("#export-formats").get_by_text(name, exact=True).click()
        return saved(page, lambda: page.get_by_role("button", name="Save").click())

    hits = json.loads(export("JSON"))["hits"]
    assert {hit["photo_id"] for hit in hits} == set(order[1:4])
    coco = json.loads(export("COCO"))
    assert len(coco["images"]) == 3
    rows = list(csv.DictReader(StringIO(export("CSV").decode())))
    assert {row["photo_id"] for row in rows} == set(order[1:4])
    names = {row["photo"] for row in rows}
    with ZipFile(BytesIO(export("YOLO"))) as labels:
        assert {"data.yaml", "classes.txt"} < set(labels.namelist())
        [row] = labels.read(f"labels/{Path(rows[0]['photo']).with_suffix('.txt')}").splitlines()
        assert [0 <= float(share) <= 1 for share in row.split()[1:]] == [True] * 4
    with ZipFile(BytesIO(export("ZIP"))) as packed:
        assert {each for each in packed.namelist() if each.startswith("photos/")} == {
            f"photos/{each}" for each in names
        }
        name = rows[0]["photo"]
        assert packed.read(f"photos/{name}") == (gallery.root / name).read_bytes()
        assert sum(each.startswith("crops/") for each in packed.namelist()) == 3


def test_the_export_says_how_many_hits_are_loaded_and_holds_them_all(show: Show, gallery: Gallery) -> None:
    page = show(f"?index={gallery.many}&q={TEXT}&fold=off")
    waited(page)
    page.locator("#show-export").click()
    number = int(re.findall(r"The (\d+) hits that are loaded", page.locator("#export-all").inner_text())[0])
    hits = json.loads(saved(page, lambda: page.get_by_role("button", name="Save").click()))["hits"]
    assert len(hits) == number >= 50


def test_the_export_offers_only_what_there_is(show: Show) -> None:
    page = show(f"?q={TEXT}")
    waited(page)
    page.locator("#show-export").click()
    assert page.locator("#export-selected").is_hidden()
    cancel, save = (rect(page, f"#export .buttons button:{place}-child") for place in ("first", "last"))
    assert cancel["y"] == save["y"]


def test_the_search_is_given_as_code(show: Show) -> None:
    page = show(f"?q={TEXT}&boxes=2&min=0.1")
    waited(page)
    page.get_by_role("button", name="This search as code").click()
    page.wait_for_selector("#code[open]")
    tabs = page.get_by_role("tab")
    assert tabs.all_inner_texts() == ["curl", "Python", "Template", "Command"]
    # curl sends the vectors of the texts, so it does not name them.
    for place, begin in enumerate(("curl -s", "", "# The cluster encodes the text", "sorce search")):
        tabs.nth(place).click()
        code = page.locator("#code-text").inner_text()
        assert code.startswith(begin)
        assert (TEXT in code) is (place > 0)
    page.keyboard.press("ArrowLeft")
    assert tabs.nth(2).get_attribute("aria-selected") == "true"


# For everybody


def violations(page: Any) -> list[str]:
    found = page.evaluate(f"{AXE.read_text(encoding='utf-8')};axe.run(document)")
    return [
        f"{each['id']}: {[node['target'] for node in each['nodes']][:3]}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(show: Show, gallery: Gallery, scheme: str) -> None:
    unlike = f"r:{gallery.photo('street/0000.jpg')}:0"
    query = f"?q={TEXT}&q=robot&not=snowman&not_like={unlike}&where=shop%3Dnorth"
    page = show(query, color_scheme=scheme, reduced_motion="reduce")
    waited(page)
    page.locator(".tile .select").first.check(force=True)
    found: dict[str, list[str]] = {"grid": violations(page)}
    for name, opener in (("export", "Export"), ("code", "This search as code"), ("help", "Keys")):
        page.locator("nav").get_by_role("button", name=opener).click()
        page.wait_for_selector(f"#{name}[open]")
        found[name] = violations(page)
        page.keyboard.press("Escape")
    open_first(page)
    page.wait_for_selector("#photo-details >> text=Canon EOS")
    found["photo"] = violations(page)
    assert [each for each in found.items() if each[1]] == []


def test_the_dialog_keeps_the_focus_and_everything_has_a_name(show: Show) -> None:
    page = show(f"?q={TEXT}")
    open_first(page)
    assert page.evaluate("document.activeElement.id") == "stage"
    for _ in range(25):
        page.keyboard.press("Tab")
        # The browser's own bar is a stop between the last and the first.
        assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('#photo')")
    nameless = "all => all.filter(e => !(e.ariaLabel || e.textContent.trim())).map(e => e.outerHTML)"
    assert page.locator("button").evaluate_all(nameless) == []


def test_dark_and_light_follow_the_system_or_the_choice(show: Show) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    page = show(color_scheme="dark")
    page.wait_for_selector("text=What are you looking for?")
    dark = page.evaluate(background)
    page.locator("#theme").select_option("light")
    light = page.evaluate(background)
    assert dark != light
    page.reload()
    page.wait_for_selector("text=What are you looking for?")
    assert page.evaluate(background) == light


def test_reduced_motion_moves_nothing(show: Show) -> None:
    page = show(f"?q={TEXT}", reduced_motion="reduce")
    waited(page)
    moving = (
        "[...document.querySelectorAll('*')].filter(e => parseFloat(getComputedStyle(e).transitionDuration) > 0).length"
    )
    assert page.evaluate(moving) == 0


def test_a_phone_shows_all_without_scrolling_sideways(show: Show) -> None:
    page = show(f"?q={TEXT}&q=robot", viewport=PHONE, is_mobile=True, has_touch=True)
    waited(page)
    assert page.locator("#settings").is_hidden()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Filters and settings").tap()
    page.wait_for_selector("#settings", state="visible")
    # The head is higher with two phrases.
    assert rect(page, "#settings")["y"] == pytest.approx(rect(page, "#top")["height"], abs=1)
    page.get_by_role("button", name="Filters and settings").tap()
    open_first(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("#photo-panel").is_visible()
    # The panel scrolls, and its list of boxes does not shrink for that.
    assert rect(page, "#photo-boxes")["height"] >= 2 * rect(page, ".box-entry")["height"]
    page.get_by_role("button", name="Draw a box").tap()
    page.wait_for_selector("#photo-draw", state="visible")
    stage = rect(page, "#stage")
    assert rect(page, "#photo-draw")["y"] >= stage["y"] + stage["height"] - 1


def test_names_from_right_to_left_keep_their_direction(show: Show) -> None:
    page = show(f"?q={TEXT}&folder=shelf")
    waited(page)
    assert page.locator(f"bdi >> text={HEBREW}").evaluate("e => getComputedStyle(e).direction") in ("rtl", "ltr")
    page.locator(f".tile:has(bdi:text('{HEBREW}')) a.picture").click()
    page.wait_for_selector("#photo[open]")
    assert page.locator("#photo-name").evaluate("e => e.matches(':dir(rtl)')")


def test_the_page_speaks_german(show: Show) -> None:
    page = show(f"?q={TEXT}", locale="de-DE")
    waited(page)
    assert page.get_by_role("button", name="Suchen", exact=True).is_visible()
    assert page.evaluate("document.documentElement.lang") == "de"
    assert "," in page.locator(".badge").first.inner_text()
    page.locator("#language").select_option("en")
    page.wait_for_selector("button >> text=Search")


def test_both_languages_have_every_text_and_no_other() -> None:
    english, german = (
        json.loads((STATIC / f"locale/{each}.json").read_text(encoding="utf-8")) for each in ("en", "de")
    )
    assert list(english) == list(german)
    sources = [file.read_text(encoding="utf-8") for file in (*STATIC.glob("*.js"), STATIC / "index.html")]
    named = {each for text in sources for each in re.findall(r'"([a-z-]+(?:\.[a-z-]+)*)"', text)}
    known = {each.removesuffix(".one").removesuffix(".other") for each in english}
    # These are put together from a name, such as that of a key or a format.
    built = (
        "code.",
        "condition.",
        "export.",
        "field.",
        "keys.",
        "kind.",
        "mark.",
        "rank.",
        "term.",
        "theme.",
        "welcome.",
    )
    assert {each for each in known - named if not each.startswith(built)} == set()
    rooms = {each.split(".")[0] for each in known}
    assert {each for each in named - known if "." in each and each.split(".")[0] in rooms} == set()


# Safe


def test_the_login_form_asks_for_the_key_behind_a_base_path(show: Show, locked: httpx.Client, album: Album) -> None:
    page = show(
        f"?q=red&index={album.index}",
        at=f"{str(locked.base_url).rstrip('/')}/photos-app",
        expected=("401", "404", "422"),
    )
    page.wait_for_selector("#login[open]")
    page.keyboard.press("Escape")
    page.locator("#login-key").fill("wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=That is not the key.")
    page.locator("#login-key").fill("right-key")
    page.keyboard.press("Enter")
    page.wait_for_selector(".picture.loaded")
    assert urlsplit(page.url).path == "/photos-app/"


def test_without_a_root_the_page_says_so(
    show: Show, cluster: OpenSearch, gallery: Gallery, model: GalleryModel, cache: Path
) -> None:
    with served_gallery(cluster, gallery, model, PageSettings(cache=cache)) as address:
        page = show(f"?q={TEXT}", at=address)
        waited(page)
        assert "--root" in page.locator("#no-pictures").inner_text()
        assert page.locator("img.thumb").count() == 0
        open_first(page)
        assert page.locator("#stage .box .line").first.is_visible()
        page.context.close()


def test_a_page_whose_scripts_are_refused_says_so(show: Show, started: Any, url: str) -> None:
    context = started.new_context()
    page = context.new_page()
    page.route("**/static/main.js", lambda route: route.fulfill(status=403))
    page.goto(url)
    page.wait_for_selector("#unloaded", state="visible")
    context.close()
    page = show()
    page.wait_for_selector("text=What are you looking for?")
    assert page.locator("#unloaded").count() == 0


def test_a_hostile_name_shows_as_text(show: Show, page: httpx.Client) -> None:
    # Pictures of hostile documents are refused, which the browser tells on its console.
    shown = show("?q=red&fold=off", at=str(page.base_url).rstrip("/"), expected=("404", "422"))
    waited(shown)
    name = shown.locator("bdi", has_text=SCRIPT).first
    assert name.inner_text() == SCRIPT
    assert shown.locator("img[src='x']").count() == 0
