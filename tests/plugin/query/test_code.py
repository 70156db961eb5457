"""A search as code: each form is run, and gives the hits of the search that it was made from."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from opensearchpy import OpenSearch
from PIL import Image

import sorce
from sorce.cli import sorce as command
from sorce.mappings import Hits
from sorce.mappings.example import LikePicture, LikeRegion, LikeVector
from sorce.mappings.filters import Filter
from sorce.plugin import ClientSearch, SearchRequest
from sorce.plugin.query.code import search_code
from tests.kit.corpus import Words
from tests.kit.place import Place

KITE = LikeRegion(f"{7:032x}", 3)

# Quotes, a dollar and a line's end must reach the cluster as they are.
TEXT = 'a "kite" of Ann\'s, $HOME `pwd`\nEND'

REQUESTS = {
    "a text": SearchRequest("a kite"),
    "a text of all signs": SearchRequest(TEXT, size=3),
    "an option": SearchRequest("--json", size=4),
    "all": SearchRequest(
        ["a kite", "sea"],
        ["a dog"],
        start=2,
        size=5,
        boxes=2,
        min_similarity=-0.5,
        ef_search=200,
        k=150,
        exact=True,
        fold=None,
        filter=Filter(
            kinds=["tile"], max_area=0.005, exclude_folder=["/a/none", "/z"], since="2026-02-01", where=["aisle>=1"]
        ),
    ),
}
EXAMPLES = {
    "a region": SearchRequest("a kite", like=KITE, size=4),
    "a picture": SearchRequest(like=LikePicture(Image.new("RGB", (40, 20), "red"), sorce.Box(0, 0, 20, 20), "red.png")),
    "not like a picture": SearchRequest(
        "a kite", "a dog", not_like=LikePicture(Image.new("RGB", (40, 20), "red"), sorce.Box(0, 0, 20, 20), "red.png")
    ),
    "not like a region": SearchRequest("sea", not_like=KITE),
}
VECTOR = SearchRequest(like=LikeVector([float(number) for number in range(16)]), size=3)


@pytest.fixture(autouse=True)
def _words(monkeypatch: pytest.MonkeyPatch, place: Place) -> None:
    for module in ("sorce.index", "sorce.plugin.query.commands"):
        monkeypatch.setattr(f"{module}.load_encoder", lambda *_, **__: Words())
    for variable, value in place.environment.items():
        monkeypatch.setenv(variable, value)


@pytest.fixture
def searcher(client: OpenSearch, installed: str) -> ClientSearch:
    return ClientSearch(client, installed, lambda _: Words())


def shown(hits: Hits) -> list[tuple[str, int]]:
    return [(hit.photo_id, hit.best.region_id) for hit in hits]


def by_curl(code: str, place: Place, home: Path) -> list[tuple[str, int]]:
    """What a shell prints, read as any client reads it: curl has the user and the certificate authority in its file."""
    given = place.access
    lines = (
        [] if given.username is None else [f'user = "{given.username}:{given.password}"', f'cacert = "{given.ca_file}"']
    )
    (home / ".curlrc").write_text("\n".join([*lines, "fail-with-body"]))
    environment = {**os.environ, "CURL_HOME": str(home), "OPENSEARCH_URL": place.url}
    said = subprocess.run(["bash", "-c", code], env=environment, capture_output=True, text=True, check=True).stdout
    return [_best(hit) for hit in json.loads(said)["hits"]["hits"]]


def _best(hit: Mapping[str, Any]) -> tuple[str, int]:
    [first, *_] = hit["inner_hits"]["p0"]["hits"]["hits"]
    return hit["_id"], int(first["fields"]["regions.id"][0])


def by_python(code: str) -> list[tuple[str, int]]:
    with redirect_stdout(StringIO()) as said:
        exec(compile(code, "pasted", "exec"), {})
    rows = [line.split() for line in said.getvalue().splitlines()]
    return [(row[0], int(row[1])) for row in rows]


def by_command(code: str) -> list[tuple[str, int]]:
    name, *arguments = shlex.split(code)
    assert name == "sorce"
    # Before the text, which may stand after `--`.
    result = CliRunner().invoke(command, [arguments[0], "--json", *arguments[1:]], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return [(hit["photo_id"], hit["matches"][0][0]["region_id"]) for hit in json.loads(result.stdout)["hits"]]


@pytest.mark.parametrize("name", REQUESTS)
def test_each_form_gives_the_same_hits(searcher: ClientSearch, place: Place, tmp_path: Path, name: str) -> None:
    code, wanted = search_code(REQUESTS[name], searcher), shown(searcher.search(REQUESTS[name]))
    assert wanted
    assert by_curl(code.curl, place, tmp_path) == wanted
    assert by_curl(code.template, place, tmp_path) == wanted
    assert by_python(code.python) == wanted
    assert by_command(code.command) == wanted


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_pasted_too(
    searcher: ClientSearch, place: Place, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 20), "red").save("red.png")
    code, wanted = search_code(EXAMPLES[name], searcher), shown(searcher.search(EXAMPLES[name]))
    assert by_curl(code.curl, place, tmp_path) == wanted
    assert by_python(code.python) == wanted
    assert by_command(code.command) == wanted
    assert code.template == "# the cluster encodes texts only; search by an example with --client.\n"


def test_a_vector_is_pasted_where_it_can_be(searcher: ClientSearch, place: Place, tmp_path: Path) -> None:
    code, wanted = search_code(VECTOR, searcher), shown(searcher.search(VECTOR))
    assert by_curl(code.curl, place, tmp_path) == by_python(code.python) == wanted
    assert code.command.startswith("# the command takes one picture")


def test_the_shortest_code_is_what_a_person_would_write(searcher: ClientSearch) -> None:
    index, code = searcher.found.asked, search_code(SearchRequest("a kite"), searcher)
    assert code.command == f"sorce search --index {index} 'a kite'\n"
    assert "photos.search('a kite')\n" in code.python
    located = search_code(SearchRequest("a kite"), searcher, locate=5)
    assert located.command == f"sorce search --index {index} --locate 5 --root . 'a kite'\n"
    assert "photos.search('a kite', locate=5, root=Path(\".\"))" in located.python
    assert set(code.as_dict()) == {"curl", "python", "template", "command"}
