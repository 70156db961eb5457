"""The second stage of a search: the first hits are looked at again, and ordered by what is seen."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import sorce
from sorce.cli import sorce as command
from sorce.errors import QueryError
from sorce.locate import open_localiser
from sorce.mappings import Box, Hit, Hits, Instance, Located, LocateRequest, Match
from sorce.mappings.request import SearchRequest
from sorce.models import load_encoder
from sorce.models.methods import Runtime
from sorce.pictures.drawing import save
from sorce.plugin.query.locating import SecondStage, look_again, not_opened, with_enough
from sorce.plugin.query.server_locating import split_answer
from sorce.plugin.query.table import as_json, table
from tests.kit.localiser import paint

Score = Callable[[LocateRequest], float]
BOX, TIGHT = Box(0, 0, 32, 32), Box(4, 4, 20, 20)


class Scored:
    """A localiser that sees the same box everywhere; `score` says how sure it is."""

    name = "scored"

    def __init__(self, score: Score) -> None:
        self._score = score

    def locate(self, requests: Sequence[LocateRequest], boxes: int = 1, min_score: float = 0.0) -> list[Located]:
        found = []
        for request in requests:
            instances = [Instance(TIGHT, self._score(request)), Instance(BOX, 0.5), Instance(Box(40, 40, 50, 50), 0.1)]
            kept = (instances[0], *(each for each in instances[1:boxes] if each.score >= min_score))
            found.append(Located(TIGHT, kept[0].score, (request.box or BOX, TIGHT), kept))
        return found


def hits(files: Sequence[Path], phrases: int = 1) -> Hits:
    matches = ((Match(1, BOX, "tile", 0.25, 1.0, 0.3),),) * phrases
    return Hits(
        tuple(
            Hit(f"{place:032x}", file.as_uri(), file.name, str(file.parent), 64, 64, 0.9 - place / 10, matches)
            for place, file in enumerate(files)
        )
    )


def number(request: LocateRequest) -> int:
    return int(Path(request.picture.name).stem)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return paint(tmp_path, 4)


def test_the_first_hits_are_ordered_by_what_is_seen_and_the_others_stay_behind(files: list[Path]) -> None:
    before = hits(files)
    stage = SecondStage(Scored(lambda request: number(request) / 10), 3, [files[0].parent])
    after = look_again(before, SearchRequest("a kite"), stage)
    assert [hit.file_name for hit in after] == ["2.png", "1.png", "0.png", "3.png"]
    assert [hit.index_rank for hit in after] == [3, 2, 1, 4]
    assert after[3].seen is None
    for hit in after:
        old = next(each for each in before if each.uri == hit.uri)
        assert (hit.box, hit.similarity, hit.score, hit.matches) == (old.box, old.similarity, old.score, old.matches)
    assert after[0].seen is not None
    assert (after[0].seen.located[0].box, after[0].seen.score) == (TIGHT, 0.2)


def test_more_hits_may_be_looked_at_than_are_returned(files: list[Path]) -> None:
    asked = SearchRequest("a kite", size=2)
    assert with_enough(asked, 4).size == 4
    stage = SecondStage(Scored(lambda request: number(request) / 10), 4, [files[0].parent])
    assert [hit.file_name for hit in look_again(hits(files), asked, stage)] == ["3.png", "2.png"]


def test_pages_are_parts_of_one_order(files: list[Path]) -> None:
    stage = SecondStage(Scored(lambda request: number(request) / 10), 3, [files[0].parent])
    found = hits(files)
    pages = []
    for start in range(4):
        asked = SearchRequest("a kite", size=1, start=start)
        wanted = with_enough(asked, 3)
        assert (wanted.start, wanted.size) == ((0, max(start + 1, 3)) if start < 3 else (3, 1))
        part = replace(found, found=found.found[wanted.start : wanted.start + wanted.size])
        pages += look_again(part, asked, stage)
    assert [hit.file_name for hit in pages] == ["2.png", "1.png", "0.png", "3.png"]
    assert [hit.index_rank for hit in pages] == [3, 2, 1, 4]
    assert pages[3].seen is None


def test_phrases_add_up_and_each_not_counts_half_against(files: list[Path]) -> None:
    scores = {"a kite": 0.5, "a dog": 0.25, "sea": 0.4}
    stage = SecondStage(Scored(lambda request: scores[request.text]), 1, [files[0].parent])
    [first, *_] = look_again(hits(files, phrases=2), SearchRequest(["a kite", "a dog"], ["sea"]), stage)
    assert first.seen is not None
    assert first.seen.score == pytest.approx(0.55)
    assert [each.score for each in first.seen.located] == [0.5, 0.25]


def test_what_cannot_be_opened_comes_after_what_was_and_says_why(files: list[Path], tmp_path: Path) -> None:
    files[0].write_bytes(b"no picture")
    outside = tmp_path / "outside"
    outside.mkdir()
    files[1] = paint(outside, 1)[0]
    inside = tmp_path / "inside"
    inside.mkdir()
    for place in (0, 2, 3):
        files[place] = files[place].rename(inside / files[place].name)
    after = look_again(hits(files), SearchRequest("a kite"), SecondStage(Scored(lambda _: 0.1), 3, [inside]))
    assert [hit.index_rank for hit in after] == [3, 1, 2, 4]
    assert [hit.seen and hit.seen.reason for hit in after] == [
        None,
        "is not a picture, or of a kind that is not read",
        "is said to lie outside the root",
        None,
    ]
    assert len(not_opened(after)) == 2


def test_several_instances_are_kept_from_a_least_score(files: list[Path]) -> None:
    stage = SecondStage(Scored(lambda _: 0.9), 1, [files[0].parent], 0.3)
    [first, *_] = look_again(hits(files), SearchRequest("a kite", boxes=5), stage)
    assert first.seen is not None
    assert [each.score for each in first.seen.located[0].instances] == [0.9, 0.5]


@pytest.mark.parametrize("least", [-0.1, 1.1, float("nan")])
def test_a_least_score_that_is_none_is_refused(least: float) -> None:
    with pytest.raises(QueryError, match="min_located_score"):
        SecondStage(Scored(lambda _: 0.1), 3, ["photos"], least)


def test_no_root_is_refused(files: list[Path]) -> None:
    with pytest.raises(QueryError, match="--root"):
        look_again(hits(files), SearchRequest("a kite"), SecondStage(Scored(lambda _: 0.1), 3, []))


def test_table_json_and_drawing_show_what_was_seen(files: list[Path], tmp_path: Path) -> None:
    asked = SearchRequest("a kite")
    stage = SecondStage(Scored(lambda request: number(request) / 10), 2, [files[0].parent])
    after = look_again(hits(files), asked, stage)
    head, first, *_ = table(after, asked.phrases).splitlines()
    assert head.split()[-7:] == ["index", "rank", "things", "located", "located", "box", "photo"]
    assert first.split()[-5:-1] == ["2", "1", "0.1000", "4,4,20,20"]
    said = as_json(after, asked)["hits"]
    assert said[0]["index_rank"] == 2
    assert said[0]["seen"]["located"][0]["box"] == [4, 4, 20, 20]
    assert said[2]["seen"] is None
    plain = save(hits(files[1:2]), tmp_path / "plain", None, asked.phrases).files[0].read_bytes()
    assert save(after[:1], tmp_path / "seen", None, asked.phrases).files[0].read_bytes() != plain


@pytest.fixture
def index(opensearch: str, files: list[Path]) -> Iterator[sorce.Index]:
    opened = sorce.open_index(f"test-locating-{uuid.uuid4().hex[:8]}", opensearch, model="mini", device="cpu")
    opened.ingest(files)
    opened.client.indices.refresh(index=opened.name)
    yield opened
    opened.client.indices.delete(index=opened.name)


def test_the_command_and_python_look_with_the_indexs_own_encoder(
    index: sorce.Index, opensearch: str, files: list[Path]
) -> None:
    root = files[0].parent
    found = index.search("a kite", locate=3, root=root)
    assert sorted(hit.index_rank or 0 for hit in found) == [1, 2, 3, 4]
    scores = [hit.seen.score for hit in found[:3] if hit.seen]
    assert scores == sorted(scores, reverse=True)
    zoom = open_localiser("zoom", lambda: load_encoder("mini", "cpu"))
    stage = SecondStage(zoom, 3, [root])
    assert look_again(index.search("a kite"), SearchRequest("a kite"), stage).found == found.found
    options = ["--index", index.name, "--url", opensearch, "--locate", "3", "--root", str(root), "--json"]
    done = CliRunner().invoke(command, ["search", "a kite", "--device", "cpu", *options], catch_exceptions=False)
    assert json.loads(done.stdout)["hits"] == as_json(found, SearchRequest("a kite"))["hits"]
    for file in files:
        file.unlink()
    gone = CliRunner().invoke(command, ["search", "a kite", "--device", "cpu", *options[:-1]], catch_exceptions=False)
    assert gone.exit_code == 3
    assert gone.stderr.count("was not looked at again: it cannot be read") == 3


def test_python_gives_several_places_from_a_least_score(index: sorce.Index, files: list[Path]) -> None:
    def places(least: float) -> int:
        asked = SearchRequest("a kite", boxes=4)
        given: Any = {"localiser": Scored(lambda _: 0.9), "min_located_score": least, "root": files[0].parent}
        [first, *_] = index.search(asked, locate=1, **given)
        assert first.seen is not None
        return len(first.seen.located[0].instances)

    assert [places(0.0), places(0.3), places(1.0)] == [3, 2, 1]


def test_a_localiser_runs_where_the_index_does(index: sorce.Index, files: list[Path], monkeypatch: Any) -> None:
    asked: list[Any] = []

    def opened(*given: Any) -> Scored:
        asked.append(given)
        return Scored(lambda _: 0.1)

    monkeypatch.setattr("sorce.index.open_localiser", opened)
    index.search("a kite", locate=1, localiser="owner/detector", root=files[0].parent)
    assert asked == [("owner/detector", None, Runtime("cpu"), False)]


def test_the_command_refuses_a_second_stage_without_a_root(opensearch: str) -> None:
    done = CliRunner().invoke(command, ["search", "a kite", "--url", opensearch, "--locate", "3"])
    assert isinstance(done.exception, QueryError)
    assert "name it with --root" in str(done.exception)


@pytest.mark.fault("4.s.13")
def test_what_the_cluster_saw_is_found_by_the_id_that_the_hit_has() -> None:
    """In the source of a document that somebody wrote by hand the id may be a number."""
    source = {"photo_id": 5, "previous_score": 1.5, "located": {"rank": 1, "box": None}}
    _, seen = split_answer({"hits": {"hits": [{"_id": "x", "fields": {"photo_id": ["5"]}, "_source": source}]}})
    assert seen == {"5": (None, 1)}
