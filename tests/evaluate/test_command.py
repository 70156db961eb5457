"""`sorce evaluate`, from a folder to a table, in OpenSearch and in memory."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from opensearchpy import OpenSearch
from PIL import Image, ImageDraw

import sorce.evaluate.commands as commands
import sorce.evaluate.protocols as protocols
import sorce.evaluate.retrievers as retrievers
import sorce.evaluate.run as evaluate_run
from sorce.cli import sorce as command
from sorce.cluster import connect
from sorce.errors import BadPhoto, GroundTruthError, ModelError, QueryError, SorceError
from sorce.evaluate.bootstrap import Metric
from sorce.evaluate.run import BenchmarkRun
from sorce.ingest import Watch
from tests.kit.fake import COLOURS, FakeModel

SCENES = Path(__file__).parents[2] / "training/scenes/bundled"
QUARTERS = {"red": (0, 0), "green": (32, 0), "blue": (0, 32), "yellow": (32, 32)}
NAMES = {"red": "sa_1922.jpg", "green": "sa_1984.jpg", "blue": "sa_1995.jpg", "yellow": "sa_1945.jpg"}
"""Names of SORCE-1K's pictures, which are not in this repository."""


@pytest.fixture
def client(opensearch: str) -> Iterator[OpenSearch]:
    with connect(opensearch) as client:
        yield client


