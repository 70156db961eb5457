"""Attributes of single photos come from a CSV file, by the photo's path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from opensearchpy import OpenSearch

from sorce.errors import SorceError
from sorce.ingest import Options, ingest_photos
from sorce.ingest.attributes import AttributeTable, attributes_of
from sorce.ingest.commands import ingest
from sorce.ingest.index import TargetIndex
from sorce.ingest.lists import PhotoList
from sorce.pictures.source import Source
from tests.ingest.conftest import CountingModel, files, stored


def table(folder: Path, text: str, encoding: str = "utf-8") -> AttributeTable:
    file = folder / "attributes.csv"
    file.write_text(text, encoding=encoding)
    return AttributeTable.read(file)


def test_paths_are_relative_to_the_file_and_columns_are_typed(tmp_path: Path) -> None:
    found = table(tmp_path, 'path,shop,aisle:int\na.jpg,"north, old",3\nsub/b.jpg,,4\n/c.jpg,south,\n')
    assert found.rows == {
        f"{tmp_path}/a.jpg": {"shop": "north, old", "aisle": 3},
        f"{tmp_path}/sub/b.jpg": {"aisle": 4},
        "/c.jpg": {"shop": "south"},
    }
    assert found.note == f"'{tmp_path}/attributes.csv': 3 of 3 rows name no file, such as {tmp_path}/a.jpg."


def test_what_spreadsheets_write_is_read(tmp_path: Path) -> None:
    found = table(tmp_path, "file_name;shop\r\na.jpg;Süd\r\n\r\ns3://bucket/b.jpg;Nord\r\n", "utf-8-sig")
    assert found.rows == {f"{tmp_path}/a.jpg": {"shop": "Süd"}, "s3://bucket/b.jpg": {"shop": "Nord"}}


@pytest.mark.fault("6.s.32")
@pytest.mark.parametrize("written", ["../photos/é.jpg", "..\\photos\\é.jpg", "../x/.././photos/é.jpg"])
def test_a_path_finds_its_photo_however_it_is_written(tmp_path: Path, written: str) -> None:
    """Else its attributes would be dropped without a word."""
    for name in ("photos", "lists"):
        (tmp_path / name).mkdir()
    (tmp_path / "photos/é.jpg").touch()
    found = table(tmp_path / "lists", f"path,shop\n{written},north\n")
    [source] = files(tmp_path / "photos")
    assert isinstance(source, Source)
    assert attributes_of(source, found.rows) == {"shop": "north"}
    assert found.note is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no column 'path'"),
        ("name,shop\na.jpg,x\n", "has no column 'path'"),
        ("path,shop\na.jpg\n", "line 2: 1 cells, and the first line has 2"),
        ("path,shop\na.jpg,x\n./a.jpg,y\n", "line 3: './a.jpg' has a row already"),
        ("path,aisle:int\na.jpg,three\n", r"line 2: attribute 'aisle:int=three' is not understood"),
        ("path,a b\na.jpg,x\n", "column 'a b' cannot name an attribute"),
        pytest.param("path,a=b\na.jpg,x\n", "column 'a=b' cannot name an attribute", marks=pytest.mark.fault("3.s.5")),
        pytest.param(
            "path,shop,shop\na.jpg,x,y\n", "2 columns name the attribute 'shop'", marks=pytest.mark.fault("3.s.5")
        ),
        pytest.param(
            "path,aisle,aisle:int\na.jpg,x,3\n", "2 columns name the attribute", marks=pytest.mark.fault("3.s.5")
        ),
    ],
)
def test_a_table_that_is_none_is_a_sentence_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SorceError, match=said):
        table(tmp_path, text)


def test_bytes_that_are_no_text_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SorceError, match="write CSV in UTF-8"):
        table(tmp_path, "path,shop\na.jpg,Süd\n", "latin-1")


def by_name(documents: Any) -> dict[str, Any]:
    for each in documents.values():
        assert all(region.get("attributes") == each.get("attributes") for region in each["regions"])
    return {each["file_name"]: each.get("attributes") for each in documents.values()}


def test_each_photo_gets_its_own_and_a_change_encodes_nothing(
    client: OpenSearch, index: TargetIndex, model: CountingModel, folder: Path
) -> None:
    first, second, others = "a.jpg", "b.png", ("c.JPG", "d.jpg", "e.webp")

    def run(text: str) -> Any:
        given = table(folder, text)
        assert given.note is None
        return ingest_photos(
            client, index.name, model, files(folder), Options({"site": "oslo"}, workers=1, by_photo=given.rows)
        )

    report = run(f"path,site,shelf:int\n{first},bergen,1\n{second},,2\n")
    assert report.new == 5
    assert by_name(stored(index)) == {
        first: {"site": "bergen", "shelf": 1},
        second: {"site": "oslo", "shelf": 2},
        **{name: {"site": "oslo"} for name in others},
    }
    again = run(f"path,site,shelf:int\n{first},bergen,1\n{second},,7\n")
    assert (again.changed, again.unchanged, model.encoded) == (1, 4, 5)
    assert by_name(stored(index))[second] == {"site": "oslo", "shelf": 7}


def test_the_command_reads_the_file_before_it_asks_a_cluster(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("shop\nx\n")
    given = ["--index", "photos", "--attributes", str(tmp_path / "a.csv"), "--url", "http://127.0.0.1:1", str(tmp_path)]
    done = CliRunner().invoke(ingest, given)
    assert "has no column 'path'" in str(done.exception)


@pytest.mark.usefixtures("surroundings")
def test_rows_without_a_photo_are_said(index: TargetIndex, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sorce.ingest.request.Request.load_model", lambda *_: CountingModel())
    table(folder, "path,shop\nnope.jpg,x\n")
    given = ["--index", index.name, "--attributes", str(folder / "attributes.csv"), "--json", str(folder)]
    done = CliRunner().invoke(ingest, given)
    assert "1 of 1 rows name no file, such as" in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["new"] == 5


def test_a_list_that_names_an_attribute_twice_is_refused_and_an_empty_column_is_none(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("path,shop,shop:int\na.jpg,x,3\n")
    with pytest.raises(SorceError, match="cannot be used: 2 columns name the attribute 'shop'"):
        PhotoList(str(file)).types()
    file.write_text("path,shop,\na.jpg,x,\n")
    assert PhotoList(str(file)).types() == {"shop": {"type": "keyword"}}


@pytest.mark.fault("3.s.4")
def test_an_attribute_that_is_set_twice_loses_no_value_without_a_word(tmp_path: Path) -> None:
    refused = CliRunner().invoke(ingest, ["--index", "x", "--set", "tag=a", "--set", "tag=b", str(tmp_path)])
    assert refused.exit_code == 2
    assert "attribute 'tag' is set twice, and a photo has one value of it" in refused.stderr
