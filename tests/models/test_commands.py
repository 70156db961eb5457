"""`sorce models`: the list, its table in the documentation, and a model that is tried."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sorce.errors import ModelError
from sorce.models.catalogue import KNOWN, stored_bytes
from sorce.models.check import ModelTrial
from sorce.models.commands import models
from tests.kit import families

DOCS = Path(__file__).parents[2] / "docs"


def said(*arguments: str) -> str:
    done = CliRunner().invoke(models, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_the_list_names_each_checkpoint_with_what_it_costs_and_is_good_for() -> None:
    listed = said("list")
    assert said() == listed
    for known in KNOWN:
        [first, *_] = [line for line in listed.splitlines() if line.startswith(f"{known.name} ")]
        assert all(word in first for word in (known.licence, known.needs, known.good_for, f"{known.gigabytes:g}"))


def test_the_documentation_has_the_same_table() -> None:
    rows = [
        f"| `{known.name}` | {known.dimension} | {known.gigabytes:g} | "
        f"{known.licence} | {known.needs} | {known.good_for} |"
        for known in KNOWN
    ]
    written = (DOCS / "methods.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in written if line in rows] == rows


def test_a_model_is_tried_on_this_machine() -> None:
    found = json.loads(said("check", "mini", "--regions", "whole", "--device", "cpu", "--json"))
    assert (found["model"], found["dimension"], found["regions_per_photo"]) == ("mini", 128, 1)
    assert found["bytes_per_photo"] == stored_bytes(128, 1)
    assert found["hours_for_10000_photos"] == pytest.approx(10_000 * found["seconds_per_photo"] / 3600)
    assert min(found["seconds_to_load"], found["seconds_per_text"], found["seconds_per_photo"]) > 0


def test_what_was_tried_is_told_in_words() -> None:
    told = said("check", "mini", "--regions", "whole", "--device", "cpu")
    for part in ("128 numbers", "s for 1 regions (whole)", "0.7 kB per photo", "GB in the index"):
        assert part in told


def test_a_model_is_tried_with_shorter_vectors(tmp_path: Path) -> None:
    folder = families.embedding_gemma2(tmp_path / "gemma")
    asked = ("check", str(folder), "--regions", "whole", "--dimension", "128", "--device", "cpu", "--json")
    found = json.loads(said(*asked))
    assert (found["dimension"], found["bytes_per_photo"]) == (128, stored_bytes(128, 1))


def test_a_model_with_code_of_its_own_is_tried_only_for_who_trusts_it(tmp_path: Path) -> None:
    asked = ("check", str(families.fgclip2(tmp_path / "own")), "--regions", "whole", "--device", "cpu", "--json")
    assert json.loads(said(*asked, "--trust-remote-code"))["dimension"] == 32
    # As a user runs it: the error is one sentence and no traceback.
    done = subprocess.run(
        [sys.executable, "-c", "from sorce.cli import main; main()", "models", *asked],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "say --trust-remote-code" in done.stderr


def test_a_slow_model_is_told_in_words_and_a_fast_one_is_not_of_no_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds, photo, all_of_them in ((42.5, "42.5 s for", "5 days, "), (0.00612, "0.00612 s for", "1 minutes, ")):
        trial = ModelTrial("mini", "whole", 128, 1, 0.1, seconds, 1, 742)
        monkeypatch.setattr("sorce.models.check.try_model", lambda _load, trial=trial: trial)
        told = said("check", "mini", "--regions", "whole")
        assert photo in told
        assert all_of_them in told


def test_a_file_of_boxes_is_not_tried_with_drawn_photos() -> None:
    with pytest.raises(ModelError, match="a file of boxes has no boxes for drawn photos; name a detector"):
        said("check", "mini", "--regions", "objects", "--parameter", "detector=boxes.jsonl")
