"""Prune removes from the index what is gone from the disk, but only for the given folders."""

from __future__ import annotations

import shutil
from io import BytesIO
from pathlib import Path

import pytest
from opensearchpy import OpenSearch
from PIL import Image

from sorce.errors import SorceError
from sorce.ingest import Files, Naming, Source, ingest_photos
from sorce.ingest import index as index_module
from sorce.ingest.index import TargetIndex
from sorce.ingest.prune import Gone, count_gone, prune
from sorce.ingest.retry import Retry
from tests.ingest.conftest import CountingModel, Draw, files


def anyway(_: Gone) -> bool:
    """Who is asked, and agrees."""
    return True


@pytest.fixture
def archive(client: OpenSearch, index: TargetIndex, model: CountingModel, draw: Draw, tmp_path: Path) -> Path:
    """Three folders in an index, of which two have similar names."""
    for name in ("a/1.jpg", "a/2.jpg", "a/below/3.jpg", "ab/4.jpg", "ab/5.jpg", "c/6.jpg"):
        draw(name)
    ingest_photos(client, index.name, model, files(tmp_path / "photos"))
    return tmp_path / "photos"


def planted(uri: str) -> Source:
    """A photo that no file of the archive is for, as anybody who may write to the index can make one."""
    content = BytesIO()
    Image.new("RGB", (8, 8)).save(content, "PNG")
    return Source(uri, "nowhere", uri.rpartition("/")[2], uri, content.getvalue)


def left(index: TargetIndex) -> str:
    found = index.client.search(index=index.name, body={"size": 100, "sort": "file_name"})["hits"]["hits"]
    return "".join(hit["_source"]["file_name"].removesuffix(".jpg") for hit in found)


def test_only_the_given_folders_are_pruned(client: OpenSearch, index: TargetIndex, archive: Path) -> None:
    (archive / "a/below/notes.txt").touch()
    for name in ("a/2.jpg", "a/below/3.jpg", "ab/4.jpg", "c/6.jpg"):
        (archive / name).unlink()
    assert prune(client, index.name, files(archive / "a"), confirm=anyway) == 2
    assert left(index) == "1456"


def test_counting_removes_nothing(index: TargetIndex, archive: Path) -> None:
    (archive / "a/2.jpg").unlink()
    index.look_up()
    assert count_gone(index, files(archive)) == 1
    assert left(index) == "123456"


def test_nothing_more_is_removed_once_the_run_is_asked_to_stop(
    client: OpenSearch, index: TargetIndex, archive: Path
) -> None:
    (archive / "a/2.jpg").unlink()
    retry = Retry()
    retry.watch.stop.set()
    assert prune(client, index.name, files(archive), retry) == 0
    assert left(index) == "123456"


def test_what_takes_several_pages_is_pruned_whole(
    client: OpenSearch, index: TargetIndex, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "PAGE", 2)
    for name in ("a/2.jpg", "ab/4.jpg", "c/6.jpg"):
        (archive / name).unlink()
    assert prune(client, index.name, files(archive / "a", archive / "ab"), confirm=anyway) == 2
    assert left(index) == "1356"


def test_a_missing_folder_below_takes_its_photos_along(client: OpenSearch, index: TargetIndex, archive: Path) -> None:
    shutil.rmtree(archive / "a")
    assert prune(client, index.name, files(archive), confirm=anyway) == 3
    assert left(index) == "456"


def test_a_photo_that_is_ignored_now_stays(client: OpenSearch, index: TargetIndex, archive: Path) -> None:
    assert prune(client, index.name, Files([str(archive)], ignore=["*.jpg"])) == 0


def test_a_folder_without_any_photo_is_refused_as_it_may_be_unmounted(
    client: OpenSearch, index: TargetIndex, archive: Path
) -> None:
    (archive / "c/6.jpg").unlink()
    with pytest.raises(SorceError, match=r"^nothing was pruned, because '.*/c' holds no photo; mount its disk, or"):
        prune(client, index.name, files(archive / "a", archive / "c"))
    assert left(index) == "123456"


@pytest.mark.parametrize("leaves_its_folder", [True, False])
def test_a_disk_that_is_unmounted_after_the_look_loses_no_photo(
    client: OpenSearch, index: TargetIndex, archive: Path, tmp_path: Path, leaves_its_folder: bool
) -> None:
    (archive / "a/1.jpg").unlink()

    def unmounting(gone: Gone) -> bool:
        archive.rename(tmp_path / "away")
        if leaves_its_folder:
            archive.mkdir()
        return anyway(gone)

    with pytest.raises(SorceError, match=r"^no more was pruned, because '.*' holds no photo; mount its disk, or"):
        prune(client, index.name, files(archive), confirm=unmounting)
    assert left(index) == "123456"


def test_with_a_root_only_relative_names_are_pruned(
    client: OpenSearch, index: TargetIndex, archive: Path, model: CountingModel
) -> None:
    client.indices.delete(index=index.name)
    relative = Files([str(archive)], Naming(archive))
    ingest_photos(client, index.name, model, relative)
    ingest_photos(client, index.name, model, [planted("file:///nowhere/4.jpg"), planted("s3://bucket/4.jpg")])
    assert left(index) == "12344456"
    (archive / "ab/4.jpg").unlink()
    assert prune(client, index.name, relative, confirm=anyway) == 1
    assert prune(client, index.name, Files([str(archive / "a")], Naming(archive))) == 0
    assert left(index) == "1234456"
