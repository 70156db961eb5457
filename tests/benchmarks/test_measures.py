"""The bars of the measures: a bar can fail, and a figure that was not measured does not count as reached."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import faults
import figures
import measures
import numpy as np
import peers
import plain
import pytest
import tested
from click.testing import CliRunner
from corpus import SIZE, Corpus, Shape
from growth import Curve
from timing import Latencies, latencies

from sorce.cluster import connect
from sorce.mappings import Vector
from training.scenes.bundled import FOLDER

TINY = Shape(60, 16)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus(TINY)


class Broad(peers.Peer):
    """Finds as many of the true photos as its effort says."""

    name, needs, says_region, lacks, efforts = "broad", "sorce", False, "", (2, 5, 9, 10)

    def __init__(self, folder: Path, corpus: Corpus) -> None:
        super().__init__(folder)
        self._corpus = corpus

    def fill(self, vectors: Vector) -> None: ...

    def search(self, vector: Vector, effort: int) -> list[int]:
        [query] = np.flatnonzero((self._corpus.queries == vector).all(axis=1))
        return [int(photo) for photo in self._corpus.truth()[query][:effort]]


@pytest.mark.parametrize("name", measures.MEASURES.values())
def test_each_measure_is_there(name: str) -> None:
    # A measure that needs the extra `bench` says so when it runs, not when it is imported.
    assert callable(import_module(name).measures)


def test_a_bar_can_fail_and_what_was_not_taken_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lines() -> Iterator[figures.Line]:
        yield figures.at_least("enough", 2, 1)
        yield figures.at_most("too much", 2, 1)
        yield figures.not_taken("missing", "it is not here")

    monkeypatch.setattr(import_module(measures.MEASURES["plain"]), "measures", lines)
    done = CliRunner().invoke(measures.measures, ["plain", "--out", str(tmp_path / "out.json")])
    assert "3 figures, 1 bars hold, 1 fall short, 1 not taken" in done.output
    assert [line["figure"] for line in json.loads((tmp_path / "out.json").read_text())["measures"]] == [2, 2, None]


def test_a_round_s_ratio_is_of_its_medians_and_the_figure_their_median() -> None:
    ratio, note = Latencies([[2, 4, 9], [1, 1, 1], [6, 6, 6]]).over(Latencies([[2, 2, 2], [2, 2, 2], [2, 2, 2]]))
    assert ratio == 2
    assert note == "3 rounds from 0.50 to 3.00"


def test_each_query_is_put_to_all_contestants() -> None:
    asked: dict[str, list[int]] = {"one": [], "other": []}
    taken = latencies({name: asked[name].append for name in asked}, queries=6, rounds=3)
    assert asked["one"] == asked["other"] == [0, 1, *range(6)]
    assert [len(some) for some in taken["one"].rounds] == [2, 2, 2]


def test_a_curve_goes_through_what_lies_on_it() -> None:
    curve = Curve.through([1000, 2000, 4000], [3.0, 3.5, 4.0])
    assert curve.at(64_000) == pytest.approx(6.0)


def test_the_true_photos_are_those_of_the_best_region(corpus: Corpus) -> None:
    best = (corpus.vectors @ corpus.queries[0]).max(axis=1)
    assert set(corpus.truth()[0]) == set(np.argsort(-best)[:SIZE])
    assert corpus.recall([corpus.truth()[0][:5]]) == 0.5


def test_a_peer_is_set_to_the_least_effort_that_finds_enough(corpus: Corpus, tmp_path: Path) -> None:
    assert peers.least(Broad(tmp_path, corpus), corpus) == (10, 1.0)


def test_a_peer_that_never_finds_enough_is_not_compared(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Broad, "efforts", (2, 9))
    monkeypatch.setitem(peers.BARS, (Broad.name, Broad.name), 0.5)
    ours = Broad(tmp_path, corpus)

    def kind(folder: Path) -> Broad:
        return Broad(folder, corpus)

    lines = list(peers.against(TINY, {ours: 10}, kind, corpus))
    assert lines[-1].figure is None
    assert "0.900 at most" in lines[-1].note


def test_the_tests_that_count_as_faults_are_there() -> None:
    for name in faults.TESTS:
        assert (tested.ROOT / faults.FOLDER / name).is_file()


@pytest.mark.long
def test_the_plain_loop_writes_each_photo_once(opensearch: str, tmp_path: Path) -> None:
    index = f"plain-{uuid.uuid4().hex[:12]}"
    for scene in sorted(FOLDER.glob("*.jpg"))[:2]:
        (tmp_path / scene.name).symlink_to(scene)
    options = ("--index", index, "--url", opensearch, "--model", "mini", "--max-regions", "1", str(tmp_path))
    done = subprocess.run(
        [sys.executable, str(plain.PLAIN_LOOP), *options], capture_output=True, text=True, check=False
    )
    with connect(opensearch) as client:
        try:
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)["photos"] == client.count(index=index)["count"] == 2
        finally:
            client.indices.delete(index=index, ignore_unavailable=True)
