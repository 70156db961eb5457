"""`sorce locate`: photos that a user names, without an index."""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from sorce.errors import ModelError, QueryError
from sorce.locate import commands
from sorce.locate.commands import locate
from tests.kit import detectors, tiny


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.clip(tmp_path_factory.mktemp("clip")))


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    """RGB, greyscale, CMYK and one pixel."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8))
    pictures = {"rgb.png": noise, "grey.png": noise.convert("L"), "cmyk.jpg": noise.convert("CMYK")}
    pictures["dot.png"] = noise.resize((1, 1))
    for name, picture in pictures.items():
        picture.save(tmp_path / name)
    return [str(tmp_path / name) for name in pictures]


def run(*words: str) -> Result:
    return CliRunner().invoke(locate, [*words, "--device", "cpu"])


def test_each_photo_has_a_box_and_a_drawing(clip: str, photos: list[str], tmp_path: Path) -> None:
    done = run("a kite", *photos, "--model", clip, "--json", "--save", str(tmp_path / "found"))
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["text"], said["localiser"], said["not_opened"]) == ("a kite", "zoom", [])
    assert [each["photo"] for each in said["photos"]] == photos
    for each in said["photos"]:
        x1, y1, x2, y2 = each["box"]
        assert 0 <= x1 < x2 <= each["width"]
        assert 0 <= y1 < y2 <= each["height"]
        assert each["instances"][0] == {"box": each["box"], "score": each["score"]}
    assert len(list((tmp_path / "found").glob("*.jpg"))) == len(photos)


def test_things_are_counted_in_the_table(clip: str, photos: list[str]) -> None:
    lines = run("a kite", photos[0], "--model", clip, "--boxes", "3").stdout.splitlines()
    assert lines[0].split() == ["things", "steps", "score", "box", "photo"]
    assert lines[1].split()[0] == str(len(lines) - 1)
    assert lines[1].endswith(photos[0])


def test_a_photo_may_be_named_by_the_uri_of_a_hit(clip: str, photos: list[str], tmp_path: Path) -> None:
    file = Path(photos[0]).rename(tmp_path / "100 % ä.png")
    done = run("a kite", file.as_uri(), "--model", clip)
    assert done.exit_code == 0, done.output


def test_a_photo_that_cannot_be_opened_is_named_and_is_exit_code_3(clip: str, photos: list[str]) -> None:
    Path(photos[1]).write_bytes(b"no picture")
    done = run("a kite", *photos[:2], "--model", clip)
    assert done.exit_code == 3
    assert f"{photos[1]} is not a picture" in done.stderr
    assert photos[0] in done.stdout


def test_a_detector_is_a_localiser_too(photos: list[str], tmp_path: Path) -> None:
    folder = str(detectors.mm_grounding_dino(tmp_path / "detector"))
    said = json.loads(run("a kite", photos[0], "--localiser", folder, "--json").stdout)
    assert said["localiser"] == folder
    assert said["photos"][0]["steps"][0] == [0, 0, 90, 60]


def test_an_unknown_model_or_a_blank_text_is_one_sentence(photos: list[str]) -> None:
    assert isinstance(run("a kite", photos[0], "--model", "nothing").exception, ModelError)
    assert isinstance(run(" ", photos[0]).exception, QueryError)


def test_a_subcommand_is_recognised_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    @click.argument("weights")
    def convert(weights: str) -> None:
        click.echo(f"converts {weights}")

    monkeypatch.setattr(commands, "import_module", lambda _: type("Module", (), {"convert": convert}))
    assert CliRunner().invoke(locate, ["convert", "a.pth"]).stdout == "converts a.pth\n"


def test_a_text_with_the_name_of_a_subcommand_is_written_after_two_hyphens() -> None:
    done = CliRunner().invoke(locate, ["--", "convert"])
    assert (done.exit_code, "Missing argument 'PHOTO...'" in done.output) == (2, True)


@pytest.mark.fault("6.s.33")
def test_any_name_of_a_photo_becomes_one_of_a_drawing(photos: list[str], clip: str, tmp_path: Path) -> None:
    """A name may have 255 bytes, and a drawing's has a number besides."""
    long = tmp_path / f"{'é' * 125}.png"
    Path(photos[0]).rename(long)
    done = run("a kite", str(long), "--model", clip, "--save", str(tmp_path / "found"))
    assert done.exit_code == 0, done.output
    [drawing] = (tmp_path / "found").iterdir()
    assert drawing.name == f"01-{'é' * 50}.jpg"