@pytest.fixture
def index(client: OpenSearch, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of the index that the next evaluation makes; it is gone after the test."""
    number = uuid.uuid4()
    monkeypatch.setattr(evaluate_run.uuid, "uuid4", lambda: number)
    name = f"sorce-evaluate-{number.hex[:12]}"
    yield name
    client.indices.delete(index=name, ignore_unavailable=True)


@pytest.fixture(autouse=True)
def models(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, opensearch: str) -> list[tuple[Any, ...]]:
    """What is loaded: models that know colours, in place of those that are named."""
    monkeypatch.setenv("OPENSEARCH_URL", opensearch)
    loaded: list[tuple[Any, ...]] = []

    def load(*what: Any, **_: Any) -> FakeModel:
        loaded.append(what)
        return FakeModel()

    if "mini" not in request.node.name:
        monkeypatch.setattr(commands, "load_model", load)
    return loaded


@pytest.fixture
def sorce_1k(tmp_path: Path) -> Path:
    """Four items: a coloured quarter of a picture, which the zooms show larger."""
    rows = []
    for colour, (x, y) in QUARTERS.items():
        for form, side in (("full_res", 32), ("zoom_2x", 48), ("zoom_3x", 64)):
            photo = Image.new("RGB", (64, 64), (110, 120, 130))
            ImageDraw.Draw(photo).rectangle((x, y, x + side - 1, y + side - 1), fill=COLOURS[colour])
            (tmp_path / form).mkdir(exist_ok=True)
            photo.save(tmp_path / form / NAMES[colour], quality=95)
        rows.append({"image": NAMES[colour], "caption": f"a {colour} thing", "bbox": [[x, y, 32, 32]]})
    (tmp_path / "dataset.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    rows = []
    for number, colours in enumerate((["red", "blue"], ["red"], ["green"], [])):
        photo, objects = Image.new("RGB", (64, 64), (110, 120, 130)), []
        for colour in colours:
            x, y = QUARTERS[colour]
            ImageDraw.Draw(photo).rectangle((x, y, x + 31, y + 31), fill=COLOURS[colour])
            objects.append({"label": colour, "box": [x, y, x + 32, y + 32]})
        photo.save(tmp_path / f"{number}.png")
        rows.append({"image": f"{number}.png", "width": 64, "height": 64, "objects": objects})
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def run(*arguments: str | Path) -> Result:
    texts = [str(argument) for argument in ("evaluate", *arguments)]
    return CliRunner().invoke(command, texts, catch_exceptions=False, standalone_mode=False)


def recipes(*arguments: str | Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(*arguments, "--json").stdout)["recipes"]
    return found


def values(recipe: dict[str, Any]) -> dict[str, float]:
    return {figure["name"]: figure["value"] for figure in recipe["metrics"]}


def test_sorce_1k_in_both_forms(sorce_1k: Path) -> None:
    [recipe] = recipes("sorce-1k", sorce_1k)
    found = values(recipe)
    for name in ("SORCE-12 easy", "SORCE-12 medium", "SORCE-12 hard", "SORCE-12 image to text", "SORCE-4 full-res"):
        assert found[f"{name} R@1"] == 1
    assert found["SORCE-4 full-res box: mean IoU"] == 1
    assert (recipe["photos"], recipe["regions_per_photo"], recipe["index"]) == (12, 5, None)
    assert recipe["index_bytes"] > 1000


def test_results_are_kept_when_asked_for(labelled: Path, client: OpenSearch) -> None:
    done = run("lines", labelled, "--exact", "--json", "--keep-results")
    told = re.search(r"is in index '(sorce-quality-[\d.]+)', as evaluation (\w+)", done.stderr)
    assert told is not None
    body = {"query": {"term": {"evaluation": told[2]}}, "size": 100}
    found = [hit["_source"] for hit in client.search(index=told[1], body=body)["hits"]["hits"]]
    questions = {each["question"]: each for each in found if each["kind"] == "question"}
    assert set(questions) == {"blue", "green", "red"}
    assert (questions["red"]["rank"], questions["red"]["relevant"], questions["red"]["found"]) == (1, 2, 1.0)
    assert questions["red"]["size"] == "of 5 % or more"
    [recipe] = json.loads(done.stdout)["recipes"]
    kept = {each["metric"]: each["value"] for each in found if each["kind"] == "metric"}
    assert kept == {name: value for name, value in values(recipe).items() if value is not None}


@pytest.mark.parametrize("benchmark", ["sorce-1k", "lines", "sorec"])
def test_opensearch_and_memory_find_the_same(request: pytest.FixtureRequest, benchmark: str, tmp_path: Path) -> None:
    folder = tmp_path
    if benchmark == "sorec":
        request.getfixturevalue("labelled")
        row = {"image": "0.png", "ref": "the blue one", "bbox": [0, 30, 32, 34], "id": 1}
        (folder / "val.json").write_text(json.dumps([row, {**row, "ref": "a word that is no colour", "id": 2}]))
    else:
        request.getfixturevalue({"sorce-1k": "sorce_1k", "lines": "labelled"}[benchmark])
    [there], [here] = recipes(benchmark, folder), recipes(benchmark, folder, "--exact")
    assert there["metrics"] == here["metrics"]
    assert there["index_bytes"] > 0
    assert here["index_bytes"] is None


def test_class_names_find_photos_and_boxes(labelled: Path) -> None:
    [recipe] = recipes("lines", labelled, "--exact")
    found = values(recipe)
    assert (found["R@1"], found["retrieval mAP over the first 50 photos, of all relevant"], found["box: mean IoU"]) == (
        1,
        1,
        1,
    )
    assert found["R@10, objects of 5 % or more"] == 1
    assert found["R@10, objects under 0.1 %"] is None


def test_recipes_stand_side_by_side(labelled: Path, models: list[tuple[Any, ...]]) -> None:
    regions = ("--regions", "whole", "--regions", "tiles:max_regions=90,min_object_size=0.05")
    table = run("lines", labelled, "--exact", "--model", "mini", *regions).stdout.splitlines()
    assert re.split(r"\s{2,}", table[0]) == ["", "of", "mini whole", "mini tiles:max_regions=90,min_object_size=0.05"]
    assert table[1].split() == ["R@1", "3", *["1.000", "(1.000-1.000)"] * 2]
    assert table[-3].split() == ["regions", "per", "photo", "5", "5"]
    assert [loaded[:3] for loaded in models] == [
        ("mini", "whole", {}),
        ("mini", "tiles", {"max_regions": 90, "min_object_size": 0.05}),
    ]


def test_the_vectors_are_cut_as_by_an_ingest(labelled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr(commands, "load_model", lambda *_, dimension, **__: given.append(dimension) or FakeModel())
    for more in ((), ("--dimension", "256")):
        run("lines", labelled, "--exact", "--regions", "whole", *more)
    assert given == [None, 256]


def test_the_index_is_removed(labelled: Path, client: OpenSearch, index: str) -> None:
    run("lines", labelled)
    assert not client.indices.exists(index=index)


def test_the_index_is_removed_after_a_failure_too(
    labelled: Path, client: OpenSearch, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        assert client.indices.exists(index=index)
        raise QueryError("no.")

    monkeypatch.setattr(evaluate_run.OpenSearchRetriever, "rank", fail)
    with pytest.raises(QueryError):
        run("lines", labelled)
    assert not client.indices.exists(index=index)


def test_the_index_stays_if_it_is_to_be_kept(labelled: Path, client: OpenSearch, index: str) -> None:
    result = run("lines", labelled, "--keep", "--json")
    [recipe] = json.loads(result.stdout)["recipes"]
    assert client.count(index=index)["count"] == 4
    assert recipe["index"] == index
    assert f"kept as index '{index}'." in result.stderr


def test_what_is_missing_or_rejected_is_said_and_counts(labelled: Path) -> None:
    (labelled / "1.png").write_bytes(b"no picture")
    (labelled / "2.png").unlink()
    result = run("lines", labelled, "--exact", "--json")
    assert result.return_value == 3
    assert "note: pictures that are not in the folder, left out: 1 (first: 2.png).\n" in result.stderr
    assert "1 pictures were rejected, and count as not found." in result.stderr
    found = json.loads(result.stdout)
    assert len(found["remarks"]) == 3
    [recipe] = found["recipes"]
    assert [reject["path"] for reject in recipe["rejected"]] == [str(labelled / "1.png")]
    # One of red's two photos is found, and green is not a query.
    assert values(recipe)["retrieval mAP over the first 50 photos, of all relevant"] == pytest.approx((0.5 + 1) / 2)


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model refuses every photo, of which none is broken."""

    def refuse(_: FakeModel, photo: Image.Image) -> None:
        raise BadPhoto(f"{photo.width} x {photo.height} px is too narrow")

    monkeypatch.setattr(FakeModel, "prepare", refuse)


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize("exact", [["--exact"], []], ids=["memory", "OpenSearch"])
@pytest.mark.parametrize("benchmark", ["sorce-1k", "lines", "sorec"])
def test_where_every_picture_is_rejected_nothing_is_found(
    request: pytest.FixtureRequest, benchmark: str, exact: list[str], tmp_path: Path
) -> None:
    request.getfixturevalue("sorce_1k" if benchmark == "sorce-1k" else "labelled")
    if benchmark == "sorec":
        row = {"image": "0.png", "ref": "the blue one", "bbox": [0, 30, 32, 34], "id": 1}
        (tmp_path / "val.json").write_text(json.dumps([row]))
    result = run(benchmark, tmp_path, *exact, "--json", "--save", tmp_path / "drawn")
    assert result.return_value == 3
    [recipe] = json.loads(result.stdout)["recipes"]
    assert {reject["reason"] for reject in recipe["rejected"]} == {"64 x 64 px is too narrow"}
    assert (recipe["photos"], recipe["regions"], recipe["regions_per_photo"]) == (0, 0, None)
    assert {value for value in values(recipe).values() if value is not None} == {0}


def test_more_photos_than_a_search_ranks_are_remarked_on(labelled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Only red has two relevant photos, so only red asks for more than the first ten.
    monkeypatch.setattr(retrievers, "MAX_CANDIDATES", 10)
    monkeypatch.setattr(protocols, "PHOTOS", 10)
    result = run("lines", labelled, "--json")
    sentence = f"{retrievers.TOO_MANY}: 1 (first: red)."
    assert [recipe["remarks"] for recipe in json.loads(result.stdout)["recipes"]] == [[sentence]]
    assert f": {sentence}\n" in result.stderr
    assert [recipe["remarks"] for recipe in recipes("lines", labelled, "--exact")] == [[]]


def test_results_are_written_as_json(labelled: Path, tmp_path: Path) -> None:
    result = run("lines", labelled, "--exact", "--out", tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["benchmark"], found["how"], result.return_value) == ("lines", "exact, in memory", 0)
    assert found["interval"]["seed"] == 0
    assert found["recipes"][0]["recipe"]["regions"] == "quarters"
    assert result.stdout.splitlines()[1].startswith("R@1")


@pytest.mark.fault("10.s.22")
def test_pictures_are_not_decoded_in_the_process_that_knows_the_password(
    labelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decoded_here(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("sorce.pictures.loading.upright", decoded_here)
    assert run("lines", labelled, "--exact").return_value == 0


def test_finds_and_misses_are_drawn(labelled: Path, tmp_path: Path) -> None:
    row = json.loads((labelled / "labels.jsonl").read_text().splitlines()[0])
    with (labelled / "labels.jsonl").open("a") as lines:
        lines.write(json.dumps({**row, "objects": [{"label": "../b blue", "box": [9, 9, 30, 30]}]}))
    run("lines", labelled, "--exact", "--save", tmp_path / "drawn")
    [drawn] = (tmp_path / "drawn").iterdir()
    assert drawn.name == "google-siglip2-base-patch16-256-tiles"
    finds = [folder.name for folder in sorted((drawn / "finds").iterdir())]
    assert finds == ["01 b blue", "02 blue", "03 green", "04 red"]
    for sheet in drawn.rglob("sheet.jpg"):
        Image.open(sheet).verify()


def test_a_miss_shows_the_right_photo_last(tmp_path: Path) -> None:
    rows = []
    for number in range(14):
        Image.new("RGB", (64, 64), COLOURS["blue" if number == 13 else "red"]).save(tmp_path / f"{number:02}.png")
        rows.append(
            {"image": f"{number:02}.png", "objects": [{"label": "red", "box": [0, 0, 64, 64]}] * (number == 13)}
        )
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run("lines", tmp_path, "--exact", "--save", tmp_path / "drawn")
    [miss] = tmp_path.glob("drawn/*/misses/*")
    assert miss.name == "01 red"
    assert sorted(picture.name for picture in miss.iterdir()) == [
        "01-00.jpg",
        "02-01.jpg",
        "03-02.jpg",
        "04-13.jpg",
        "sheet.jpg",
    ]


@pytest.mark.long
def test_mini_on_bundled_scenes(tmp_path: Path) -> None:
    rows = (SCENES / "labels.jsonl").read_text().splitlines()[:4]
    (tmp_path / "labels.jsonl").write_text("\n".join(rows))
    for row in rows:
        name = json.loads(row)["image"]
        (tmp_path / name).symlink_to(SCENES / name)
    options = ("--model", "mini", "--regions", "tiles:max_regions=9", "--regions", "whole")
    tiles, whole = recipes("lines", tmp_path, *options)
    assert (tiles["photos"], tiles["name"], whole["regions_per_photo"]) == (4, "mini tiles:max_regions=9", 1)
    assert 0 < values(whole)["retrieval mAP over the first 50 photos, of all relevant"] < 1
    assert tiles["regions_per_photo"] > 1
    assert tiles["index_bytes"] > whole["index_bytes"]


def test_wrong_usage_costs_nothing(labelled: Path, models: list[tuple[Any, ...]]) -> None:
    for wrong, sentence in (
        (["--regions", "tiles:mots=3"], "'mots=3' is not a parameter of regions method 'tiles'"),
        (["--regions", "tile"], "no regions method 'tile'"),
        (["--exact", "--keep"], "--exact makes no index to keep"),
    ):
        with pytest.raises(Exception, match=sentence):
            run("lines", labelled, *wrong)
    with pytest.raises(GroundTruthError):
        run("sorce-1k", labelled)
    assert not models


@pytest.mark.fault("8.4.1")
def test_map_is_called_what_it_is(labelled: Path, tmp_path: Path) -> None:
    result = run("lines", labelled, "--exact", "--out", tmp_path / "found.json")
    helped = run("--help").stdout
    for text in (result.stdout, (tmp_path / "found.json").read_text(), helped):
        assert "retrieval mAP over the first 50 photos" in text
        assert "mAP@" not in text


def test_a_benchmark_is_run_from_python_with_typed_results(labelled: Path) -> None:
    run = BenchmarkRun.of("lines", str(labelled), str(labelled / "labels.jsonl"))
    result = run(FakeModel())
    assert result.metric("R@1") == Metric("R@1", 1, 1, 1, 3)
    assert (result.cost.photos, result.rejected, result.remarks) == (4, [], ())
    with pytest.raises(KeyError, match="there is no metric 'R@2'; there are R@1, R@5, "):
        result.metric("R@2")


def test_an_unknown_benchmark_is_one_sentence() -> None:
    with pytest.raises(GroundTruthError, match="there is no benchmark 'voc'; choose one of sorce-1k, sorec, coco, "):
        BenchmarkRun.of("voc", "somewhere")


def test_recipes_that_cannot_be_are_refused_before_the_first_runs() -> None:
    with pytest.raises(ModelError, match="'clusters' has vectors that are not cut"):
        commands.model_setups(["mini"], ["tiles", "clusters"], 64)
    with pytest.raises(ModelError, match="max_regions"):
        commands.model_setups(["mini"], ["whole", "tiles:max_regions=-1"])


@pytest.mark.fault("8.s.29")
def test_one_text_where_a_list_is_meant_is_a_list_of_one(labelled: Path) -> None:
    assert [setup.name for setup in commands.model_setups("mini", "whole")] == ["mini whole"]
    encoded = retrievers.EncodedTexts(FakeModel(), "red")
    assert encoded.texts == ["red"]
    assert encoded.embed_texts("red").shape == encoded.embed_texts(["red"]).shape
    [picture, *_] = sources = [each.source for each in BenchmarkRun.of("lines", labelled).truth.pictures.values()]
    retriever, _ = retrievers.exact_retriever(FakeModel(), encoded, sources, Watch())
    assert [hit.photo_id for hit in retriever.locate("red", picture.photo_id)] == [picture.photo_id]
    assert retriever.similarities("red", picture.photo_id).shape == (1,)


@pytest.mark.fault("2.1.4", "8.s.30")
def test_an_alias_s_filter_holds(labelled: Path, client: OpenSearch, index: str) -> None:
    run("lines", labelled, "--keep")
    truth = BenchmarkRun.of("lines", labelled).truth
    ids = [picture.photo_id for picture in truth.pictures.values()]
    only = {"term": {"photo_id": ids[0]}}
    client.indices.put_alias(index=index, name=f"{index}-some", body={"filter": only})
    encoded = retrievers.EncodedTexts(FakeModel(), ["red"])
    retriever = retrievers.OpenSearchRetriever(client, f"{index}-some", encoded)
    assert [hit.photo_id for hit in retriever.rank("red", 10)] == ids[:1]
    assert [hit.photo_id for hit in retriever.locate("red", ids)] == ids[:1]
    assert np.isfinite(retriever.similarities("red", ids)).tolist() == [True, False, False, False]


def test_help_needs_no_torch() -> None:
    """It comes with the first model, and takes seconds."""
    code = "import sys, sorce.evaluate.commands; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.fault("8.s.32")
def test_results_that_cannot_be_written_are_an_error(labelled: Path) -> None:
    with pytest.raises(SorceError, match="cannot be written into '/dev/full': No space left on device; name another"):
        run("lines", labelled, "--exact", "--out", "/dev/full")


@pytest.mark.fault("8.s.33")
def test_a_folder_that_cannot_be_drawn_into_is_refused_before_the_run(
    labelled: Path, models: list[tuple[Any, ...]]
) -> None:
    with pytest.raises(SorceError, match=r"'/proc/nope' cannot be written to \(.*\); name a folder that can"):
        run("lines", labelled, "--exact", "--save", "/proc/nope")
    assert not models
