"""Ingests that are killed, run twice at once, lose their cluster, or read a folder that changes."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from threading import Event, Thread, current_thread

import pytest
from opensearchpy import OpenSearch
from PIL import Image

from sorce.cluster import connect
from sorce.engine import Engine, start, stop
from sorce.ingest import Options, Watch, ingest_photos, pipeline, prune
from sorce.ingest.index import TargetIndex
from sorce.mappings import Region, Rejected
from sorce.ports import free_ports
from tests.ingest.conftest import CountingModel, Documents, Draw, files, old, stored
from tests.ingest.warm import writer
from tests.kit.close import are_close
from tests.kit.fake import Seen

ROOT = Path(__file__).parents[2]

PHOTOS = 1000
KILLS = 20
SEED = 7

pytestmark = [pytest.mark.long, pytest.mark.bfloat16]

Record = Callable[[str, object], None]


class Warm:
    """Ingests of the folder, each in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], url: str, folder: Path) -> None:
        self._process, self._url, self._folder = process, url, folder
        assert self._heard() == "ready"

    def run(self, index: str, *more: str) -> int:
        """Its process."""
        given = ["--url", self._url, "--index", index, "--workers", "1", *more, str(self._folder)]
        return int(self._asked(f"run {json.dumps(given)}"))

    def wait(self, process: int) -> int:
        """Its exit code; a signal's number below zero."""
        return int(self._asked(f"wait {process}"))

    def _asked(self, line: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._heard()

    def _heard(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@pytest.fixture
def client(opensearch: str) -> Iterator[OpenSearch]:
    """Of one line: a kill is a kill."""
    with connect(opensearch) as client:
        yield client


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("thousand")
    for number in range(PHOTOS):
        Image.new("RGB", (8, 8), (number % 251, number // 4, 90)).save(folder / f"{number:04}.png")
        old(folder / f"{number:04}.png")
    return folder


@pytest.fixture(scope="module")
def warm(opensearch: str, thousand: Path) -> Iterator[Warm]:
    command = [sys.executable, "-m", "tests.ingest.warm"]
    pipe = subprocess.PIPE
    # One thread only: the fork would lose all others.
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        yield Warm(process, opensearch, thousand)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def undisturbed(warm: Warm, opensearch: str) -> Iterator[tuple[Documents, float]]:
    """What an ingest that nothing disturbs stores, and the seconds that it takes."""
    with connect(opensearch) as client:
        index = TargetIndex(client, f"test-ingest-{uuid.uuid4().hex[:12]}")
        started = time.monotonic()
        assert warm.wait(warm.run(index.name)) == 0
        yield stored(index), time.monotonic() - started
        client.indices.delete(index=index.name)


def same(some: Documents, whole: Documents) -> bool:
    """Whether each document is whole; vectors, and what is computed from them, may differ as their batches do."""
    return all(
        _without_numbers(document) == _without_numbers(whole[photo_id])
        and are_close(_numbers(document), _numbers(whole[photo_id]))
        for photo_id, document in some.items()
    )


def _numbers(document: dict[str, object]) -> list[object]:
    return [[*region["vec"], region["hubness"]] for region in document["regions"]]  # type: ignore[attr-defined]


def _without_numbers(document: dict[str, object]) -> dict[str, object]:
    return {
        **document,
        "regions": [{**region, "vec": None, "hubness": None} for region in document["regions"]],  # type: ignore[attr-defined]
    }


def is_complete(index: TargetIndex, whole: Documents) -> bool:
    """Exactly these documents, and as many nested regions as they have."""
    found = stored(index)
    counted = index.client.indices.stats(index=index.name, metric="docs")["_all"]["primaries"]["docs"]["count"]
    return len(found) == PHOTOS and counted == 2 * PHOTOS and same(found, whole)


def test_killed_at_twenty_random_moments_nothing_is_lost_and_nothing_doubled(
    warm: Warm, undisturbed: tuple[Documents, float], client: OpenSearch, index: TargetIndex, record_property: Record
) -> None:
    """Again and again until it is through, and then from the start with what is left of the kills."""
    whole, seconds = undisturbed
    chance = random.Random(SEED)
    kills, ends = 0, 0
    while kills < KILLS:
        process = warm.run(index.name)
        time.sleep(chance.uniform(0, seconds / 3))
        os.kill(process, signal.SIGKILL)
        code = warm.wait(process)
        if code == 0:
            # It had finished before.
            assert is_complete(index, whole)
            ends += 1
            client.indices.delete(index=index.name)
            continue
        assert code == -signal.SIGKILL
        kills += 1
        if client.indices.exists(index=index.name):
            index.refresh()
            assert same(stored(index), whole)
    assert warm.wait(warm.run(index.name)) == 0
    assert is_complete(index, whole)
    record_property("kills survived", kills)
    record_property("ingests ended after kills", ends + 1)


def test_two_ingests_of_the_same_folder_at_once_are_as_one(
    warm: Warm, undisturbed: tuple[Documents, float], index: TargetIndex, record_property: Record
) -> None:
    both = [warm.run(index.name), warm.run(index.name)]
    assert [warm.wait(process) for process in both] == [0, 0]
    assert is_complete(index, undisturbed[0])
    record_property("ingests at once", len(both))


@pytest.fixture
def engine() -> Iterator[Engine]:
    [port] = free_ports(1)
    engine = Engine.named(f"test-restart-{os.getpid()}", port=port, heap="512m", quick_start=True)
    start(engine)
    yield engine
    stop(engine)
    shutil.rmtree(engine.home)


class Waiting(Watch):
    """Notes the first time that a request that writes waits for the cluster."""

    def __init__(self) -> None:
        super().__init__()
        self.writing_waits = Event()

    def waiting(self, reason: str, seconds: float) -> None:  # noqa: ARG002
        if current_thread().name.startswith("write"):
            self.writing_waits.set()


def test_an_engine_that_is_stopped_and_started_in_the_middle_costs_nothing(
    engine: Engine, thousand: Path, record_property: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopping(CountingModel):
        """Stops the engine with a third of the photos encoded, and goes on."""

        stored_before: int | None = None

        def encode(self, prepared: Sequence[Seen]) -> list[list[Region]]:
            if self.encoded > PHOTOS // 3 and self.stored_before is None:
                index.refresh()
                self.stored_before = len(stored(index))
                stop(engine)
            return super().encode(prepared)

    def start_again() -> None:
        if watch.writing_waits.wait(300):
            start(engine)

    # Otherwise all photos would be in one request, which is sent when the engine runs again.
    monkeypatch.setattr(pipeline, "Writer", writer)
    model = Stopping()
    watch = Waiting()
    with connect(engine.url) as client:
        again = Thread(target=start_again)
        again.start()
        index = TargetIndex(client, "photos")
        report = ingest_photos(client, "photos", model, files(thousand), Options(workers=1, retry_timeout=600), watch)
        again.join()
        assert model.stored_before is not None
        assert 0 < model.stored_before < PHOTOS
        assert watch.writing_waits.is_set()
        assert (report.new, report.rejected) == (PHOTOS, 0)
        assert len(stored(index)) == PHOTOS
        assert all(len(document["regions"]) == 5 for document in stored(index).values())
    record_property("engine restarts", 1)


def test_a_folder_that_changes_while_it_is_read_is_stored_as_it_is_by_the_next_run(
    client: OpenSearch, index: TargetIndex, draw: Draw
) -> None:
    for number in range(60):
        folder = draw(f"{number:02}.png", (4 * number, 0, 0)).parent

    class Changing(CountingModel):
        """Changes the folder when the first photos are encoded: some are stored, some read, most neither."""

        def encode(self, prepared: Sequence[Seen]) -> list[list[Region]]:
            if not self.encoded:
                for name in ("00", "50", "51"):
                    (folder / f"{name}.png").unlink()
                for name, colour in {"52": 2, "new": 3}.items():
                    draw(f"{name}.png", (0, 0, 50 * colour))
                # At once, as this one may just be read.
                draw("draft.png", (0, 0, 50)).replace(folder / "01.png")
                (folder / "53.png").write_bytes((folder / "53.png").read_bytes()[:60])
                (folder / "54.png").unlink()
                (folder / "54.png").mkdir()
                (folder / "55.png").rename(folder / "moved.png")
            return super().encode(prepared)

    class Listening(Watch):
        def rejected(self, reject: Rejected) -> None:
            rejects[Path(reject.path).stem] = reject.reason

    rejects: dict[str, str] = {}
    ingest_photos(client, index.name, Changing(), files(folder), Options(workers=1), Listening())
    missing = "cannot be read (No such file or directory)"
    cut = rejects.pop("53")
    assert "is cut short" in cut or "is damaged" in cut
    # The next photo may just be read when the first one is encoded.
    changed = "was changed while it was read; run the same command again"
    assert rejects.pop("01", changed) == changed
    assert rejects == {"50": missing, "51": missing, "54": "is a folder that may not be read", "55": missing}
    (folder / "53.png").unlink()
    ingest_photos(client, index.name, CountingModel(), files(folder))
    assert prune(client, index.name, files(folder), confirm=lambda _: True) == 1
    there = {file.name: sha256(file.read_bytes()).hexdigest() for file in folder.iterdir() if file.is_file()}
    assert {found["file_name"]: found["content_hash"] for found in stored(index).values()} == there
