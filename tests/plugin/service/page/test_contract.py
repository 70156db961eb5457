"""The page's JSON interface: the shape of each answer, and that it is the search's own."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from opensearchpy import OpenSearch

from sorce.mappings import Box
from sorce.mappings.example import LikeRegion
from sorce.mappings.request import SearchRequest
from sorce.plugin.query.search import ClientSearch
from tests.kit.album import MODEL, SCRIPT, Album

HIT = {
    "index", "photo_id", "version", "file_name", "folder", "width", "height", "score", "unproved", "box", "region_id",
    "similarity", "matches", "index_rank", "seen", "taken_on", "taken_at", "camera", "keywords", "attributes", "same",
}  # fmt: skip


def search(page: httpx.Client, **body: Any) -> Any:
    answer = page.post("/api/search", json={"phrases": ["red"], **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def refusal(page: httpx.Client, **body: Any) -> tuple[int, str]:
    answer = page.post("/api/search", json={"phrases": ["red"], **body})
    return answer.status_code, answer.json()["error"]["message"]


def test_the_session_says_what_the_page_can_do(page: httpx.Client) -> None:
    said = page.get("/api/session").json()
    assert said.pop("version").count(".") == 2
    assert said == {"login": False, "pictures": True, "locate": True, "show_paths": False}


def test_an_index_says_what_it_holds_and_how_it_can_be_filtered(page: httpx.Client, album: Album) -> None:
    [index] = page.get("/api/indices").json()["indices"]
    fields = {each["name"]: each for each in index.pop("fields")}
    assert index == {
        "name": album.index,
        "photos": 17,
        "regions": 85,
        "model": "example/fake",
        "method": "quarters",
        "note": None,
        "ranks": ["similarity"],
        "debias": False,
        "dimension": 8,
    }
    assert fields["kinds"]["values"] == [["tile", 17], ["whole", 17]]
    assert ["kitchen", 4] in fields["folder"]["values"]
    assert fields["camera"]["values"] == [["Canon EOS", 1]]
    assert (fields["taken_on"]["type"], fields["taken_on"]["min"], fields["taken_on"]["max"]) == (
        "date",
        "2026-01-31",
        "2026-01-31",
    )
    assert (fields["area"]["min"], fields["area"]["max"]) == (0.25, 1)
    assert (fields["attributes.aisle"]["type"], fields["attributes.aisle"]["min"]) == ("integer", 3)
    assert sorted(name for name, _ in fields["attributes.shop"]["values"]) == ["north", "south"]
    assert "keywords" not in fields
    assert "location" not in fields


def test_a_hit_is_the_search_s_own_with_what_the_page_shows_beside(
    page: httpx.Client, cluster: OpenSearch, album: Album
) -> None:
    found = search(page, size=5, boxes=2)
    request = SearchRequest(["red"], size=5, boxes=2, fold=None)
    expected = ClientSearch(cluster, album.index, lambda _: MODEL).search(request)
    assert found.keys() >= {"took_ms", "encode_ms", "labels", "notes", "left_out", "folded"}
    assert (found["index"], found["photos"], found["regions"]) == (album.index, 17, 85)
    assert (found["more"], found["partial"], found["nearest"]) == (True, False, None)
    for hit, right in zip(found["hits"], expected, strict=True):
        assert hit.keys() == HIT
        same = {"photo_id", "score", "matches", "file_name"}
        assert {name: hit[name] for name in same} == {name: right.as_dict()[name] for name in same}
        assert (hit["box"], hit["region_id"]) == (list(right.box.as_tuple()), right.best.region_id)


def test_every_box_comes_with_the_id_of_its_region(page: httpx.Client, cluster: OpenSearch, album: Album) -> None:
    """Every interface carries both; the other interfaces in tests/sorce/test_index.py."""
    like = {"photo_id": album.photo("hall/3.png"), "region_id": 2}
    found = search(page, size=17, boxes=3, like=[like], nots=["blue"], fold=0.99)
    request = SearchRequest(["red"], ["blue"], LikeRegion(like["photo_id"], 2), size=17, boxes=3, fold=None)
    plain = ClientSearch(cluster, album.index, lambda _: MODEL).search(request)
    right = {hit.photo_id: [[(it.region_id, it.box) for it in each] for each in hit.matches] for hit in plain}
    shown = [each for hit in found["hits"] for each in (hit, *hit["same"])]
    assert any(hit["same"] for hit in found["hits"])
    assert {hit["photo_id"] for hit in shown} == right.keys()
    for hit in shown:
        boxes = [[(each["region_id"], Box(*each["box"])) for each in several] for several in hit["matches"]]
        assert boxes == right[hit["photo_id"]]
        assert (hit["region_id"], Box(*hit["box"])) == boxes[0][0]
    nearest = search(page, min_similarity=0.9999)["nearest"]
    assert (nearest["region_id"], nearest["box"]) == (
        nearest["matches"][0][0]["region_id"],
        nearest["matches"][0][0]["box"],
    )


def test_details_come_with_a_hit(page: httpx.Client, album: Album) -> None:
    [hit] = search(page, phrases=["green"], filter={"camera": "Canon EOS"})["hits"]
    assert hit["photo_id"] == album.photo("hall/dated.jpg")
    assert (hit["taken_on"], hit["camera"], hit["folder"]) == ("2026-01-31", "Canon EOS", "hall")
    assert hit["attributes"] == {"aisle": 4, "shop": "south"}
    assert len(hit["version"]) == 16


def test_pages_follow_one_another(page: httpx.Client) -> None:
    whole = [hit["photo_id"] for hit in search(page, size=17)["hits"]]
    parts = [search(page, size=6, **{"from": start}) for start in (0, 6, 12)]
    assert [hit["photo_id"] for part in parts for hit in part["hits"]] == whole
    assert [part["more"] for part in parts] == [True, True, False]


def test_a_photo_is_a_hit_wherever_it_is_in_the_order(page: httpx.Client, album: Album) -> None:
    *_, last = search(page, size=17)["hits"]
    alone = search(page, size=1, photo_ids=[last["photo_id"]])
    assert [(hit["photo_id"], hit["matches"]) for hit in alone["hits"]] == [(last["photo_id"], last["matches"])]
    hall = album.photo("hall/3.png")
    assert search(page, photo_ids=[hall], filter={"folder": "kitchen"})["hits"] == []


def test_near_duplicates_are_folded(page: httpx.Client, album: Album) -> None:
    filtered = {"folder": "kitchen"}
    pair = {album.photo("kitchen/0.png"), album.photo("kitchen/0-again.png")}
    [hit] = [each for each in search(page, filter=filtered, fold=0.99)["hits"] if each["photo_id"] in pair]
    [same] = hit["same"]
    assert {hit["photo_id"], same["photo_id"]} == pair
    assert same.keys() == HIT


def test_near_duplicates_of_an_earlier_page_are_folded_as_in_one_answer(page: httpx.Client) -> None:
    groups = {hit["photo_id"]: ids(hit["same"]) for hit in search(page, size=17, fold=0.99)["hits"]}
    assert any(groups.values())
    found: dict[str, list[str]] = {}
    for start in range(0, 17, 2):
        # Twice: what was read of earlier photos is remembered.
        answers = [search(page, size=2, fold=0.99, shown=list(found), **{"from": start}) for _ in range(2)]
        assert answers[0]["hits"] == answers[1]["hits"]
        assert answers[0]["more"] == (start < 16)
        for photo_id, under in answers[0]["folded"].items():
            assert all(hit.keys() == HIT for hit in under)
            found[photo_id] += ids(under)
        found |= {hit["photo_id"]: ids(hit["same"]) for hit in answers[0]["hits"]}
    assert found == groups


def ids(hits: list[Any]) -> list[str]:
    return [hit["photo_id"] for hit in hits]


def test_a_photo_that_was_not_compared_is_never_folded(page: httpx.Client) -> None:
    """Ids that nobody finds, and folding that is off, hide nothing."""
    first = search(page, size=3, fold=0.99, shown=["nobody", "0" * 32])
    assert (ids(first["hits"]), first["folded"]) == (ids(search(page, size=3, fold=0.99)["hits"]), {})
    off = search(page, size=3, shown=ids(first["hits"]))
    assert (len(off["hits"]), off["folded"]) == (3, {})


def test_the_nearest_stands_where_nothing_is_similar_enough(page: httpx.Client) -> None:
    found = search(page, min_similarity=0.9999)
    assert (found["hits"], found["more"]) == ([], False)
    assert found["nearest"]["photo_id"] == search(page, size=1)["hits"][0]["photo_id"]
    assert "0.9999" in found["notes"][0]


def test_a_folder_is_filtered_by_the_name_that_is_shown(page: httpx.Client) -> None:
    folders = {hit["folder"] for hit in search(page, filter={"folder": "kitchen"})["hits"]}
    assert folders == {"kitchen"}
    others = {hit["folder"] for hit in search(page, filter={"exclude_folder": ["kitchen"]})["hits"]}
    assert "kitchen" not in others


def test_no_path_of_the_machine_is_said(page: httpx.Client, album: Album) -> None:
    answers = [
        page.post("/api/search", json={"phrases": ["red"]}),
        page.post("/api/search", json={"phrases": ["red"], "filter": {"folder": "cellar"}}),
        page.get("/api/indices"),
        page.get(f"/api/photo/{album.photo('kitchen/0.png')}"),
    ]
    assert "folder" in answers[1].json()["notes"][0]
    for answer in answers:
        assert str(album.root.parent) not in answer.text


def test_a_photo_says_what_the_index_holds_of_it(page: httpx.Client, album: Album) -> None:
    said = page.get(f"/api/photo/{album.photo('hall/dated.jpg')}").json()
    assert (said["folder"], said["file_name"], said["width"], said["height"]) == ("hall", "dated.jpg", 80, 40)
    assert said["exif"] == {
        "taken_at": "2026-01-31T12:00:00",
        "camera": "Canon EOS",
        "keywords": [],
        "location": None,
    }
    assert [each["kind"] for each in said["regions"]] == ["whole", *["tile"] * 4]
    assert "uri" not in said
    assert page.get("/api/photo/nothing").status_code == 404


def test_a_name_with_a_script_is_a_text(page: httpx.Client, album: Album) -> None:
    answer = page.get(f"/api/photo/{album.photo(SCRIPT)}")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["file_name"] == SCRIPT


def test_a_search_by_a_region_a_box_and_a_picture_finds_the_photo(page: httpx.Client, album: Album) -> None:
    photo = album.photo("kitchen/1.png")
    content = album.file("kitchen/1.png").read_bytes()
    sent = page.post("/api/like", content=content, headers={"Content-Type": "image/png"}).json()
    assert (sent["width"], sent["height"]) == (64, 64)
    for like in (
        {"photo_id": photo, "region_id": 2},
        {"photo_id": photo, "box": [32, 0, 64, 32]},
        {"upload": sent["upload"], "box": [32, 0, 64, 32]},
    ):
        hit = search(page, phrases=[], like=[like], size=1)["hits"][0]
        assert (hit["photo_id"], hit["region_id"]) == (photo, 2)
        assert hit["similarity"] == pytest.approx(1, abs=1e-3)


def test_a_region_and_a_box_count_against_photos(page: httpx.Client, cluster: OpenSearch, album: Album) -> None:
    photo = album.photo("kitchen/1.png")
    unlike = [{"photo_id": photo, "region_id": 2}, {"photo_id": photo, "box": [32, 0, 64, 32]}]
    request = SearchRequest(["red"], not_like=LikeRegion(photo, 2), size=17, fold=None)
    right = {hit.photo_id: hit.score for hit in ClientSearch(cluster, album.index, lambda _: MODEL).search(request)}
    for each in unlike:
        found = search(page, size=17, not_like=[each])
        assert {hit["photo_id"]: hit["score"] for hit in found["hits"]} == pytest.approx(right, abs=1e-3)
        assert found["labels"] == ["red"]
    assert ids(found["hits"]) != ids(search(page, size=17)["hits"])
    assert refusal(page, nots=["blue"], not_like=unlike)[0] == 422


def test_hits_are_looked_at_again(page: httpx.Client) -> None:
    found = search(page, locate=3, size=3, filter={"folder": "kitchen"})
    scores = [hit["seen"]["score"] for hit in found["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert sorted(hit["index_rank"] for hit in found["hits"]) == [1, 2, 3]


def test_what_cannot_be_searched_is_refused_in_a_sentence(page: httpx.Client, album: Album) -> None:
    assert refusal(page, phrases=[])[0] == 422
    assert refusal(page, filter={"colour": "red"}) == (422, "filter: there is no condition 'colour'.")
    assert refusal(page, filter={"where": ["size>=3"]})[0] == 422
    assert refusal(page, size=10_000)[0] == 422
    assert refusal(page, shown=["x"] * 10_001) == (413, "shown: send at most 10,000 at a time.")
    assert refusal(page, nonsense=1)[0] == 422
    # More than OpenSearch, and more than JSON's writer, takes for a number.
    for number in (2**15, 10**30):
        status, sentence = refusal(page, like=[{"photo_id": album.photo("kitchen/0.png"), "region_id": number}])
        assert (status, f"region {number} is not" in sentence) == (422, True)
    assert refusal(page, like=[{"upload": "gone"}], phrases=[]) == (
        422,
        "the picture to search by is no longer here; send it again.",
    )
    assert refusal(page, like=[{"photo_id": album.photo("text.png"), "box": [0, 0, 1, 1]}])[0] == 422
    assert refusal(page, index="other") == (404, f"index 'other' is not served here; there is {album.index}.")
    assert page.post("/api/search", content=b"{").status_code == 400
    assert page.post("/api/like", content=b"no picture").status_code == 422


def test_the_page_s_own_files_are_served_and_nothing_beside_them(page: httpx.Client) -> None:
    index = page.get("/")
    assert index.headers["Content-Type"].startswith("text/html")
    assert index.headers["Cache-Control"] == "no-cache"
    again = page.get("/", headers={"If-None-Match": index.headers["ETag"]})
    assert again.status_code == 304
    for path in ("/static/../cache.py", "/static/%2e%2e/cache.py", "/static//etc/passwd", "/static/nothing.js"):
        assert page.get(path).status_code == 404
