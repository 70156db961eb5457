"""`sorce ingest --ray`: the same documents by many processes, of which some are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

import pytest
from click.testing import CliRunner
from opensearchpy import OpenSearch
from PIL import Image

from sorce import cli
from sorce.cluster import connect
from sorce.errors import SorceError
from sorce.ingest import Options, Watch, ingest_photos
from sorce.ingest.index import TargetIndex
from sorce.ingest.pipeline import Run
from sorce.ingest.ray_head import running_in
from sorce.ingest.ray_run import AT_ONCE, ByRay
from sorce.ingest.ray_session import (
    ERRORS,
    ONLY_HERE,
    Team,
    last_words,
    placed,
    ray_running,
    short_folder,
    started,
    token,
    token_of_cluster,
    variables,
)
from sorce.ingest.report import Report
from sorce.ingest.retry import Retry
from sorce.mappings import Rejected
from sorce.options import Cluster
from tests.ingest.conftest import Documents, files, old, stored
from tests.ingest.ray_models import Different, Ending
from tests.kit.fake import FakeModel
from tests.kit.ray import command, public_listeners, session_of

ROOT = Path(__file__).parents[2]
PHOTOS = 100


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """Ray with two CPUs, whose workers know the tests."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ROOT)
    try:
        with ray_running(Team(), 2, Event()) as ray:
            yield ray
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before


@pytest.fixture
def client(opensearch: str) -> Iterator[OpenSearch]:
    with connect(opensearch) as client:
        yield client


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hundred")
    for number in range(PHOTOS):
        file = folder / f"{number:03}.png"
        Image.new("RGB", (8, 6), (2 * number, 90, 200)).save(file)
        old(file)
    return folder


@dataclass(frozen=True)
class ByTwo:
    """Ingests by two workers."""

    ray: Any
    url: str

    def __call__(
        self,
        index: TargetIndex,
        folder: Path,
        load: Callable[[], FakeModel] = FakeModel,
        watch: Watch | None = None,
        options: Options | None = None,
    ) -> Report:
        run = Run(index, load().recipe, options or Options(), watch or Watch())
        index.look_up()
        run.prepare(load(), None)
        by_ray = ByRay(Team(workers=2), Cluster(self.url, False), load)
        return by_ray.using(self.ray, run, files(folder), None, time.perf_counter())


@pytest.fixture
def by_two(ray: Any, opensearch: str) -> ByTwo:
    return ByTwo(ray, opensearch)


@pytest.fixture
def locally(client: OpenSearch, hundred: Path) -> Iterator[Documents]:
    """What a local ingest stores."""
    index = TargetIndex(client, f"test-ingest-{uuid.uuid4().hex[:12]}")
    ingest_photos(client, index.name, FakeModel(), files(hundred))
    yield stored(index)
    client.indices.delete(index=index.name)


class Heard(Watch):
    def __init__(self) -> None:
        super().__init__()
        self.rejects: dict[str, str] = {}
        self.notes: list[str] = []
        self.count = 0

    def rejected(self, reject: Rejected) -> None:
        self.rejects[Path(reject.path).name] = reject.reason

    def noted(self, note: str) -> None:
        self.notes.append(note)

    def done(self, photos: int) -> None:
        self.count += photos


class KillingWriter(Heard):
    """Kills the process of the writer when the first documents are written."""

    killed = 0

    def done(self, photos: int) -> None:
        super().done(photos)
        if self.count > 2 and not self.killed:
            for process in running_in(session_of(os.getpid())):
                if command(process).startswith("ray::ClusterWriter"):
                    os.kill(process, signal.SIGKILL)
                    self.killed += 1


@pytest.mark.long
def test_ray_starts_on_a_machine_where_none_ran_before_and_writes_into_its_own_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = tmp_path / "usual"
    usual.mkdir()
    monkeypatch.setenv("TMPDIR", str(usual))
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    with (
        TemporaryDirectory(dir=short_folder()) as folder,
        variables({**ONLY_HERE, **token()}),
        started(Path(folder), 1, Event()) as address,
    ):
        assert (Path(folder) / "ray/ray_current_cluster").read_text() == address
    assert list(usual.iterdir()) == []


def test_why_ray_does_not_start_is_said(tmp_path: Path) -> None:
    assert last_words_of(tmp_path, "") == "it said nothing"
    assert last_words_of(tmp_path, "Traceback\n  File\nOSError: [Errno 28] No space left\n") == (
        "OSError: [Errno 28] No space left"
    )


