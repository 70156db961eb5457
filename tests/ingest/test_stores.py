"""Ingest from a real S3 server and from lists, and files that need not be read."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from sorce.cli import sorce
from sorce.errors import SorceError
from sorce.ingest import Options, ingest_photos
from sorce.ingest.commands import ingest
from sorce.ingest.index import TargetIndex
from sorce.ingest.lists import PhotoList
from sorce.ingest.sources import Sources, once
from sorce.mappings import Rejected
from sorce.pictures.files import Files
from sorce.pictures.remote import StorePhotos
from sorce.pictures.source import Source, photo_id_of
from sorce.pictures.stores import filesystem
from tests.ingest.conftest import CountingModel, Draw, files, old, stored
from tests.kit.s3 import environment, s3_client, s3_server


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with s3_server(tmp_path_factory.mktemp("s3") / "log") as address, pytest.MonkeyPatch.context() as patch:
        for name, value in environment(address).items():
            patch.setenv(name, value)
        filesystem.cache_clear()
        yield s3_client(address)
        filesystem.cache_clear()


@pytest.fixture
def bucket(s3: Any, folder: Path) -> str:
    """The five photos of the test's folder, in a bucket of its own."""
    name = f"b{time.monotonic_ns()}"
    s3.create_bucket(Bucket=name)
    for file in sorted(folder.rglob("*.*")):
        s3.put_object(Bucket=name, Key=str(file.relative_to(folder)), Body=file.read_bytes())
    return name


