"""Lists on stdin, full disks, signals and slow pictures."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from click.testing import CliRunner, Result
from opensearchpy import OpenSearch
from PIL import Image

from sorce.errors import SorceError
from sorce.ingest import Options, Source, commands, ingest_photos, progress, request
from sorce.ingest.index import TargetIndex
from sorce.ingest.pipeline import default_workers
from tests.ingest.conftest import CountingModel, Draw

ROOT = Path(__file__).parents[2]

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, model: CountingModel, surroundings: None, index: TargetIndex) -> Run:  # noqa: ARG001
    monkeypatch.setattr(request, "load_model", lambda *_: model)

    def command(*arguments: Any, stdin: bytes | None = None) -> Result:
        given = ["--index", index.name, *map(str, arguments)]
        return CliRunner().invoke(commands.ingest, given, input=stdin)

    return command


@pytest.mark.fault("7.1.1")
def test_a_list_separated_by_nul_is_read(run: Run, draw: Draw) -> None:
    """A name with a line end in it can be passed in no other way."""
    odd, plain = draw("a\nb.png"), draw("c.png")
    done = run("-", "--json", stdin=b"%s\0%s\0" % (str(odd).encode(), str(plain).encode()))
    facts = json.loads(done.stdout)
    assert (facts["new"], facts["rejected"], done.exit_code) == (2, 0, 0)


@pytest.mark.fault("7.s.4")
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_list_as_windows_writes_it_is_read(run: Run, draw: Draw, encoding: str) -> None:
    """With a byte order mark, and with two characters at the end of a line."""
    paths = [str(draw(name)) for name in ("a.png", "übung b.png")]
    done = run("-", "--json", stdin="".join(f"{path}\r\n" for path in paths).encode(encoding))
    facts = json.loads(done.stdout)
    assert (facts["new"], facts["rejected"], done.exit_code) == (2, 0, 0)


def test_a_list_that_is_cut_in_a_letter_is_one_sentence(run: Run) -> None:
    done = run("-", stdin="a.png".encode("utf-16")[:-1])
    assert isinstance(done.exception, SorceError)
    assert str(done.exception).startswith("the list on standard input is cut short, or no UTF-16")


@pytest.mark.fault("7.s.1")
def test_an_empty_list_is_no_error(run: Run, index: TargetIndex) -> None:
    """`find -newer` found nothing new."""
    done = run("-", "--json", stdin=b"")
    assert (done.exit_code, json.loads(done.stdout)["new"]) == (0, 0)
    assert index.look_up() is None


@pytest.mark.fault("7.3.1")
def test_a_folder_without_photos_is_an_error_and_makes_no_index(run: Run, tmp_path: Path, index: TargetIndex) -> None:
    (tmp_path / "notes.txt").touch()
    done = run(tmp_path)
    assert isinstance(done.exception, SorceError)
    assert str(done.exception) == f"there are no photos in {tmp_path}; name a file or folder that has some."
    assert index.look_up() is None


@pytest.mark.fault("7.2.1")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_rejects_that_cannot_be_written_are_told_in_a_sentence(run: Run, draw: Draw) -> None:
    draw("a.png").write_bytes(b"")
    done = run(draw("b.png").parent, "--rejects", "/dev/full")
    assert isinstance(done.exception, SorceError)
    assert str(done.exception).startswith("the rejects cannot be written to '/dev/full' (No space left on device); ")


@pytest.mark.fault("7.s.2")
def test_rejects_in_a_folder_that_is_not_there_are_told_before_a_photo_is_read(
    run: Run, draw: Draw, model: CountingModel
) -> None:
    done = run(draw("b.png").parent, "--rejects", "/nowhere/rejects.jsonl")
    assert str(done.exception).startswith("the rejects cannot be written to '/nowhere/rejects.jsonl' (No such file")
    assert model.prepared == 0


@pytest.mark.fault("7.2.4")
def test_sigterm_ends_a_run_as_ctrl_c_does(run: Run, draw: Draw, index: TargetIndex) -> None:
    for number in range(60):
        folder = draw(f"{number:02}.png", (number, 0, 0)).parent
    command = [sys.executable, "-m", "tests.ingest.waiting", "--index", index.name, "--json", str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate("\n", timeout=120)
    assert (process.returncode, json.loads(out)["new"]) == (130, 7)
    assert "stopped early; run the same command again for the rest." in err
    assert json.loads(run(folder, "--json").stdout)["new"] == 53


def png() -> bytes:
    content = BytesIO()
    Image.new("RGB", (8, 8)).save(content, "PNG")
    return content.getvalue()


@pytest.mark.fault("7.4.1")
def test_a_slow_picture_does_not_hold_back_those_behind_it(client: OpenSearch, index: TargetIndex) -> None:
    """The first is read only when others behind it have been encoded."""

    class Seeing(CountingModel):
        def encode(self, prepared: Any) -> Any:
            found = super().encode(prepared)
            encoded.set()
            return found

    content, encoded = png(), Event()

    def slow() -> bytes:
        assert encoded.wait(60), "nothing was encoded before it"
        return content

    photos = [Source("x:slow", "x", "a.png", "a", slow)]
    photos += [Source(f"x:{number}", "x", "a.png", "a", lambda: content) for number in range(20)]
    assert ingest_photos(client, index.name, Seeing(), photos, Options(workers=2)).new == 21


@pytest.mark.fault("7.5.1")
def test_there_are_as_many_workers_as_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert default_workers() == 1


@pytest.mark.fault("12.s.40")
def test_progress_is_told_where_there_is_no_terminal(run: Run, draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PAUSE", 0)
    draw("a.png")
    done = run(draw("b.png").parent)
    assert "2 of 2 photos, " in done.stderr
    assert "photos/s, about 0:00:00 left\n" in done.stderr


def test_progress_is_told_where_nothing_is_done_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the cluster rejects all photos of the first request: their speed is 0."""
    monkeypatch.setattr(progress, "PAUSE", 0)
    with progress.Progress(9, None, quiet=False) as shown:
        shown.done(0)


