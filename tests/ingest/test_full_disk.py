"""A disk of 200 MB that is full in the middle of an ingest. Only root may mount it; `test_nodes` does without."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from opensearchpy import OpenSearch

from sorce.cluster import connect
from sorce.engine import running
from sorce.engine.config import LOCAL_SETTINGS
from sorce.ingest import Options, Watch, ingest_photos
from sorce.ingest import write as writing
from sorce.ingest.index import TargetIndex
from tests.ingest.conftest import CountingModel, Draw, files
from tests.ingest.test_nodes import InBetween, Record, lost_and_doubled, until

pytestmark = pytest.mark.long

PHOTOS = 40
LEFT = 2_000_000
"""Bytes that are free when the disk is full for OpenSearch."""


@pytest.fixture
def disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sorce-disk-") as folder:
        place = Path(folder)
        place.chmod(0o711)
        mount = ["mount", "-t", "tmpfs", "-o", "size=200m,mode=0711", "tmpfs", folder]
        with suppress(FileNotFoundError):
            if subprocess.run(mount, capture_output=True).returncode == 0:
                try:
                    yield place
                finally:
                    subprocess.run(["umount", folder], check=True)
                return
        pytest.skip("only root may mount a disk of 200 MB")


@pytest.fixture
def client(disk: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenSearch]:
    monkeypatch.setattr("sorce.engine.launch.LEAST_FREE", 0)
    for name, free in {"low": "12mb", "high": "10mb", "flood_stage": "8mb"}.items():
        monkeypatch.setitem(LOCAL_SETTINGS, f"cluster.routing.allocation.disk.watermark.{name}", free)
    # The least.
    monkeypatch.setitem(LOCAL_SETTINGS, "cluster.info.update.interval", "10s")
    with running(data=disk / "data", heap="384m", quick_start=True) as url, connect(url) as client:
        yield client


def fill(file: Path) -> None:
    """Takes all of the disk but a little."""
    with file.open("wb") as stream:
        while (free := shutil.disk_usage(file.parent).free) > LEFT:
            stream.write(bytes(min(1 << 20, free - LEFT)))
            stream.flush()


def test_an_ingest_waits_until_the_disk_has_room_and_nothing_is_lost(
    client: OpenSearch,
    disk: Path,
    draw: Draw,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Record,
) -> None:
    # Each photo is encoded and sent soon, so that some are written before the disk is full, and some after it.
    monkeypatch.setattr("sorce.ingest.encode.PICTURES_AT_ONCE", 40)
    monkeypatch.setattr(writing, "MAX_SECONDS", -1.0)
    for number in range(PHOTOS):
        draw(f"{number}.png", (number, 100, 200))
    filler = disk / "filler"

    def full() -> None:
        fill(filler)
        # The block comes with the next look at the disk; a write before it would succeed.
        until(lambda: is_blocked(client))

    watch = MakingRoom(filler)
    report = ingest_photos(
        client, "photos", InBetween({3: full}), files(tmp_path / "photos"), Options(workers=1), watch
    )
    assert (report.new, report.rejected) == (PHOTOS, 0)
    assert watch.full
    lost, doubled = lost_and_doubled(TargetIndex(client, "photos"), tmp_path / "photos")
    record_property("full disks", 1)
    record_property("photos lost", lost)
    record_property("photos doubled", doubled)
    assert (lost, doubled) == (0, 0)
    again = ingest_photos(client, "photos", CountingModel(), files(tmp_path / "photos"))
    assert again.unchanged == PHOTOS


class MakingRoom(Watch):
    """Deletes the file as soon as the ingest says that the disk is full."""

    def __init__(self, filler: Path) -> None:
        super().__init__()
        self.filler, self.full = filler, 0

    def waiting(self, reason: str, seconds: float) -> None:  # noqa: ARG002
        # It may wait before, too: until the shards of the new index are ready.
        if "disk usage exceeded flood-stage watermark" in reason:
            self.full += 1
            self.filler.unlink(missing_ok=True)


def is_blocked(client: OpenSearch) -> bool:
    settings = client.indices.get_settings(index="photos", params={"flat_settings": "true"})["photos"]["settings"]
    return bool(settings.get("index.blocks.read_only_allow_delete") == "true")