def last_words_of(folder: Path, said: str) -> str:
    (folder / ERRORS).write_text(said)
    return last_words(folder)


@pytest.mark.long
def test_documents_are_those_of_a_local_ingest_though_a_worker_and_the_writer_are_killed(
    by_two: ByTwo, index: TargetIndex, hundred: Path, locally: Documents, tmp_path: Path
) -> None:
    (hundred / "bad.png").write_bytes((hundred / "000.png").read_bytes()[:40])
    (hundred / "none.png").symlink_to(hundred / "nowhere")
    (tmp_path / "once").touch()
    watch = KillingWriter()
    report = by_two(index, hundred, partial(Ending, tmp_path), watch)
    assert list(tmp_path.iterdir()) == []
    assert watch.killed
    assert (report.new, report.regions, report.rejected, watch.count) == (PHOTOS, 5 * PHOTOS, 2, PHOTOS + 2)
    assert report.starting > 0
    assert "Ray: 2 workers with 1 CPUs each, 1 machines" in watch.notes[-1]
    assert watch.rejects.keys() == {"bad.png", "none.png"}
    assert watch.rejects["none.png"] == "cannot be read (No such file or directory)"
    assert stored(index) == locally
    counted = index.client.indices.stats(index=index.name, metric="docs")["_all"]["primaries"]["docs"]["count"]
    assert counted == 6 * PHOTOS
    again = by_two(index, hundred)
    assert (again.unchanged, again.regions, again.photos) == (PHOTOS, 0, PHOTOS + 2)
    for name in ("bad.png", "none.png"):
        (hundred / name).unlink()


class Stopping(Heard):
    """Asks the run to stop when the first documents are written."""

    def done(self, photos: int) -> None:
        super().done(photos)
        self.stop.set()


@pytest.mark.long
def test_a_run_that_is_stopped_has_written_what_it_counts(
    by_two: ByTwo, index: TargetIndex, hundred: Path, tmp_path: Path
) -> None:
    for number in range(5):
        (tmp_path / str(number)).symlink_to(hundred)
    report = by_two(index, tmp_path, watch=Stopping())
    assert report.stopped
    assert 0 < report.new < 5 * PHOTOS
    assert len(stored(index)) == report.new


