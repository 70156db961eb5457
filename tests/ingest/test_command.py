"""The command as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from opensearchpy import OpenSearch, exceptions

from sorce.errors import SorceError
from sorce.ingest import commands, request
from sorce.ingest.index import TargetIndex
from sorce.ingest.optimize import optimize
from sorce.ingest.progress import Progress
from sorce.mappings import Rejected
from tests.ingest.conftest import CountingModel, Draw

ROOT = Path(__file__).parents[2]

Run = Callable[..., Result]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, model: CountingModel) -> list[tuple[Any, ...]]:
    """What the command asked of the models room, which gives it the counting model."""

    def load_model(*given: Any) -> CountingModel:
        calls.append(given)
        return model

    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(request, "load_model", load_model)
    return calls


@pytest.fixture
def run(asked: list[tuple[Any, ...]], surroundings: None, index: TargetIndex) -> Run:  # noqa: ARG001
    asked.clear()

    def command(*arguments: Any, stdin: str = "") -> Result:
        given = ["--index", index.name, *map(str, arguments)]
        return CliRunner().invoke(commands.ingest, given, input=stdin)

    return command


def test_the_closing_line_counts_and_times(run: Run, folder: Path) -> None:
    (folder / "notes.txt").touch()
    done = run(folder)
    assert done.exit_code == 0
    assert done.stdout.startswith("5 new, 0 changed, 0 unchanged, 0 rejected, 1 other files left alone; 25 regions; ")
    assert "photos/s (busy: decode " in done.stdout


def test_rejects_are_shown_and_written_and_the_exit_code_is_3(run: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "bad.jpg").touch()
    done = run(folder, "--rejects", tmp_path / "rejects.jsonl")
    assert done.exit_code == 3
    assert f"rejected: {folder}/bad.jpg is empty\n" in done.stderr
    lines = (tmp_path / "rejects.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"path": f"{folder}/bad.jpg", "reason": "is empty"}]


def test_settings_for_an_index_that_exists_are_said_to_have_no_effect(
    run: Run, folder: Path, index: TargetIndex
) -> None:
    wanted = f"note: index '{index.name}' exists and keeps its settings: those given here are for a new index.\n"
    assert wanted not in run(folder, "--shards", 2).stderr
    assert wanted in run(folder, "--shards", 3).stderr
    assert wanted in run(folder, "--compression", "4x").stderr
    assert wanted not in run(folder, "--compression", "1x").stderr


def test_json_is_one_object_on_stdout(run: Run, folder: Path) -> None:
    (folder / "bad.jpg").touch()
    facts = json.loads(run(folder, "--json").stdout)
    assert (facts["new"], facts["rejected"], facts["regions"], facts["dry_run"]) == (5, 1, 25, False)
    assert facts["seconds"] > 0


def segments(index: TargetIndex) -> list[int]:
    """How many segments each primary shard has."""
    shards = index.client.indices.segments(index=index.name)["indices"][index.name]["shards"].values()
    return [len(shard["segments"]) for copies in shards for shard in copies if shard["routing"]["primary"]]


def test_optimize_leaves_one_segment_per_shard_and_says_what_that_took(
    run: Run, folder: Path, index: TargetIndex
) -> None:
    run(folder / "below")
    run(folder)
    assert segments(index) == [2]
    dry = run(folder, "--optimize", "--dry-run")
    assert (dry.exit_code, segments(index)) == (0, [2])
    done = run(folder, "--optimize")
    assert (done.exit_code, segments(index)) == (0, [1])
    assert "; merged in " in done.stdout
    assert "merging the index; searches go on meanwhile." in done.stderr
    assert json.loads(run(folder, "--optimize", "--json").stdout)["merging"] > 0


def test_who_stops_does_not_wait_for_a_merge() -> None:
    stop, end = Event(), Event()
    stop.set()
    client: Any = SimpleNamespace(indices=SimpleNamespace(forcemerge=lambda **_: end.wait(), refresh=lambda **_: None))
    assert not optimize(client, ["photos"], stop).is_done
    end.set()


def test_a_merge_that_is_refused_is_an_error(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise exceptions.AuthorizationException(403, "security_exception", {"error": {"reason": "no permissions"}})

    monkeypatch.setattr("opensearchpy.client.IndicesClient.forcemerge", refuse)
    done = run(folder, "--optimize")
    assert isinstance(done.exception, SorceError)
    assert "this user may not do that" in str(done.exception)


def test_quiet_says_nothing(run: Run, folder: Path) -> None:
    (folder / "bad.jpg").touch()
    done = run(folder, "--quiet")
    assert (done.exit_code, done.output) == (3, "")


def test_a_dry_run_makes_no_index(run: Run, folder: Path, index: TargetIndex) -> None:
    done = run(folder, "--dry-run")
    assert done.stdout.startswith("would be: 5 new, ")
    assert index.look_up() is None


def test_a_list_of_paths_comes_from_stdin(run: Run, folder: Path) -> None:
    done = run("-", "--json", stdin=f"{folder}/a.jpg\n{folder}/below\n{folder}/none.jpg\n")
    facts = json.loads(done.stdout)
    assert (facts["new"], facts["rejected"], done.exit_code) == (3, 1, 3)
    assert f"rejected: {folder}/none.jpg cannot be read (No such file or directory)" in done.stderr


def test_the_limit_counts_photos_in_order(run: Run, folder: Path) -> None:
    assert json.loads(run(folder, "--limit", 2, "--json").stdout)["new"] == 2
    again = json.loads(run(folder, "--limit", 3, "--json").stdout)
    assert (again["new"], again["unchanged"]) == (1, 2)


def test_prune_is_counted(run: Run, folder: Path) -> None:
    run(folder)
    (folder / "a.jpg").unlink()
    assert "0 rejected, 1 pruned;" in run(folder, "--prune", "--dry-run").stdout
    assert "0 rejected, 1 pruned;" in run(folder, "--prune", "--prune-anyway").stdout
    assert json.loads(run(folder, "--prune", "--json").stdout)["pruned"] == 0


def test_prune_without_a_folder_is_wrong_usage(run: Run, folder: Path) -> None:
    done = run(folder / "a.jpg", "--prune")
    assert done.exit_code == 2
    assert "--prune looks for photos that are gone from folders of this machine; name one." in done.stderr


def test_a_path_that_is_not_there_is_wrong_usage(run: Run, folder: Path, asked: list[Any]) -> None:
    assert run(folder / "typo").exit_code == 2
    assert asked == []


def test_an_attribute_that_is_not_understood_is_wrong_usage(run: Run, folder: Path) -> None:
    done = run(folder, "--set", "shelf:int=three")
    assert done.exit_code == 2
    assert "attribute 'shelf:int=three' is not understood" in done.stderr


def test_attributes_reach_the_index(run: Run, folder: Path, client: OpenSearch, index: TargetIndex) -> None:
    run(folder, "--set", "shelf:int=3", "--set", "site=oslo")
    query = {"term": {"attributes.shelf": 3}}
    assert client.count(index=index.name, body={"query": query})["count"] == 5


def test_a_new_index_gets_the_default_recipe_and_what_is_asked(run: Run, folder: Path, asked: list[Any]) -> None:
    run(folder, "--dry-run")
    run(folder, "--dry-run", "--model", "mini", "--min-object-size", "0.05", "--device", "cpu", "--batch-size", "7")
    run(folder, "--dry-run", "--regions", "clusters", "--parameter", "clusters=32")
    assert [(call[0].model, *call[1:5]) for call in asked] == [
        ("google/siglip2-base-patch16-256", "tiles", {}, "auto", 64),
        ("mini", "tiles", {"min_object_size": 0.05}, "cpu", 7),
        ("google/siglip2-base-patch16-256", "clusters", {"clusters": 32}, "auto", 64),
    ]


def test_an_index_that_is_there_says_which_weights_and_regions(run: Run, folder: Path, asked: list[Any]) -> None:
    run(folder)
    run(folder)
    run(folder, "--model", "an/other", "--regions", "whole")
    called = [(call[0].model, call[0].revision, call[1]) for call in asked[1:]]
    assert called == [("example/fake", 40 * "1", "quarters"), ("an/other", None, "whole")]


def test_ctrl_c_finishes_what_is_under_way_and_says_how_to_resume(run: Run, draw: Draw, index: TargetIndex) -> None:
    for number in range(60):
        folder = draw(f"{number:02}.png", (number, 0, 0)).parent
    arguments = ["--index", index.name, "--json", str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-m", "tests.ingest.waiting", *arguments],
        cwd=ROOT,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate("\n", timeout=60)
    facts = json.loads(out)
    assert process.returncode == 130
    assert "stopped early; run the same command again for the rest." in err
    # Batches of one, two and four photos were encoded.
    assert facts["new"] == 7
    rest = json.loads(run(folder, "--json").stdout)
    assert (rest["unchanged"], rest["new"]) == (7, 53)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the children")
def test_ctrl_c_again_stops_at_once_with_all_processes(index: TargetIndex, draw: Draw, surroundings: None) -> None:  # noqa: ARG001
    arguments = ["--index", index.name, "--workers", "1", str(draw("a.png").parent)]
    command = [sys.executable, "-m", "tests.ingest.hanging", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "here\n"
        threads = Path(f"/proc/{process.pid}/task").glob("*/children")
        [opener] = [int(child) for thread in threads for child in thread.read_text().split()]
        # So that it does not end by itself when the other process ends.
        os.kill(opener, signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        while "Ctrl-C again stops at once" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(60) == 130
        finally:
            process.kill()
    assert any(is_no_more(opener) for _ in range(200))


def is_no_more(process: int) -> bool:
    """After a moment; one that nobody has reaped counts, too."""
    time.sleep(0.05)
    command = Path(f"/proc/{process}/cmdline")
    return not command.exists() or not command.read_bytes()


@pytest.mark.fault("4.4.4")
def test_control_characters_of_a_reject_are_shown_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(1, None, quiet=False) as progress:
        progress.rejected(Rejected("a\x1b[2J.jpg", "says \x1b]0;\x07"))
    assert capsys.readouterr().err.strip().endswith("rejected: a\\x1b[2J.jpg says \\x1b]0;\\x07")
