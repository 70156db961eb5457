"""The commands: what a user types and reads."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click import UsageError
from click.testing import CliRunner, Result
from opensearchpy import OpenSearch

import sorce
from sorce.cli import sorce as command
from sorce.errors import PluginError, QueryError, SorceError
from sorce.plugin import ClientSearch, SearchRequest
from sorce.plugin.query.table import as_json, table
from tests.kit.corpus import Corpus, Words
from tests.kit.indexed import indexed
from tests.kit.place import Place


@pytest.fixture(autouse=True)
def _words(monkeypatch: pytest.MonkeyPatch, place: Place) -> None:
    for place_of_use in ("cluster", "query"):
        monkeypatch.setattr(f"sorce.plugin.{place_of_use}.commands.load_encoder", lambda *_, **__: Words())
    for variable, value in place.environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.delenv("SORCE_API_KEY", raising=False)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, catch_exceptions=False, standalone_mode=False)


def found(result: Result) -> Any:
    return json.loads(result.stdout)


def hits_of(result: Result) -> Any:
    return found(result)["hits"]


def test_importing_the_commands_does_not_import_torch() -> None:
    rooms = ", ".join(f"sorce.plugin.{room}.commands" for room in ("cluster", "query", "service"))
    code = f"import sys, {rooms}; sys.exit('torch' in sys.modules or 'fastapi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_list_of_indices_asks_for_none_of_opensearch_itself(place: Place, installed: str) -> None:
    """Of those that ML Commons makes, the client would print a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert installed in [each.name for each in sorce.indices(url=place.url, access=place.access)]


def test_search_prints_a_table(client: OpenSearch, index: str) -> None:
    hits = ClientSearch(client, index, lambda _: Words()).search(SearchRequest(["a kite"], size=3, boxes=2))
    said = run("search", "--index", index, "a kite", "--size", "3", "--boxes", "2").stdout
    assert said == table(hits, ["a kite"]) + "\n"
    lines = said.splitlines()
    assert lines[0].split() == ["rank", "score", "similarity", "quality", "region", "box", "kind", "area", "photo"]
    first = hits[0].matches[0][0]
    box = ",".join(f"{side:.0f}" for side in first.box.as_tuple())
    assert lines[1].split() == [
        "1",
        f"{hits[0].score:.4f}",
        f"{first.similarity:.4f}",
        f"{first.quality:.2f}",
        f"{hits[0].photo_id[:8]}/{first.region_id}",
        box,
        first.kind,
        f"{first.area:.2%}",
        f"{hits[0].folder}/{hits[0].file_name}",
    ]


def test_search_prints_json_and_takes_every_option(index: str) -> None:
    words = "--and|sea|--not|a dog|--size|4|--boxes|2|--kind|tile|--min-area|0.002|--max-area|0.005|--min-quality|0.1"
    more = "--folder|/a|--camera|Canon|--since|2026-01-01|--until|2026-12-31|--where|aisle>=1|--min-similarity|-0.5"
    last = "--exclude-folder|/a/none|--exclude-folder|/z"
    last += "|--from|0|--fold|0.99|--k|150|--ef-search|200|--exact|--rank|similarity|--max-k|200|--debias|0"
    result = run("search", "a kite", "--index", index, "--json", *f"{words}|{more}|{last}".split("|"))
    assert [hit["rank"] for hit in hits_of(result)] == [1, 2, 3, 4]
    assert all(len(hit["matches"]) == 2 for hit in hits_of(result))


def test_server_and_client_print_the_same(installed: str) -> None:
    asked = ["search", "a kite", "--and", "sea", "--not", "a dog", "--index", installed, "--json"]
    assert found(run(*asked, "--server")) == found(run(*asked, "--client")) == found(run(*asked))


@pytest.mark.parametrize(
    ("given", "said"), [(["--rank", "product"], "have no quality"), (["--debias", "1"], "made without hubness")]
)
def test_what_the_index_cannot_be_ranked_by_is_a_sentence(index: str, given: list[str], said: str) -> None:
    with pytest.raises(QueryError, match=said):
        run("search", "a kite", "--index", index, *given)


def test_nothing_found_is_said(index: str) -> None:
    result = run("search", "a kite", "--index", index, "--min-similarity", "0.9999")
    assert result.stdout == "nothing found.\n"
    assert "similarity of 0.9999 or more; lower --min-similarity" in result.stderr