class Reads:
    """Counts the reads of sources."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def of(self, source: Source) -> Source:
        def read() -> bytes:
            self.names.append(source.name)
            return source.read()

        return replace(source, read=read)

    def all(self, sources: Any) -> list[Source | Rejected]:
        return [self.of(each) if isinstance(each, Source) else each for each in sources]


def test_photos_of_a_bucket_come_in_once_and_are_not_read_again(
    index: TargetIndex, model: CountingModel, bucket: str, s3: Any, folder: Path
) -> None:
    photos = StorePhotos(f"s3://{bucket}")
    assert ingest_photos(index.client, index.name, model, photos).new == 5
    before = stored(index)
    assert before[photo_id_of(f"s3://{bucket}/below/d.jpg")]["etag"]
    reads = Reads()
    report = ingest_photos(index.client, index.name, model, reads.all(photos))
    assert (report.unchanged, reads.names) == (5, [])
    assert stored(index) == before
    s3.put_object(Bucket=bucket, Key="a.jpg", Body=(folder / "b.png").read_bytes())
    report = ingest_photos(index.client, index.name, model, reads.all(photos))
    assert (report.changed, report.unchanged, reads.names) == (1, 4, [f"s3://{bucket}/a.jpg"])
    assert model.encoded == 6


def test_the_same_content_under_a_new_tag_is_read_and_not_encoded(
    index: TargetIndex, model: CountingModel, bucket: str
) -> None:
    [source] = [each for each in StorePhotos(f"s3://{bucket}/a.jpg") if isinstance(each, Source)]
    ingest_photos(index.client, index.name, model, [source])
    reads = Reads()
    other = replace(source, etag="another", read=source.read)
    for _ in range(2):
        report = ingest_photos(index.client, index.name, model, reads.all([other]))
        assert (report.unchanged, report.changed) == (1, 0)
    # The second run finds the new tag in the index.
    assert len(reads.names) == 1
    assert model.encoded == 1


def test_checksum_reads_all(index: TargetIndex, model: CountingModel, bucket: str) -> None:
    photos, reads = StorePhotos(f"s3://{bucket}"), Reads()
    ingest_photos(index.client, index.name, model, photos)
    ingest_photos(index.client, index.name, model, reads.all(photos), Options(checksum=True))
    assert len(reads.names) == 5
    assert model.encoded == 5


def test_a_file_of_the_same_size_and_time_is_not_read(index: TargetIndex, model: CountingModel, folder: Path) -> None:
    old(*folder.rglob("*.*"))
    reads = Reads()
    ingest_photos(index.client, index.name, model, files(folder))
    assert ingest_photos(index.client, index.name, model, reads.all(files(folder))).unchanged == 5
    assert reads.names == []
    (folder / "a.jpg").write_bytes((folder / "c.JPG").read_bytes())
    report = ingest_photos(index.client, index.name, model, reads.all(files(folder)))
    assert (report.changed, reads.names) == (1, [str(folder / "a.jpg")])


def test_attributes_reach_a_photo_that_is_not_read(index: TargetIndex, model: CountingModel, folder: Path) -> None:
    old(*folder.rglob("*.*"))
    reads = Reads()
    ingest_photos(index.client, index.name, model, files(folder))
    report = ingest_photos(index.client, index.name, model, reads.all(files(folder)), Options({"shop": 7}))
    assert (report.changed, reads.names) == (5, [])
    assert {each["attributes"]["shop"] for each in stored(index).values()} == {7}


def test_a_file_changed_just_before_it_was_read_is_read_again(
    index: TargetIndex, model: CountingModel, draw: Draw
) -> None:
    file, now = draw("a.bmp", (200, 30, 30)), time.time() + 3600
    os.utime(file, (now, now))
    ingest_photos(index.client, index.name, model, files(file))
    # The same size, and the same time by a clock of coarse steps.
    draw("a.bmp", (30, 200, 30))
    os.utime(file, (now, now))
    assert ingest_photos(index.client, index.name, model, files(file)).changed == 1


def test_a_touched_file_is_read_once(index: TargetIndex, model: CountingModel, draw: Draw) -> None:
    file, reads = draw("a.jpg"), Reads()
    old(file)
    ingest_photos(index.client, index.name, model, files(file))
    os.utime(file, (1_700_000_100, 1_700_000_100))
    for _ in range(2):
        assert ingest_photos(index.client, index.name, model, reads.all(files(file))).unchanged == 1
    assert reads.names == [str(file)]
    assert model.encoded == 1


def test_a_second_source_of_the_same_photo_is_rejected(index: TargetIndex, model: CountingModel, folder: Path) -> None:
    one, *_ = [each for each in files(folder) if isinstance(each, Source)]
    two = replace(one, name="again.jpg")
    [first, second] = once([one, two])
    assert first == one
    assert second == Rejected("again.jpg", f"is the same photo as '{one.name}' of this run (both are {one.uri})")
    report = ingest_photos(index.client, index.name, model, [one, two])
    assert (report.new, report.rejected) == (1, 1)


def test_a_list_gives_photos_and_attributes(
    index: TargetIndex, model: CountingModel, bucket: str, folder: Path, tmp_path: Path
) -> None:
    lines = ["uri,shop,aisle:int,on:date", f"s3://{bucket}/a.jpg,north,3,2026-01-31", "photos/b.png,,4,"]
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    photos = PhotoList(str(tmp_path / "list.csv"))
    assert photos.count() == (2, 0)
    options = Options(types=photos.types())
    assert ingest_photos(index.client, index.name, model, photos, options).new == 2
    found = stored(index)
    assert found[photo_id_of(f"s3://{bucket}/a.jpg")]["attributes"] == {
        "shop": "north",
        "aisle": 3,
        "on": "2026-01-31T00:00:00.000Z",
    }
    assert found[photo_id_of((folder / "b.png").as_uri())]["attributes"] == {"aisle": 4}
    assert ingest_photos(index.client, index.name, model, photos, options).unchanged == 2


def test_a_list_may_have_semicolons_as_spreadsheets_of_many_countries_write_them(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("\ufeffuri;aisle:int\r\na, b.jpg;3\r\n")
    photos = PhotoList(str(tmp_path / "list.csv"))
    [photo] = photos
    assert isinstance(photo, Source)
    assert (photo.name, photo.attributes) == (str(tmp_path / "a, b.jpg"), {"aisle": 3})
    assert set(photos.types()) == {"aisle"}


def test_a_parquet_list_is_read_from_the_store(
    index: TargetIndex, model: CountingModel, bucket: str, s3: Any, tmp_path: Path
) -> None:
    columns = {
        "url": [f"s3://{bucket}/a.jpg", f"s3://{bucket}/gone.jpg", "b.png"],
        "shop": ["north", None, None],
        "share": [0.5, None, None],
        "on": [datetime(2026, 1, 31, tzinfo=UTC), None, None],
    }
    pq.write_table(pa.table(columns), tmp_path / "list.parquet")
    s3.upload_file(str(tmp_path / "list.parquet"), bucket, "list.parquet")
    photos = PhotoList(f"s3://{bucket}/list.parquet")
    report = ingest_photos(index.client, index.name, model, photos, Options(types=photos.types()))
    assert (report.new, report.rejected) == (1, 2)
    [document] = stored(index).values()
    assert document["attributes"] == {"shop": "north", "share": 0.5, "on": "2026-01-31T00:00:00.000Z"}


def test_a_list_as_other_programs_write_it(folder: Path, tmp_path: Path) -> None:
    """Missing names and values, NaN, categories, a column of nothing, and photos by their `file:` URI."""
    places = [(folder / "a.jpg").as_uri(), None, "", "photos/b.png", "file://elsewhere/c.jpg", "a\0.jpg"]
    columns = {
        "uri": places,
        "shop": pa.array(3 * ["north", None]).dictionary_encode(),
        "share": pa.array(3 * [float("nan"), 0.5]),
        "nothing": pa.nulls(6),
    }
    pq.write_table(pa.table(columns), tmp_path / "list.parquet")
    photos = PhotoList(str(tmp_path / "list.parquet"))
    assert photos.types().keys() == {"shop", "share"}
    one, *rejected, other, elsewhere, nul = photos
    assert isinstance(one, Source)
    assert (one.uri, one.attributes) == (places[0], {"shop": "north"})
    assert isinstance(other, Source)
    assert (other.uri, other.attributes) == ((folder / "b.png").as_uri(), {"share": 0.5})
    assert rejected == [Rejected(f"row {row} of {photos.file}", "names no photo") for row in (2, 3)]
    assert elsewhere == Rejected("file://elsewhere/c.jpg", "is said to lie on another machine")
    assert nul == Rejected(str(tmp_path / "a\0.jpg"), "has a name that no file can have")


@pytest.mark.parametrize(
    ("names", "columns", "said"),
    [
        (["shop", "shop", "uri"], [["1"], ["2"], ["a.jpg"]], "two columns are named 'shop'"),
        (["uri", "a.b"], [["a.jpg"], ["x"]], "column 'a.b' is no name of an attribute"),
        (["uri"], [[5]], "column 'uri' is int64; make it text"),
        (["uri", "x"], [["a.jpg"], [[1]]], "column 'x' is list<element: int64>; make it text, a number or a date"),
        (["uri", "x"], [["a.jpg", "b.jpg"], [0.5, float("inf")]], "row 2: attribute 'x=inf' is not a finite number"),
    ],
)
def test_a_parquet_list_that_cannot_be_used_is_an_error(
    names: list[str], columns: list[list[Any]], said: str, tmp_path: Path
) -> None:
    pq.write_table(pa.table(list(map(pa.array, columns)), names=names), tmp_path / "list.parquet")
    with pytest.raises(SorceError) as told:
        PhotoList(str(tmp_path / "list.parquet")).count()
    assert said in str(told.value)


def test_a_parquet_list_without_its_package_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "list.parquet").touch()
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    photos = PhotoList(str(tmp_path / "list.parquet"))
    for read in (photos.types, lambda: list(photos)):
        with pytest.raises(SorceError, match=r"^a list in Parquet needs a package: pip install 'sorce\[cloud\]'\.$"):
            read()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("shop\nnorth\n", "no column is named 'uri'"),
        ("uri,shop\na.jpg\n", "line 2"),
        ("uri,a:int\na.jpg,x\n", "line 2"),
        ("uri,shop,shop\na.jpg,x,y\n", "two columns are named 'shop'"),
        ("uri;shop\na.jpg\n", "line 2 has 1 cells for 2 columns"),
        ("uri\n\udce9t\udce9.jpg\n", "cannot be used: it is not UTF-8; save it as such"),
    ],
)
def test_a_list_that_cannot_be_used_is_an_error_with_its_line(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(content, errors="surrogateescape")
    with pytest.raises(SorceError, match=said):
        list(PhotoList(str(tmp_path / "list.csv")))
    with pytest.raises(SorceError, match="cannot be used"):
        PhotoList(str(tmp_path / "missing.csv")).count()


def test_sources_in_the_order_of_the_command_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path\nphotos/a.jpg\n")
    both = Sources(Files([str(folder)]), [PhotoList(str(tmp_path / "list.csv"))])
    assert both.count() == (6, 0)
    assert len([each for each in once(both) if isinstance(each, Rejected)]) == 1


@pytest.mark.usefixtures("surroundings")
def test_the_command_takes_stores_lists_and_standard_input(
    index: TargetIndex, bucket: str, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "list.csv").write_text(f"uri,shop\ns3://{bucket}/b.png,north\n")
    words = ["--index", index.name, "--model", "mini", "--regions", "whole", "--quiet", "--json", "--no-run-log"]
    given = [f"s3://{bucket}/below", "-", "--list", str(tmp_path / "list.csv")]
    file = (folder / "c.JPG").as_uri()
    done = CliRunner().invoke(ingest, [*words, *given], input=f"s3://{bucket}/a.jpg\n{file}\n")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["new"] == 5
    index.look_up()
    assert photo_id_of(file) in stored(index)
    found = CliRunner().invoke(
        sorce,
        [
            "search",
            "--index",
            index.name,
            "x",
            "--fold",
            "off",
            "--save",
            str(tmp_path / "found"),
            "--root",
            f"s3://{bucket}/below",
        ],
    )
    assert found.exit_code == 3, found.output
    opened = ("below/d.jpg", "below/e.webp")
    for name in ("a.jpg", "b.png", *opened):
        refused = f"s3://{bucket}/{name} lies in a store, below no root that is named" in found.output
        assert refused == (name not in opened), name


def test_the_command_needs_a_photo() -> None:
    done = CliRunner().invoke(ingest, ["--index", "photos"])
    assert done.exit_code == 2
    assert "name the photos to ingest" in done.output