@pytest.mark.long
def test_a_run_that_is_stopped_before_its_first_document_makes_no_index(
    by_two: ByTwo, index: TargetIndex, hundred: Path, tmp_path: Path
) -> None:
    """All in one batch, whose rejects count before its documents are written."""
    (tmp_path / "bad.png").write_bytes(b"no picture")
    for number in range(AT_ONCE // 2):
        (tmp_path / f"{number}.png").symlink_to(hundred / f"{number:03}.png")
    report = by_two(index, tmp_path, watch=Stopping())
    assert (report.stopped, report.new, report.rejected) == (True, 0, 1)
    assert index.found is None


@pytest.mark.long
def test_an_error_of_a_worker_is_one_sentence(by_two: ByTwo, index: TargetIndex, hundred: Path) -> None:
    with pytest.raises(SorceError, match=r"makes other vectors .* install the same versions of all packages on all"):
        by_two(index, hundred, partial(Different, os.getpid()))


@pytest.mark.long
def test_ray_listens_on_loopback_only(ray: Any) -> None:
    assert ray.is_initialized()
    found = {os.getpid(), *running_in(session_of(os.getpid()))}
    # This process, six of Ray's own, and those that wait for work; a busy machine may not have all of the last.
    assert len(found) >= 7
    assert public_listeners(found) == []


def test_workers_get_as_many_cpus_as_fit() -> None:
    two, gpus = [{"CPU": 8.0}, {"CPU": 4.0}], [{"CPU": 16.0, "GPU": 2.0}, {"CPU": 8.0}]
    assert placed(two, Team()) == (2, 4)
    assert placed(two, Team(workers=3)) == (3, 4)
    assert placed(two, Team(workers=12)) == (12, 1)
    assert placed(gpus, Team(gpus=1)) == (2, 8)
    assert placed(gpus, Team(gpus=0.5)) == (4, 4)
    assert placed(gpus, Team(gpus=1, workers=1)) == (1, 16)
    with pytest.raises(SorceError, match=r"no room for 13 workers with a CPU each \(it has 12 CPUs, 0 GPUs\)"):
        placed(two, Team(workers=13))
    with pytest.raises(SorceError, match="no room for 1 workers with 1 GPUs and a CPU each"):
        placed(two, Team(gpus=1))


def test_a_cluster_of_ray_is_only_joined_with_a_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SorceError, match="only joined with a token"):
        token_of_cluster()
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    assert token_of_cluster() == {"RAY_AUTH_MODE": "token"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--ray --dry-run", "--dry-run does not go with --ray."),
        ("--ray --watch", "--watch does not go with --ray."),
        ("--ray-address auto --from-events -", "--from-events does not go with --ray."),
        ("--num-gpus 1", "--num-gpus needs --ray."),
        ("--writers 3", "--writers needs --ray."),
        ("--ray-address ray://host:10001", "run this on a machine of the cluster"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: str, said: str, folder: Path) -> None:
    done = CliRunner().invoke(cli.sorce, ["ingest", "--index", "photos", *options.split(), str(folder)])
    assert done.exit_code == 2
    assert said in done.output


def test_while_one_request_waits_for_the_cluster_no_other_is_sent() -> None:
    retry = Retry()
    retry.quiet.extend(1000)
    retry.watch.stop.set()
    assert not retry.hold()


INGEST = [sys.executable, "-c", "from sorce.cli import main; main()", "ingest", "--model", "mini", "--regions", "whole"]


@pytest.fixture
def joining(ray: Any) -> dict[str, str]:
    """The environment of a program that joins the tests' Ray."""
    assert ray.is_initialized()
    return {**os.environ, **token(), **ONLY_HERE}


@pytest.mark.long
@pytest.mark.bfloat16
def test_a_cluster_of_ray_that_is_joined_stores_what_a_local_ingest_does(
    ray: Any, joining: dict[str, str], opensearch: str, client: OpenSearch, index: TargetIndex, hundred: Path
) -> None:
    """Of `mini`, by the command; with a reject, an attribute and the exit code for it."""
    from tests.ingest.test_killed import same

    (hundred / "bad.png").write_bytes((hundred / "000.png").read_bytes()[:40])
    words = [*INGEST, "--set", "aisle:int=3", "--url", opensearch, str(hundred)]
    address = ["--ray-address", ray.get_runtime_context().gcs_address, "--workers", "2", "--json"]
    by_ray = subprocess.run([*words, "--index", index.name, *address], cwd=ROOT, env=joining, capture_output=True)
    here = TargetIndex(client, f"{index.name}-here")
    subprocess.run([*words, "--index", here.name], cwd=ROOT, capture_output=True)
    (hundred / "bad.png").unlink()
    assert by_ray.returncode == 3, by_ray.stderr.decode()
    report = json.loads(by_ray.stdout)
    assert (report["new"], report["rejected"], report["stopped"]) == (PHOTOS, 1, False)
    assert len(stored(here)) == len(stored(index)) == PHOTOS
    assert same(stored(index), stored(here))
    client.indices.delete(index=here.name)


@pytest.mark.long
def test_another_token_does_not_join(ray: Any, joining: dict[str, str], opensearch: str, hundred: Path) -> None:
    address = ray.get_runtime_context().gcs_address
    done = subprocess.run(
        [*INGEST, "--ray-address", address, "--index", "test-ingest-none", "--url", opensearch, str(hundred)],
        cwd=ROOT,
        env=joining | {"RAY_AUTH_TOKEN": 64 * "0"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "cannot be joined" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_of_ray_is_left_after_a_signal(
    end: signal.Signals, opensearch: str, hundred: Path, tmp_path: Path
) -> None:
    """Ctrl-C goes to all processes of the terminal."""
    for number in range(40):
        (tmp_path / str(number)).symlink_to(hundred)
    index = f"test-ingest-{uuid.uuid4().hex[:12]}"
    with subprocess.Popen(
        [*INGEST, "--ray", "--workers", "2", "--index", index, "--url", opensearch, str(tmp_path)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "Ray: 2 workers" in line:
                break
        session = session_of(process.pid)
        assert len(running_in(session)) >= 6
        os.killpg(process.pid, end)
        process.stderr.read()
        assert process.wait() == (-end if end is signal.SIGKILL else 130)
    until_gone(session)
    with connect(opensearch) as client:
        client.indices.delete(index=index, params={"ignore_unavailable": "true"})


def until_gone(session: int) -> None:
    """Waits until none of its processes runs."""
    end = time.monotonic() + 60
    while left := running_in(session):
        assert time.monotonic() < end, left
        time.sleep(0.1)