def test_search_saves_pictures(index: str, tmp_path: Path) -> None:
    result = run("search", "a kite", "--index", index, "--size", "2", "--save", str(tmp_path / "out"))
    assert f"drawn: {tmp_path / 'out' / 'sheet.jpg'}" in result.stdout
    assert len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.fault("6.8.1")
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_photos_that_are_not_there_are_said_and_the_command_ends_with_3(
    index: str, form: list[str], tmp_path: Path
) -> None:
    result = run("search", "a kite", "--index", index, "--size", "2", "--save", str(tmp_path / "out"), *form)
    assert result.return_value == 3
    assert "2 of 2 photos could not be opened and are grey: " in result.stderr


def test_json_stays_json_where_pictures_are_saved(index: str, tmp_path: Path) -> None:
    assert found(run("search", "a kite", "--index", index, "--size", "2", "--json", "--save", str(tmp_path)))


def test_exports_are_written_whole_beside_the_table(index: str, tmp_path: Path) -> None:
    (tmp_path / "hits.csv").write_text("old")
    asked = ["search", "a kite", "--index", index, "--size", "3", "--boxes", "2"]
    files = ["--export", f"csv:{tmp_path / 'hits.csv'}", "--export", f"coco:{tmp_path / 'labels.json'}"]
    result = run(*asked, *files)
    assert result.stdout == run(*asked).stdout
    assert result.stderr.splitlines() == [f"written: {tmp_path / name}" for name in ("hits.csv", "labels.json")]
    matches = [match for hit in hits_of(run(*asked, "--json")) for match in hit["matches"][0]]
    with (tmp_path / "hits.csv").open(newline="") as file:
        assert [int(row["region_id"]) for row in csv.DictReader(file)] == [each["region_id"] for each in matches]
    assert [each["region_id"] for each in json.loads((tmp_path / "labels.json").read_text())["annotations"]] == [
        each["region_id"] for each in matches
    ]
    assert len(list(tmp_path.iterdir())) == 2


def test_photos_that_a_zip_lacks_are_said_and_the_command_ends_with_3(index: str, tmp_path: Path) -> None:
    file = tmp_path / "hits.zip"
    asked = ["search", "a kite", "--index", index, "--size", "4", "--export", f"zip:{file}"]
    result = run(*asked, "--root", str(tmp_path))
    assert result.return_value == 3
    assert f"4 photos are not in {file}: " in result.stderr
    assert "is said to lie outside the root; and 1 more." in result.stderr
    with zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["coco.json", "hits.json"]
    with pytest.raises(UsageError, match="with --root"):
        run(*asked)


@pytest.mark.parametrize(
    ("given", "said"),
    [("xml:a.xml", "write FORMAT:FILE, with one of json, csv"), ("coco", "write FORMAT:FILE"), ("csv:", "FORMAT:FILE")],
)
def test_an_export_that_is_not_understood_is_a_sentence(given: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        run("search", "a kite", "--export", given)


def test_a_file_that_cannot_be_written_is_a_sentence(index: str, tmp_path: Path) -> None:
    with pytest.raises(SorceError, match=r"cannot be written \(No such file or directory\); name another"):
        run("search", "a kite", "--index", index, "--export", f"json:{tmp_path / 'none' / 'hits.json'}")


def test_install_status_uninstall(client: OpenSearch, corpus: Corpus, encoder_url: str) -> None:
    # Other tests use what is installed for `index`.
    with indexed(client, corpus) as index:
        assert "sorce search --index" in run("plugin", "install", "--index", index, "--encoder", encoder_url).stdout
        try:
            good = run("plugin", "status", "--index", index)
            assert good.return_value == 0
            assert all(line.startswith("ok") for line in good.stdout.splitlines())
        finally:
            assert "is removed; the index itself is kept." in run("plugin", "uninstall", "--index", index).stdout
        with pytest.raises(PluginError, match="nothing is installed in the cluster"):
            run("plugin", "status", "--index", index, "--json")


def test_hits_as_json_can_be_read_back(client: OpenSearch, index: str) -> None:
    asked = SearchRequest(["a kite"], size=2)
    hits = ClientSearch(client, index, lambda _: Words()).search(asked)
    assert json.loads(json.dumps(as_json(hits, asked))) == as_json(hits, asked)
