"""An ingest that goes on: what comes is brought in, what goes is deleted, whatever the order of the events."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

import pytest
from click.testing import CliRunner
from opensearchpy import exceptions

from sorce.errors import SorceError
from sorce.ingest import Options, Watch
from sorce.ingest.changes import Changes, Touched, raw_lines, s3_events, watched
from sorce.ingest.commands import ingest
from sorce.ingest.follow import ContinuousRun, Followed
from sorce.ingest.index import TargetIndex
from sorce.ingest.pipeline import bring_in
from sorce.ingest.prune import prune_target
from sorce.ingest.report import Report
from sorce.ingest.retry import Retry
from sorce.pictures.files import Files, Naming
from sorce.pictures.source import photo_id_of
from sorce.pictures.stores import filesystem
from tests.ingest.conftest import CountingModel, Draw, stored
from tests.kit.s3 import environment, s3_client, s3_server


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with s3_server(tmp_path_factory.mktemp("s3") / "log") as address, pytest.MonkeyPatch.context() as patch:
        for name, value in environment(address).items():
            patch.setenv(name, value)
        filesystem.cache_clear()
        client = s3_client(address)
        client.create_bucket(Bucket="photos")
        yield client
        filesystem.cache_clear()


def event(key: str, name: str = "ObjectCreated:Put", at: str = "2026-11-29T06:00:00.000Z") -> dict[str, Any]:
    return {"eventName": name, "eventTime": at, "s3": {"bucket": {"name": "photos"}, "object": {"key": key}}}


def changes_of(*lines: object) -> Changes:
    """As read from a file with these lines."""
    changes = Changes()
    s3_events(iter([json.dumps(line).encode() for line in lines]), changes)
    changes.end()
    return changes


def following(
    index: TargetIndex, model: CountingModel, watch: Watch | None = None, tell: Callable[[Followed], None] | None = None
) -> ContinuousRun:
    index.look_up()
    return ContinuousRun(index, model, Naming(), Options(), watch or Watch(), tell or (lambda _: None))


def test_events_of_s3_are_names() -> None:
    changes = changes_of(
        {"Records": [event("a+b/%C3%BC.jpg"), event("notes.txt")]}, event("c.png"), {"Event": "s3:TestEvent"}
    )
    found = changes.take()
    assert found is not None
    assert [(each.name, each.line) for each in found] == [("s3://photos/a b/ü.jpg", 1), ("s3://photos/c.png", 2)]
    # A line is done with the last of its photos.
    both = changes_of({"Records": [event("a.jpg"), event("b.jpg"), event("c.txt")]}).take()
    assert both is not None
    assert [each.line for each in both] == [0, 1]
    assert found[0].at == pytest.approx(1_795_932_000)
    assert changes.take() is None


EVENT = {"bucket": {"name": "photos"}, "object": {"key": "a.jpg"}}


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        '{"Records": [{}]}',
        "[]",
        '{"Records": [{"s3": {"bucket": {}}}]}',
        "{}",
        # As EventBridge and SNS wrap it.
        json.dumps({"detail-type": "Object Created", "detail": EVENT}),
        json.dumps({"Message": json.dumps({"Records": [event("a.jpg")]})}),
        json.dumps(event("\ud800.jpg")),
        json.dumps(event("a.jpg", at="today")),
        2000 * '{"Records":[' + 2000 * "]}",
    ],
)
def test_a_line_that_is_no_event_is_an_error_with_its_number(line: str) -> None:
    with pytest.raises(SorceError, match="line 2"):
        s3_events(iter([b"", line.encode()]), Changes())


def test_an_error_of_the_reading_thread_ends_the_run(index: TargetIndex, model: CountingModel) -> None:
    def work(_: Changes) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        following(index, model).run(Changes().filled_by(work))


def test_folders_that_cannot_be_watched_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("OS file watch limit reached")

    monkeypatch.setattr("watchfiles.watch", full)
    files = Files([str(tmp_path)])
    with pytest.raises(SorceError, match=r"cannot be watched \(OS file watch limit reached\); .*max_user_watches"):
        watched(files.folders(), files, Event(), Event())(Changes())


def test_lines_come_as_soon_as_they_are_whole() -> None:
    read, write = os.pipe()
    lines: SimpleQueue[bytes] = SimpleQueue()
    with open(read, "rb", buffering=0) as stream:  # noqa: PTH123

        def work() -> None:
            for line in raw_lines(stream):
                lines.put(line)

        thread = Thread(target=work)
        thread.start()
        os.write(write, b"one\ntw")
        assert lines.get(timeout=60) == b"one"
        os.write(write, b"o\nthree")
        assert lines.get(timeout=60) == b"two"
        os.close(write)
        assert lines.get(timeout=60) == b"three"
        thread.join()


def test_the_store_says_what_is_there_whatever_the_events_say(
    index: TargetIndex, model: CountingModel, s3: Any, draw: Draw
) -> None:
    for key, colour in (("a.jpg", (200, 0, 0)), ("b.jpg", (0, 200, 0))):
        s3.put_object(Bucket="photos", Key=key, Body=draw(key, colour).read_bytes())
    told: list[Followed] = []
    lines = [event("a.jpg"), event("b.jpg"), event("gone.jpg"), event("a.jpg", "ObjectRemoved:Delete")]
    report = following(index, model, tell=told.append).run(changes_of(*lines))
    assert (report.new, report.pruned, report.rejected) == (2, 0, 0)
    assert told[-1].lines == 4
    assert told[-1].behind > 0
    s3.delete_object(Bucket="photos", Key="b.jpg")
    # The same events again, as after a restart: only what has changed since is done.
    report = following(index, model).run(changes_of(*lines))
    assert (report.new, report.unchanged, report.pruned) == (0, 1, 1)
    assert model.encoded == 2
    assert set(stored(index)) == {photo_id_of("s3://photos/a.jpg")}


def test_without_its_bucket_no_photo_counts_as_gone(
    index: TargetIndex, model: CountingModel, s3: Any, draw: Draw
) -> None:
    s3.create_bucket(Bucket="later-gone")
    s3.put_object(Bucket="later-gone", Key="a.jpg", Body=draw("a.jpg").read_bytes())
    there = event("a.jpg")
    there["s3"]["bucket"]["name"] = "later-gone"
    assert following(index, model).run(changes_of(there)).new == 1
    # As if the address of another store were given.
    s3.delete_object(Bucket="later-gone", Key="a.jpg")
    s3.delete_bucket(Bucket="later-gone")
    report = following(index, model).run(changes_of(there))
    assert (report.pruned, report.rejected) == (0, 1)
    assert len(stored(index)) == 1


def test_files_come_and_go(index: TargetIndex, model: CountingModel, draw: Draw) -> None:
    one, two = draw("a.jpg"), draw("b.jpg")

    def touched(*paths: Path) -> Changes:
        changes = Changes()
        for path in paths:
            changes.waiting.put(Touched(str(path), time.time()))
        changes.end()
        return changes

    assert following(index, model).run(touched(one, two, one)).new == 2
    one.unlink()
    draw("b.jpg", (0, 0, 250))
    report = following(index, model).run(touched(one, two))
    assert (report.changed, report.pruned) == (1, 1)
    assert set(stored(index)) == {photo_id_of(two.as_uri())}


def test_the_folders_are_looked_at_again_however_many_changes_come(index: TargetIndex, model: CountingModel) -> None:
    class Busy(Changes):
        left = 3

        def take(self) -> list[Touched] | None:
            self.left -= 1
            return [Touched("/nowhere/vanished.jpg", time.time())] if self.left >= 0 else None

    looks = []
    index.look_up()
    run = ContinuousRun(
        index, model, Naming(), Options(), Watch(), lambda _: None, lambda: looks.append(1) or Report(), every=0
    )
    run.run(Busy())
    assert len(looks) == 4


def test_a_folder_is_watched_from_before_the_first_look(
    index: TargetIndex, model: CountingModel, draw: Draw, folder: Path
) -> None:
    files, watch, told = Files([str(folder)]), Watch(), SimpleQueue[Followed]()

    def rescan() -> Report:
        # Comes after the look at its folder: only the watcher can tell.
        report = bring_in(index, model, files, Options(), watch)
        (folder / "later").mkdir()
        draw("later/f.jpg", (9, 9, 9))
        return report

    changes = Changes()
    changes.filled_by(watched(files.folders(), files, watch.stop, changes.established))
    assert changes.established.wait(60)
    index.look_up()
    run = ContinuousRun(index, model, Naming(), Options(), watch, told.put, rescan)
    thread = Thread(target=run.run, args=[changes])
    thread.start()
    try:
        until(told, lambda state: state.report.new == 6)
        (folder / "a.jpg").unlink()
        (folder / "notes.txt").write_text("no photo")
        until(told, lambda state: state.report.pruned == 1)
    finally:
        watch.stop.set()
        thread.join()
    assert len(stored(index)) == 5


def test_photos_of_a_folder_that_is_renamed_or_moved_away_go(
    index: TargetIndex, model: CountingModel, draw: Draw, folder: Path, tmp_path: Path
) -> None:
    """The system reports the folder only. What lies in an ignored folder does not come in."""
    naming = Naming(folder)
    files, watch, told = Files([str(folder)], naming, ["raw"]), Watch(), SimpleQueue[Followed]()
    changes = Changes().filled_by(watched(files.folders(), files, watch.stop, there := Event()))
    assert there.wait(60)
    index.look_up()
    run = ContinuousRun(
        index,
        model,
        naming,
        Options(),
        watch,
        told.put,
        lambda: bring_in(index, model, files, Options(), watch),
        lambda: prune_target(index, files, Retry(), lambda _: True),
    )
    thread = Thread(target=run.run, args=[changes])
    thread.start()
    try:
        until(told, lambda state: state.report.new == 5)
        draw("raw/ignored.jpg")
        (folder / "below").rename(folder / "renamed")
        until(told, lambda state: (state.report.new, state.report.pruned) == (7, 2))
        (folder / "renamed").rename(tmp_path / "elsewhere")
        until(told, lambda state: state.report.pruned == 4)
    finally:
        watch.stop.set()
        thread.join()
    assert {each["uri"] for each in stored(index).values()} == {"a.jpg", "b.png", "c.JPG"}


def until(told: SimpleQueue[Followed], done: Callable[[Followed], bool]) -> None:
    while not done(told.get(timeout=120)):
        pass


def test_a_run_that_is_asked_to_stop_says_so(index: TargetIndex, model: CountingModel, draw: Draw) -> None:
    watch = Watch()
    watch.stop.set()
    changes = Changes()
    changes.waiting.put(Touched(str(draw("a.jpg")), time.time()))
    report = following(index, model, watch).run(changes)
    assert report.stopped
    assert report.new == 0


@pytest.mark.usefixtures("surroundings")
def test_the_command_reads_events_and_says_how_far_it_is(
    index: TargetIndex, s3: Any, draw: Draw, tmp_path: Path
) -> None:
    s3.put_object(Bucket="photos", Key="c.jpg", Body=draw("c.jpg").read_bytes())
    (tmp_path / "events").write_text(json.dumps({"Records": [event("c.jpg")]}) + "\n")
    words = ["--index", index.name, "--model", "mini", "--regions", "whole", "--json", "--from-events"]
    done = CliRunner().invoke(ingest, [*words, str(tmp_path / "events")])
    assert done.exit_code == 0, done.output
    states = [json.loads(line) for line in done.stdout.splitlines()]
    assert (states[0]["lines"], states[0]["new"], states[0]["waiting"]) == (1, 1, 0)
    assert "1 new, 0 changed, 0 removed, 0 rejected; 0 changes wait" in done.stderr
    (tmp_path / "none").touch()
    done = CliRunner().invoke(ingest, [*words, str(tmp_path / "none"), "--compression", "4x"])
    assert done.exit_code == 0, done.output
    assert f"index '{index.name}' exists and keeps its settings" in done.stderr


@pytest.mark.usefixtures("surroundings")
def test_a_folder_is_watched_until_sigterm(index: TargetIndex, draw: Draw, tmp_path: Path) -> None:
    draw("a.jpg")

    def work() -> None:
        try:
            wait_for(index, 1)
            draw("later.jpg", (1, 2, 3))
            wait_for(index, 2)
        finally:
            # Otherwise the run has ended, and the signal would end the tests.
            if callable(signal.getsignal(signal.SIGTERM)):
                os.kill(os.getpid(), signal.SIGTERM)

    thread = Thread(target=work)
    thread.start()
    words = ["--index", index.name, "--model", "mini", "--regions", "whole", "--json", "--watch"]
    done = CliRunner().invoke(ingest, [*words, str(tmp_path / "photos")])
    thread.join()
    assert done.exit_code == 130, done.output
    assert [json.loads(line)["new"] for line in done.stdout.splitlines()][-1] == 2
    assert "stopped early; run the same command again for the rest." in done.stderr


def wait_for(index: TargetIndex, photos: int) -> None:
    """Waits until the index has so many photos."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        # A new index answers 503 until its shards are ready.
        with suppress(exceptions.TransportError):
            if index.client.count(index=index.name)["count"] >= photos:
                return
        time.sleep(0.05)
    raise AssertionError("waited in vain")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from-events", "-", "."], "name no others"),
        (["--watch", "--prune", "."], "--prune cannot be used with --watch"),
        (["--watch", "--optimize", "."], "--optimize cannot be used with --watch"),
        (["--watch", "--limit", "1", "."], "--limit cannot be used with --watch"),
        (["--watch", "s3://bucket"], "name one"),
        (["--watch", "--from-events", "-", "."], "--from-events cannot be used with --watch"),
    ],
)
def test_options_that_do_not_go_together_are_refused(words: list[str], said: str) -> None:
    done = CliRunner().invoke(ingest, ["--index", "photos", *words])
    assert done.exit_code == 2
    assert said in done.output
