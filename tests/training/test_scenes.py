import json
import shutil
from collections import Counter

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from training.mini import bank
from training.scenes import collection as collections
from training.scenes.__main__ import main
from training.scenes.bundled import FOLDER, questions
from training.scenes.collection import collection, image_name, write

needs_node = pytest.mark.skipif(
    shutil.which("node") is None, reason="Node.js, which draws the sprites, is not installed"
)


@pytest.fixture(scope="module")
def planned():
    return collection(seed=9, scenes=5, queries=10)


@pytest.fixture(scope="module")
def scenes(planned):
    return list(planned)


@pytest.fixture(scope="module")
def written(planned, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes") / "made"
    write(planned, folder, processes=1)
    return folder


def labels(folder):
    return [json.loads(line) for line in (folder / "labels.jsonl").read_text().splitlines()]


def test_a_plan_follows_from_its_seed():
    assert collection(3) == collection(3)
    assert collection(3) != collection(4)


def test_each_query_is_planted_in_one_to_three_scenes():
    planned = collection(3)
    assert len(planned.queries) == len(planned) == 300
    times = Counter(concept for order in planned.orders for concept in order.planted)
    assert set(times) == set(planned.queries)
    assert set(times.values()) == {1, 2, 3}


def test_queries_are_kept_out_of_the_filler():
    planned = collection(3)
    assert all(not set(order.filler) & set(planned.queries) for order in planned.orders)


def test_unseen_styles_are_only_planted():
    planned = collection(3, styles=bank.UNSEEN)
    drawn = {concept.name for concept in bank.concepts() if "openmoji" in concept.icons}
    assert set(planned.queries) <= drawn
    assert {order.styles for order in planned.orders} == {bank.UNSEEN}


def test_too_many_queries_are_refused():
    with pytest.raises(ValueError, match=r"^400 queries would leave too few of \d+ concepts as filler$"):
        collection(3, queries=400)


@needs_node
def test_a_scene_follows_from_seed_and_number(planned, scenes):
    again = planned.scene(2)
    assert np.array_equal(np.asarray(again.image), np.asarray(scenes[2].image))
    assert again.objects == scenes[2].objects


@needs_node
def test_what_is_planted_is_small_whole_and_in_view(planned, scenes):
    for order, scene in zip(planned.orders, scenes, strict=True):
        planted = [placed for placed in scene.objects if placed.planted]
        assert Counter(placed.concept for placed in planted) == Counter(order.planted)
        assert all(40 <= max(p.box.x2 - p.box.x1, p.box.y2 - p.box.y1) <= 130 for p in planted)
        assert min(placed.visible for placed in planted) >= 0.85


@needs_node
def test_boxes_are_inside_the_picture(scenes):
    for scene in scenes:
        assert scene.image.size == (1600, 1200)
        assert scene.image.mode == "RGB"
        boxes = [placed.box for placed in scene.objects]
        assert all(0 <= box.x1 < box.x2 <= 1600 and 0 <= box.y1 < box.y2 <= 1200 for box in boxes)


@needs_node
def test_a_scene_is_full_of_large_and_small_things(scenes):
    for scene in scenes:
        sides = [max(placed.box.x2 - placed.box.x1, placed.box.y2 - placed.box.y1) for placed in scene.objects]
        assert len(sides) >= 25
        assert max(sides) > 180
        assert min(sides) < 80


@needs_node
def test_the_filler_shows_no_query(planned, scenes):
    filler = {placed.concept for scene in scenes for placed in scene.objects if not placed.planted}
    assert not filler & set(planned.queries)


@needs_node
def test_what_is_written_is_what_was_rendered(planned, scenes, written):
    rows = labels(written)
    assert [row["image"] for row in rows] == [image_name(number) for number in range(5)]
    for row, scene in zip(rows, scenes, strict=True):
        assert [thing["label"] for thing in row["objects"]] == [placed.concept for placed in scene.objects]
        with Image.open(written / row["image"]) as image:
            assert image.size == (row["width"], row["height"])
    answers = json.loads((written / "queries.json").read_text())
    assert [answer["text"] for answer in answers] == list(planned.queries)
    for answer in answers:
        shown = [row["image"] for row in rows if answer["text"] in {thing["label"] for thing in row["objects"]}]
        assert answer["images"] == shown


def test_render_refuses_a_folder_that_exists(tmp_path):
    done = CliRunner().invoke(main, ["render", "--seed", "1", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "exists already: name a new folder, or remove it." in done.output


def test_the_bundled_scenes_are_forty_and_light():
    rows = labels(FOLDER)
    files = sorted(FOLDER.glob("*.jpg"))
    assert [file.name for file in files] == [row["image"] for row in rows]
    assert len(files) == 40
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 12_000_000
    assert (FOLDER / "CREDITS.md").exists()


def test_questions_have_one_answer_that_is_small():
    shown = Counter(thing["label"] for row in labels(FOLDER) for thing in row["objects"])
    asked = questions(seed=1, number=1000)
    assert len(asked) >= 30
    assert all(shown[question.label] == 1 for question in asked)
    assert all(max(q.box.x2 - q.box.x1, q.box.y2 - q.box.y1) <= 130 for q in asked)


def test_questions_follow_from_their_seed():
    assert questions(1, 8) == questions(1, 8)
    assert questions(1, 8) != questions(2, 8)
    assert len(questions(1, 8)) == 8


def test_scenes_that_another_process_rendered_meanwhile_stay(planned, monkeypatch, tmp_path):
    monkeypatch.setattr(bank, "cache_folder", lambda: tmp_path)
    theirs = []

    def slow(_, folder):
        folder.mkdir()
        (folder / "0000.jpg").write_text("ours")
        if not theirs:
            theirs.append(None)
            other = collections.cached(planned)
            (other / "0000.jpg").write_text("in use by the other")

    monkeypatch.setattr(collections, "write", slow)
    assert (collections.cached(planned) / "0000.jpg").read_text() == "in use by the other"
    assert [each.name[:9] for each in tmp_path.iterdir()] == ["scenes-9-"]
