import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sorce.errors import MissingTool
from training.mini import bank

ROOT = Path(__file__).parents[2]

needs_node = pytest.mark.skipif(
    shutil.which("node") is None, reason="Node.js, which draws the sprites, is not installed"
)


def test_there_are_enough_concepts():
    assert len(bank.concepts()) >= 420


def test_every_word_names_one_concept():
    words = Counter(word for concept in bank.concepts() for word in {concept.name, concept.plural, *concept.synonyms})
    assert [word for word, times in words.items() if times > 1] == []


def test_every_drawing_belongs_to_one_concept():
    keys = Counter((style, key) for c in bank.concepts() for style, found in c.icons.items() for key in found)
    assert [key for key, times in keys.items() if times > 1] == []


def test_words_are_as_a_person_types_them():
    words = [word for c in bank.concepts() for word in (c.name, c.plural, *c.synonyms)]
    assert [word for word in words if word != word.lower().strip() or not word] == []


def test_every_concept_is_drawn_in_three_seen_styles():
    assert [c.name for c in bank.concepts() if sum(style in c.icons for style in bank.SEEN) < 3] == []


def test_concepts_know_their_themes_and_size():
    assert all(concept.themes for concept in bank.concepts())
    assert {concept.size for concept in bank.concepts()} == {"small", "medium", "large", "huge"}


def test_other_styles_are_drawings_of_the_same_concepts():
    icons = bank.more_icons()
    assert set(icons) <= {concept.name for concept in bank.concepts()}
    assert {style for found in icons.values() for style in found} == set(bank.MORE)
    keys = Counter((style, key) for found in icons.values() for style in found for key in found[style])
    assert [key for key, times in keys.items() if times > 1] == []


def test_no_scene_shows_the_other_styles_and_no_training_the_unseen_one():
    assert set(bank.UNCOLOURED) < set(bank.MORE)
    assert not set(bank.MORE) & {style for concept in bank.concepts() for style in concept.icons}
    assert not set(bank.UNSEEN) & {*bank.SEEN, *bank.MORE}


def test_each_other_style_is_a_package_with_its_licence_in_the_list():
    folder = ROOT / "training/mini/more"
    packages = json.loads((folder / "package.json").read_text())["dependencies"]
    assert {f"@iconify-json/{style}" for style in bank.MORE} == {name for name in packages if "iconify" in name}
    rows = [line for line in (folder / "README.md").read_text().splitlines() if "@iconify-json" in line]
    assert sorted(row.split("|")[1].strip() for row in rows) == sorted(bank.MORE)
    assert [row for row in rows if row.split("|")[4].strip() not in ("Apache-2.0", "MIT", "CC-BY-4.0")] == []


@needs_node
def test_sprites_are_trimmed_and_128_px_large():
    sprites = [sprite for drawn in bank.load(("noto",)).values() for sprite in drawn]
    assert all(sprite.rgba.shape[2] == 4 and sprite.rgba.dtype == np.uint8 for sprite in sprites)
    assert {max(sprite.rgba.shape[:2]) for sprite in sprites} == {128}
    edges = [sprite.rgba[..., 3][row].max() for sprite in sprites for row in (0, -1)]
    assert np.mean(np.array(edges) > 0) > 0.9


@needs_node
def test_a_style_is_loaded_alone():
    drawn = bank.load(bank.UNSEEN)
    assert {sprite.style for sprites in drawn.values() for sprite in sprites} == {"openmoji"}
    assert list(drawn) == [concept.name for concept in bank.concepts()]


@needs_node
def test_close_ups_are_files_of_the_same_drawings():
    sprites, files = bank.load(("twemoji",)), bank.close_ups("twemoji")
    assert {name: len(drawn) for name, drawn in sprites.items()} == {name: len(found) for name, found in files.items()}


def test_without_node_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("SORCE_CACHE", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda _tool: None)
    with pytest.raises(MissingTool, match=r"^'node' is needed once.*install Node\.js 18\+\.$"):
        bank.load()
    assert list(tmp_path.iterdir()) == []


def test_the_training_package_needs_no_node_to_import():
    subprocess.run([sys.executable, "-c", "import training.mini.bank"], check=True, cwd=ROOT)
