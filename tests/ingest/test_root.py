"""The root of relative paths is stored in the index. A prune removes only photos that are certainly gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from opensearchpy import OpenSearch

from sorce.cluster import find_index
from sorce.errors import ClusterError, SorceError
from sorce.ingest import Files, Naming, Source, ingest_photos
from sorce.ingest.index import NewIndex, TargetIndex
from sorce.ingest.pipeline import bring_in
from sorce.ingest.prune import Gone, prune
from sorce.ingest.report import Report, Watch
from sorce.ingest.retry import Retry
from sorce.ingest.root import OtherRoot, agree_on_root
from tests.ingest.conftest import CountingModel, files, stored


def rooted(index: TargetIndex, root: Path | None, folder: Path, *, moved: bool = False) -> Report:
    """What the command does: looks up, compares the roots, brings in."""
    target = TargetIndex(index.client, index.name)
    target.look_up()
    agree_on_root(target, root, moved=moved)
    return bring_in(target, CountingModel(), Files([str(folder)], Naming(root)))


def anyway(_: Gone) -> bool:
    return True


@pytest.mark.fault("3.3.1")
def test_a_root_stands_in_the_index_and_another_is_refused(
    client: OpenSearch, index: TargetIndex, folder: Path, tmp_path: Path
) -> None:
    rooted(index, folder, folder)
    found = find_index(client, index.name)
    assert (found.root, found.schema) == (str(folder), 2)
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    with pytest.raises(OtherRoot, match=r"with the same path would replace one of them; if the same photos lie there"):
        rooted(index, other, other)
    assert rooted(index, other, other, moved=True).unchanged == 5
    assert find_index(client, index.name).root == str(other)


@pytest.mark.fault("3.3.2")
def test_a_forgotten_root_is_refused(index: TargetIndex, folder: Path) -> None:
    rooted(index, folder, folder)
    with pytest.raises(OtherRoot, match=rf"so all would come in twice; add --root '{folder}', or"):
        rooted(index, None, folder)


@pytest.mark.fault("3.s.2")
def test_a_root_that_comes_too_late_is_refused(index: TargetIndex, folder: Path) -> None:
    rooted(index, None, folder)
    with pytest.raises(
        OtherRoot, match="names photos by their absolute path, so all would come in twice; leave out --ro"
    ):
        rooted(index, folder, folder)


@pytest.mark.fault("3.2.2")
def test_a_prune_below_another_root_is_refused(
    client: OpenSearch, index: TargetIndex, folder: Path, tmp_path: Path
) -> None:
    rooted(index, folder, folder)
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    (other / "a.jpg").unlink()
    with pytest.raises(OtherRoot):
        prune(client, index.name, Files([str(other)], Naming(other)), confirm=anyway)
    assert len(stored(index)) == 5


@pytest.mark.fault("3.2.1")
def test_photos_of_an_unmounted_folder_below_the_named_one_stay(
    client: OpenSearch, index: TargetIndex, folder: Path, model: CountingModel
) -> None:
    class Noting(Watch):
        def noted(self, note: str) -> None:
            notes.append(note)

    notes: list[str] = []
    ingest_photos(client, index.name, model, files(folder))
    for photo in (folder / "below").iterdir():
        photo.unlink()
    (folder / "a.jpg").unlink()
    assert prune(client, index.name, files(folder), Retry(watch=Noting()), confirm=anyway) == 1
    assert sorted(each["file_name"] for each in stored(index).values()) == ["b.png", "c.JPG", "d.jpg", "e.webp"]
    assert notes == [
        f"'{folder}/below' is empty, as if its disk were not mounted: its 2 photos stay in the index; "
        "remove the folder if they are really gone."
    ]


@pytest.mark.fault("3.2.4")
def test_more_than_a_tenth_is_not_pruned_unasked(
    client: OpenSearch, index: TargetIndex, folder: Path, model: CountingModel
) -> None:
    ingest_photos(client, index.name, model, files(folder))
    (folder / "a.jpg").unlink()
    with pytest.raises(
        SorceError, match=r"^nothing was pruned: the files of 1 of 5 photos are gone, such as .*a.jpg; "
    ):
        prune(client, index.name, files(folder))
    asked: list[tuple[int, int]] = []

    def no(gone: Gone) -> bool:
        asked.append((len(gone.files), gone.photos))
        return False

    assert prune(client, index.name, files(folder), confirm=no) == 0
    assert (asked, len(stored(index))) == ([(1, 5)], 5)


@pytest.mark.fault("3.2.3")
@pytest.mark.parametrize("and_ingested", [False, True])
def test_a_photo_that_comes_back_while_prune_runs_stays(
    client: OpenSearch, index: TargetIndex, folder: Path, model: CountingModel, and_ingested: bool
) -> None:
    ingest_photos(client, index.name, model, files(folder))
    content = (folder / "a.jpg").read_bytes()
    (folder / "a.jpg").unlink()

    def comes_back(_: Gone) -> bool:
        (folder / "a.jpg").write_bytes(content)
        if and_ingested:
            script = {"source": "ctx._source.bytes = 1"}
            client.update_by_query(index=index.name, body={"script": script}, params={"refresh": "true"})
            (folder / "a.jpg").unlink()
        return True

    assert prune(client, index.name, files(folder), confirm=comes_back) == 0
    assert len(stored(index)) == 5


@pytest.mark.fault("3.4.1", "4.1.13")
@pytest.mark.parametrize("is_there", [True, False])
def test_a_planted_path_does_not_tell_which_files_exist(
    client: OpenSearch, index: TargetIndex, folder: Path, model: CountingModel, tmp_path: Path, is_there: bool
) -> None:
    content = (folder / "b.png").read_bytes()
    secret = tmp_path / "secret.png"
    if is_there:
        secret.touch()
    uris = [
        f"{folder.as_uri()}/../secret.png",
        f"{folder.as_uri()}/below/../../secret.png",
        f"{folder.as_uri()}/a%00.png",
        f"{folder.as_uri()}/%2e%2e/secret.png",
    ]
    planted = [Source(uri, "x", "x.png", uri, lambda: content) for uri in uris]
    ingest_photos(client, index.name, model, [*files(folder), *planted])
    (folder / "a.jpg").unlink()
    assert prune(client, index.name, files(folder), confirm=anyway) == 1
    assert len(stored(index)) == 4 + len(uris)


@pytest.mark.fault("3.s.3")
def test_photos_of_another_kind_of_source_are_not_pruned(
    client: OpenSearch, index: TargetIndex, folder: Path, model: CountingModel
) -> None:
    """`s3://bucket/a.png` is no path below the root."""
    rooted(index, folder, folder)
    content = (folder / "b.png").read_bytes()
    photo = Source("s3://bucket/a.png", "bucket", "a.png", "a.png", lambda: content)
    ingest_photos(client, index.name, model, [photo])
    assert prune(client, index.name, Files([str(folder)], Naming(folder)), confirm=anyway) == 0
    assert len(stored(index)) == 6


@pytest.mark.parametrize("root", [None, "/other"])
def test_two_runs_that_make_an_index_at_the_same_moment_have_one_root(
    client: OpenSearch, index: TargetIndex, model: CountingModel, root: str | None
) -> None:
    first, second = (TargetIndex(client, index.name, NewIndex(root=each)) for each in ("/photos", root))
    first.make(model.recipe)
    with pytest.raises(ClusterError, match=f"another ingest made index '{index.name}' at the same moment"):
        second.make(model.recipe)
    assert find_index(client, index.name).root == "/photos"
    TargetIndex(client, index.name, NewIndex(root="/photos")).make(model.recipe)
