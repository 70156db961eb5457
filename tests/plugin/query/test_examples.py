"""Search by example, pages and folded near-duplicates: the answer is numpy's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from opensearchpy import OpenSearch, exceptions
from PIL import Image

from sorce.cli import sorce as command
from sorce.errors import ModelError, QueryError
from sorce.mappings import Box, Hit, Hits
from sorce.mappings.example import LikePicture, LikeRegion, LikeVector
from sorce.mappings.filters import Filter
from sorce.models.model import TextEncoder
from sorce.plugin import ClientSearch, SearchRequest, ServerSearch
from sorce.plugin.query import folding
from sorce.plugin.query.examples import cut_out
from sorce.plugin.query.picture import open_example
from sorce.plugin.query.table import as_json, table
from tests.kit.corpus import REGIONS, Corpus, Words
from tests.kit.place import Place
from tests.plugin.query.test_search import check

TWO = Image.new("RGB", (40, 20), "red")
TWO.paste("blue", (20, 0, 40, 20))
LEFT, RIGHT = LikePicture(TWO, Box(0, 0, 20, 20)), LikePicture(TWO, Box(20, 0, 40, 20))


def region(photo: int, number: int) -> LikeRegion:
    return LikeRegion(f"{photo:032x}", number)


REQUESTS = {
    "a picture": SearchRequest(like=LikePicture(TWO)),
    "a crop": SearchRequest(like=LEFT),
    "another crop": SearchRequest(like=[RIGHT], boxes=3),
    "a region": SearchRequest(like=region(7, 3)),
    "the whole photo": SearchRequest(like=region(8, 0), size=3),
    "a vector": SearchRequest(like=LikeVector(np.arange(16) - 7.5)),
    "a text and a region": SearchRequest("a kite", like=region(9, 1)),
    "two crops": SearchRequest(like=[LEFT, RIGHT]),
    "all, and not": SearchRequest(["a kite"], ["a dog"], [RIGHT, region(3, 2)], boxes=2),
    "not, and filtered": SearchRequest(nots="sea", like=region(3, 2), filter=Filter(max_area=0.004, folder="/a/b")),
    "not like a region": SearchRequest("a kite", not_like=region(3, 2)),
    "not a text, nor like a crop": SearchRequest("sea", "a dog", not_like=[RIGHT], boxes=2),
    "like a region, not like a picture and a vector": SearchRequest(
        like=region(7, 3), not_like=[LikePicture(TWO), LikeVector(np.arange(16) - 3.0)], filter=Filter(max_area=0.004)
    ),
    "exact": SearchRequest(like=region(11, 4), exact=True),
    "page 2": SearchRequest("a kite", start=10),
    "page 4 of several": SearchRequest(["a kite", "sea"], ["a dog"], start=21, size=7, boxes=2),
    "the last page": SearchRequest("a kite", start=145),
    "page 2 of a region": SearchRequest(like=region(7, 3), start=5, size=5),
}


class Silent(TextEncoder):
    """An encoder that must not be needed."""

    def embed_texts(self, texts: Any) -> Any:
        raise AssertionError(texts)


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS.keys())
def test_an_example_finds_what_numpy_finds(
    client: OpenSearch, index: str, corpus: Corpus, request_: SearchRequest
) -> None:
    check(ClientSearch(client, index, lambda _: Words()).search(request_), corpus.expected(request_))


@pytest.mark.fault("12.7.2")
def test_pages_hold_all_photos_once_and_in_order(client: OpenSearch, installed: str) -> None:
    asked = SearchRequest(["a kite", "sea"], size=40)
    for search in (ClientSearch(client, installed, lambda _: Words()), ServerSearch(client, installed)):
        whole = search.search(asked)
        pages = [search.search(replace(asked, start=start, size=10)) for start in range(0, 40, 10)]
        assert [hit for page in pages for hit in page] == list(whole)


def test_a_page_beyond_the_last_photo_says_so(client: OpenSearch, index: str) -> None:
    hits = ClientSearch(client, index, lambda _: Words()).search(SearchRequest("a kite", start=150))
    assert (len(hits), hits.notes) == (0, ("no photo is left after the first 150.",))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"start": 9_995, "size": 10}, "a search reaches only 10000"),
        ({"start": 10, "k": 15}, "k is 15, less than the last photo asked for"),
        ({"start": -1}, "out of range"),
        ({"like": "a picture"}, "like holds a str; give LikePicture"),
        ({"like": [LEFT] * 4}, "1 to 4 phrases and examples together"),
        ({"not_like": "a picture"}, "not_like holds a str; give LikePicture"),
        ({"nots": "sea", "not_like": [LEFT, RIGHT]}, 'at most 2 "not", examples among them'),
        ({"fold": 2}, "out of range"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(given: dict[str, Any], said: str) -> None:
    with pytest.raises(QueryError, match=said):
        SearchRequest("a kite", **given)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: LikePicture(TWO, Box(0, 0, 41, 20)), "0,0,41,20 is not inside the picture of 40 x 20"),
        (lambda: LikePicture(Image.new("RGB", (0, 5))), "0 x 5 pixels cannot be searched for"),
        (lambda: LikeRegion("1a2b"), "is too short"),
        (lambda: LikeRegion.parse("1a2b3c4d"), "write PHOTO/REGION"),
        (lambda: LikeRegion.parse("1a2b3c4d/x"), "write PHOTO/REGION"),
        (lambda: LikeRegion("1a2b3c4d", -1), "is not the number of a region"),
        (lambda: LikeVector(np.zeros(16)), "not all 0"),
        (lambda: LikeVector(np.full(16, np.nan)), "finite numbers"),
        (lambda: LikeVector(np.ones((2, 8))), r"shape \(2, 8\)"),
        (lambda: LikeVector(["a"]), "is not a number"),  # type: ignore[arg-type]
    ],
)
def test_an_example_that_makes_no_sense_is_a_sentence(make: Any, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        make()


@pytest.mark.parametrize(
    ("like", "said"),
    [
        (region(7, REGIONS), "has no region"),
        (LikeRegion("f" * 32), "has no region"),
        (LikeRegion("0" * 8), "several photos have an id that starts with 00000000"),
        (LikeVector(np.ones(8)), "8 numbers does not fit an index of 16"),
    ],
)
def test_an_example_that_the_index_cannot_have_is_a_sentence(
    client: OpenSearch, index: str, like: Any, said: str
) -> None:
    with pytest.raises(QueryError, match=said):
        ClientSearch(client, index, lambda _: Words()).search(SearchRequest(like=like))


def turned() -> tuple[Image.Image, dict[str, Any]]:
    photo = TWO.copy()
    photo.paste("green", (0, 0, 10, 5))
    exif = Image.Exif()
    exif[0x0112] = 6
    return photo, {"exif": exif, "quality": 100}


def half_transparent() -> tuple[Image.Image, dict[str, Any]]:
    layer = TWO.convert("RGBA")
    layer.paste((0, 0, 0, 0), (0, 0, 10, 20))
    return layer, {}


def deep_grey() -> tuple[Image.Image, dict[str, Any]]:
    return Image.fromarray(np.arange(800, dtype=np.uint16).reshape(20, 40) * 5), {}


@pytest.mark.parametrize(
    ("made", "name"), [(turned, "a.jpg"), (half_transparent, "a.png"), (deep_grey, "b.png"), (deep_grey, "b.tif")]
)
@pytest.mark.parametrize("box", [None, Box(2, 3, 15, 18)])
def test_a_picture_that_a_program_opens_is_seen_as_its_file_is(
    tmp_path: Path, made: Any, name: str, box: Box | None
) -> None:
    image, options = made()
    image.save(tmp_path / name, **options)
    with Image.open(tmp_path / name) as opened:
        mine = cut_out(LikePicture(opened, box))
    theirs = cut_out(open_example(tmp_path / name, box))
    assert mine.mode == "RGB"
    assert np.array_equal(np.asarray(mine), np.asarray(theirs))


def test_a_box_is_one_of_the_turned_picture(tmp_path: Path) -> None:
    image, options = turned()
    image.save(tmp_path / "a.jpg", **options)
    with Image.open(tmp_path / "a.jpg") as opened:
        assert cut_out(LikePicture(opened, Box(0, 0, 20, 40))).size == (20, 40)
        with pytest.raises(QueryError, match="0,0,40,20 is not inside the picture of 20 x 40"):
            LikePicture(opened, Box(0, 0, 40, 20))


def test_a_damaged_picture_of_a_program_is_a_sentence(tmp_path: Path) -> None:
    Image.effect_noise((90, 90), 90).save(tmp_path / "a.jpg")
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(whole[: len(whole) // 2])
    with Image.open(tmp_path / "a.jpg") as opened, pytest.raises(QueryError, match=r"^picture is cut short"):
        cut_out(LikePicture(opened))
    closed = Image.open(tmp_path / "a.jpg")
    closed.close()
    with pytest.raises(QueryError, match=r"^picture is damaged"):
        cut_out(LikePicture(closed))


def test_regions_and_vectors_need_no_model(client: OpenSearch, index: str, corpus: Corpus) -> None:
    def load(_: object) -> TextEncoder:
        raise AssertionError("a model is loaded")

    asked = SearchRequest(like=[region(7, 3), LikeVector(corpus.vectors[5, 2])])
    check(ClientSearch(client, index, load).search(asked), corpus.expected(asked))


def test_a_region_is_its_own_best_hit(client: OpenSearch, index: str) -> None:
    hit = ClientSearch(client, index, lambda _: Silent()).search(SearchRequest(like=region(20, 5)))[0]
    assert (hit.photo_id, hit.best.region_id, hit.similarity) == (f"{20:032x}", 5, pytest.approx(1, abs=1e-6))


def test_what_cannot_be_encoded_is_refused_and_there_is_no_fallback(client: OpenSearch, installed: str) -> None:
    with pytest.raises(ModelError, match="gives no vector for a picture by itself"):
        ClientSearch(client, installed, lambda _: Silent()).search(SearchRequest(like=LEFT))
    for example in ({"like": region(7, 3)}, {"not_like": region(7, 3)}):
        with pytest.raises(QueryError, match="the cluster encodes texts only"):
            ServerSearch(client, installed).search(SearchRequest("a kite", **example))


def folded_by_numpy(corpus: Corpus, hits: Any, cosine: float) -> list[tuple[str, list[str]]]:
    shown: list[tuple[str, list[str]]] = []
    wholes = {hit.photo_id: corpus.vectors[int(hit.photo_id, 16), 0] for hit in hits}
    for hit in hits:
        best = next((each for each in shown if wholes[each[0]] @ wholes[hit.photo_id] >= cosine), None)
        if best is None:
            shown.append((hit.photo_id, []))
        else:
            best[1].append(hit.photo_id)
    return shown


@pytest.mark.parametrize("cosine", [0.3, 0.5, 0.97])
def test_near_duplicates_are_folded_under_the_best_as_numpy_folds_them(
    client: OpenSearch, installed: str, corpus: Corpus, cosine: float
) -> None:
    asked = SearchRequest("a kite", size=30)
    for search in (ClientSearch(client, installed, lambda _: Words()), ServerSearch(client, installed)):
        wanted = folded_by_numpy(corpus, search.search(replace(asked, fold=None)), cosine)
        hits = search.search(replace(asked, fold=cosine))
        assert [(hit.photo_id, [each.photo_id for each in hit.duplicates]) for hit in hits] == wanted
        assert any(hit.duplicates for hit in hits) == (cosine < 0.97)


def test_a_photo_without_a_vector_is_not_folded() -> None:
    def hit(photo_id: str) -> Hit:
        return Hit(photo_id, "a.jpg", "a.jpg", ".", 10, 10, 0.5, ())

    vectors = {"a": np.array([1, 0], np.float32), "b": None, "c": np.array([1, 0], np.float32)}
    shown = folding.folded(Hits(tuple(hit(name) for name in "abcd")), vectors, 0.97)
    assert [(each.photo_id, [under.photo_id for under in each.duplicates]) for each in shown] == [
        ("a", ["c"]),
        ("b", []),
        ("d", []),
    ]


def test_photos_of_earlier_pages_are_better_and_a_chain_folds_nothing_unlike() -> None:
    def hit(photo_id: str) -> Hit:
        return Hit(photo_id, "a.jpg", "a.jpg", ".", 10, 10, 0.5, ())

    degrees = {"a": 0, "b": 90, "c": 10, "d": 20, "e": 25, "f": 91}
    turned = {name: np.deg2rad(angle) for name, angle in degrees.items()}
    vectors = {name: np.array([np.cos(angle), np.sin(angle)], np.float32) for name, angle in turned.items()}
    hits, under = folding.folded_under("abz", Hits(tuple(hit(name) for name in "cdef")), vectors, 0.97)
    # d is near c, which stands under a; a is too far from it.
    assert [(each.photo_id, [near.photo_id for near in each.duplicates]) for each in hits] == [("d", ["e"])]
    assert {name: [near.photo_id for near in each] for name, each in under.items()} == {"a": ["c"], "b": ["f"]}


def test_table_and_json_show_what_is_folded_and_the_rank_on_a_later_page(client: OpenSearch, index: str) -> None:
    asked = SearchRequest(["a kite"], like=region(7, 3), start=20, size=20, fold=0.3)
    hits = ClientSearch(client, index, lambda _: Words()).search(asked)
    lines = table(hits, asked.labels, asked.start).splitlines()
    assert lines[1].startswith("21 ")
    assert any(line.startswith("= ") for line in lines)
    assert lines[-1] == "= a near-duplicate of the photo above it."
    assert f"b: region {7:032x}/3" in lines
    told = as_json(hits, asked)
    assert told["like"] == [f"region {7:032x}/3"]
    assert told["hits"][0]["rank"] == 21
    assert any(hit["duplicates"] for hit in told["hits"])


def test_the_templates_own_answer_carries_region_id_and_box(client: OpenSearch, installed: str, corpus: Corpus) -> None:
    """Whoever asks with curl gets what `sorce search` shows."""
    name = f"sorce-{installed}"
    for start in (0, 3):
        body = {"id": name, "params": {"text": "a kite", "size": 3, "start": start, "k": 100}}
        path = f"/{installed}/_search/template"
        answer = client.transport.perform_request("POST", path, params={"search_pipeline": name}, body=body)
        wanted = corpus.expected(SearchRequest("a kite", start=start, size=3))
        fields = [hit["inner_hits"]["p0"]["hits"]["hits"][0]["fields"] for hit in answer["hits"]["hits"]]
        shown = [
            (found["regions.id"][0], Box(*(found[f"regions.{side}"][0] for side in ("x1", "y1", "x2", "y2"))))
            for found in fields
        ]
        assert shown == [(each[0][0].region_id, each[0][0].box) for each in wanted.matches]
    short = {"id": name, "params": {"text": "a kite", "start": 10}}
    with pytest.raises(exceptions.RequestError, match="start needs k"):
        client.transport.perform_request("POST", path, params={"search_pipeline": name}, body=short)


def run(place: Place, *arguments: str) -> Any:
    return CliRunner().invoke(command, ["search", *arguments], env=dict(place.environment))


def test_the_command_searches_by_a_region_and_by_pages(place: Place, index: str) -> None:
    url = ["--url", place.url, "--index", index, "--json"]
    done = run(place, "--like-region", f"{20:032x}/5", "--size", "3", *url)
    assert done.exit_code == 0, done.output
    first = json.loads(done.stdout)["hits"][0]
    assert (first["photo_id"], first["matches"][0][0]["region_id"]) == (f"{20:032x}", 5)
    later = json.loads(run(place, "--like-region", f"{20:032x}/5", "--from", "1", "--size", "2", *url).stdout)
    assert [hit["rank"] for hit in later["hits"]] == [2, 3]


def test_the_command_searches_by_a_part_of_a_picture(
    place: Place, index: str, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sorce.plugin.query.commands.load_encoder", lambda *_, **__: Words())
    file = tmp_path / "two.png"
    TWO.save(file)
    given = [
        "--like",
        str(file),
        "--box",
        "20,0,40,20",
        "--not",
        "a dog",
        "--url",
        place.url,
        "--index",
        index,
        "--json",
    ]
    done = run(place, *given)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    wanted = corpus.expected(SearchRequest(nots=["a dog"], like=[RIGHT]))
    assert [hit["photo_id"] for hit in told["hits"]] == wanted.photo_ids
    assert (told["nots"], told["like"], told["not_like"]) == (["a dog"], ["two.png 20,0,40,20"], [])


def test_the_command_takes_examples_that_count_against_a_photo(
    place: Place, index: str, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sorce.plugin.query.commands.load_encoder", lambda *_, **_given: Words())
    file = tmp_path / "two.png"
    TWO.save(file)
    unlike = ["--not-like", str(file), "--not-box", "20,0,40,20", "--not-like-region", f"{3:032x}/2"]
    done = run(place, "a kite", *unlike, "--url", place.url, "--index", index, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    wanted = corpus.expected(SearchRequest("a kite", not_like=[RIGHT, region(3, 2)]))
    assert [hit["photo_id"] for hit in told["hits"]] == wanted.photo_ids
    assert told["not_like"] == ["two.png 20,0,40,20", f"region {3:032x}/2"]


@pytest.mark.parametrize("options", [["--like", "{file}"], ["a dog", "--not-like", "{file}"], ["a dog"]])
def test_only_a_picture_needs_the_picture_half_of_the_model_at_once(
    place: Place, index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    loaded: list[dict[str, bool]] = []
    monkeypatch.setattr("sorce.plugin.query.commands.load_encoder", lambda *_, **given: loaded.append(given) or Words())
    file = tmp_path / "two.png"
    TWO.save(file)
    done = run(place, *(each.format(file=file) for each in options), "--url", place.url, "--index", index)
    assert done.exit_code == 0, done.output
    assert loaded == [{"texts_first": "{file}" not in options}]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say what to search for, in quotes; or give an example"),
        (["--box", "0,0,1,1", "a kite"], "give --like FILE, too"),
        (["--not-box", "0,0,1,1", "a kite"], "give --not-like FILE, too"),
        (["--not-like-region", "1a2b3c4d/7"], "say what to search for, in quotes; or give an example"),
        (["--like", "{file}", "--box", "0,0,1"], "write left,top,right,bottom"),
        (["--like", "{file}", "--box", "0,0,0,0"], "write left,top,right,bottom"),
    ],
)
def test_a_wrong_example_on_the_command_line_is_wrong_usage(
    place: Place, tmp_path: Path, arguments: list[str], said: str
) -> None:
    file = tmp_path / "two.png"
    TWO.save(file)
    done = run(place, *(each.format(file=file) for each in arguments))
    assert (done.exit_code, said in done.output) == (2, True), done.output


def test_a_picture_that_cannot_be_opened_is_a_sentence(place: Place, tmp_path: Path) -> None:
    (tmp_path / "no.png").write_bytes(b"no picture")
    done = run(place, "--like", str(tmp_path / "no.png"))
    assert isinstance(done.exception, QueryError)
    assert "no.png' is not a picture" in str(done.exception)