@pytest.mark.fault("7.s.3")
def test_settings_reach_a_new_index(
    run: Run, draw: Draw, client: OpenSearch, index: TargetIndex, tmp_path: Path
) -> None:
    file = tmp_path / "settings.json"
    file.write_text('{"settings": {"index": {"refresh_interval": "7s", "number_of_replicas": 2}}}')
    options = ["--shards", 3, "--replicas", 0, "--setting", "codec=best_compression", "--settings", file]
    options += ["--compression", "4x"]
    assert run(draw("a.png"), *options).exit_code == 0
    made = client.indices.get_settings(index=index.name, params={"flat_settings": "true"})[index.name]["settings"]
    names = ("number_of_shards", "number_of_replicas", "codec", "refresh_interval")
    assert [made[f"index.{name}"] for name in names] == ["3", "0", "best_compression", "7s"]
    found = index.look_up()
    assert found is not None
    assert found.compression == "4x"


def test_a_setting_that_is_not_understood_is_wrong_usage(run: Run, draw: Draw) -> None:
    done = run(draw("a.png"), "--setting", "codec")
    assert (done.exit_code, "write name=value" in done.stderr) == (2, True)


@pytest.mark.fault("4.s.41")
def test_control_characters_in_a_rejected_name_are_shown_escaped(run: Run, draw: Draw, tmp_path: Path) -> None:
    bad = draw("b\x1b[31m.png")
    bad.write_bytes(b"")
    done = run(draw("a.png").parent, "--rejects", tmp_path / "rejects.jsonl")
    assert r"/b\x1b[31m.png is empty" in done.stderr
    assert "\x1b[31m" not in done.stderr
    # A program that reads the file gets the unescaped name.
    assert json.loads((tmp_path / "rejects.jsonl").read_text())["path"] == str(bad)
