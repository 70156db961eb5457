"""A typo is not "nothing found": existing names are listed, and an empty answer says which condition caused it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from opensearchpy import OpenSearch

from sorce.cli import sorce as command
from sorce.errors import QueryError
from sorce.mappings.filters import Filter
from sorce.plugin import ClientSearch, SearchRequest
from tests.kit.corpus import Words
from tests.kit.place import Place


def found(client: OpenSearch, index: str, **conditions: Any) -> Any:
    request = SearchRequest("a kite", filter=Filter(**conditions))
    return ClientSearch(client, index, lambda _: Words()).search(request)


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        pytest.param(
            {"where": "colour=red"}, "no attribute 'colour'; it has aisle, shop", marks=pytest.mark.fault("5.1.1")
        ),
        pytest.param({"where": "shop>=3"}, "'shop' is text, so >= cannot compare it", marks=pytest.mark.fault("5.1.6")),
        pytest.param(
            {"where": "aisle=red"}, "'aisle' holds whole numbers; 'red' is not", marks=pytest.mark.fault("5.s.1")
        ),
        # Python reads these as 1000 and 3; OpenSearch does not.
        pytest.param({"where": "aisle>=1_000"}, "'1_000' is not one", marks=pytest.mark.fault("5.s.13")),
        pytest.param({"where": "aisle= 3"}, "' 3' is not one", marks=pytest.mark.fault("5.s.13")),
        pytest.param({"where": "aisle<=x"}, "'aisle' holds whole numbers", marks=pytest.mark.fault("5.s.1")),
    ],
)
def test_a_condition_on_attributes_is_checked_against_the_index(
    client: OpenSearch, index: str, conditions: dict[str, Any], said: str
) -> None:
    with pytest.raises(QueryError, match=said):
        found(client, index, **conditions)


@pytest.mark.fault("5.s.14")
@pytest.mark.parametrize("value", ["20260131", "2026-W05", "2026-01-31 10:00", "2026-01-31T1000", "1700000000000"])
def test_a_date_that_opensearch_would_read_otherwise_is_refused(value: str) -> None:
    """20260131 are milliseconds for OpenSearch: every photo would be later than that."""
    regions = {"attributes": {"properties": {"sold": {"type": "date"}}}}
    with pytest.raises(QueryError, match=r"'sold' holds dates, as in 2026-01-31 or 2026-01-31T10:00Z; .* is not one"):
        Filter(where=f"sold>={value}").check(regions, "photos")
    for right in ("2026-01-31", "2026-01-31T10:00Z", "2026-01-31T10:00:00.123+05:30"):
        Filter(where=f"sold>={right}").check(regions, "photos")


@pytest.mark.fault("5.s.15")
def test_an_empty_later_page_says_which_condition_emptied_it(client: OpenSearch, index: str) -> None:
    search = ClientSearch(client, index, lambda _: Words())
    [note] = search.search(SearchRequest("a kite", start=10, filter=Filter(camera="Leica"))).notes
    assert "condition: camera Leica" in note
    [note] = search.search(SearchRequest("a kite", start=140, filter=Filter(camera="Canon"))).notes
    assert note == "no photo is left after the first 140."


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        pytest.param(
            {"folder": "aerial"}, r"condition: folder aerial \(folders there: '/a", marks=pytest.mark.fault("5.1.3")
        ),
        pytest.param(
            {"kinds": "object"},
            r"condition: kind object \(kinds there: 'tile', 'whole'\)",
            marks=pytest.mark.fault("5.s.2"),
        ),
        pytest.param({"camera": "Leica"}, "condition: camera Leica", marks=pytest.mark.fault("5.s.3")),
        pytest.param({"since": "2027-01-01"}, "condition: day at least 2027-01-01", marks=pytest.mark.fault("5.s.3")),
        pytest.param(
            {"where": ["aisle=1", "aisle=2"]},
            "together: where aisle=1; where aisle=2",
            marks=pytest.mark.fault("5.s.4"),
        ),
    ],
)
def test_an_empty_answer_says_which_condition_emptied_it(
    client: OpenSearch, index: str, conditions: dict[str, Any], said: str
) -> None:
    hits = found(client, index, **conditions)
    assert not hits
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(hits.notes[0])


@pytest.mark.parametrize(
    ("made", "said"),
    [
        pytest.param(
            lambda: Filter(kinds="blob"), "does not exist; choose from whole, tile", marks=pytest.mark.fault("5.1.2")
        ),
        pytest.param(lambda: SearchRequest("a", min_similarity=2), "choose -1 to 1", marks=pytest.mark.fault("5.1.4")),
        pytest.param(lambda: Filter(max_area=3), "max_area is 3, .*choose 0 to 1", marks=pytest.mark.fault("5.1.5")),
        pytest.param(lambda: Filter(since="yesterday"), "write a day as YYYY-MM-DD", marks=pytest.mark.fault("5.1.7")),
        pytest.param(lambda: Filter(until="2026-02-30"), "write a day", marks=pytest.mark.fault("5.s.5")),
        pytest.param(
            lambda: Filter(min_quality=float("nan")), "nan, which is out of range", marks=pytest.mark.fault("5.s.6")
        ),
        pytest.param(
            lambda: Filter(min_area=0.2, max_area=0.1), "nothing lies between", marks=pytest.mark.fault("5.s.7")
        ),
        pytest.param(
            lambda: Filter(since="2026-02-01", until="2026-01-01"), "nothing lies", marks=pytest.mark.fault("5.s.7")
        ),
        pytest.param(
            lambda: SearchRequest("a", size="10"), "size is '10'; give a whole", marks=pytest.mark.fault("5.s.8")
        ),
        pytest.param(lambda: SearchRequest("a", exact="false"), "give True or False", marks=pytest.mark.fault("5.s.8")),
        pytest.param(lambda: SearchRequest("a", boxes=0), "boxes is 0, .* 1 to 100", marks=pytest.mark.fault("5.s.8")),
        pytest.param(
            lambda: SearchRequest("a", filter={"kind": 1}), "give a sorce.Filter", marks=pytest.mark.fault("5.s.8")
        ),
        pytest.param(lambda: SearchRequest([1]), "give texts", marks=pytest.mark.fault("5.s.8")),
        pytest.param(lambda: SearchRequest(5), "phrases is 5; give a text", marks=pytest.mark.fault("5.s.16")),
        pytest.param(lambda: SearchRequest({"a": 1}), "phrases is {'a': 1}", marks=pytest.mark.fault("5.s.16")),
        pytest.param(lambda: Filter(kinds=5), "kinds is 5; give a text", marks=pytest.mark.fault("5.s.16")),
        pytest.param(lambda: Filter(where={"a": 1}), "where is {'a': 1}; give", marks=pytest.mark.fault("5.s.16")),
    ],
)
def test_what_cannot_be_is_out_of_range(made: Callable[[], Any], said: str) -> None:
    with pytest.raises(QueryError, match=said):
        made()


@pytest.mark.fault("5.3.1", "5.3.2", "5.3.3", "5.3.4")
def test_a_text_where_a_list_is_meant_is_a_list_of_one() -> None:
    request = SearchRequest("kite", "dog", filter=Filter(kinds="tile", where="a=b"))
    assert (request.phrases, request.nots) == (("kite",), ("dog",))
    assert (request.filter.kinds, request.filter.where) == (("tile",), ("a=b",))


def test_nothing_is_an_empty_list() -> None:
    assert Filter(kinds=None, where=None, exclude_folder=None) == Filter()


@pytest.fixture
def _environment(monkeypatch: pytest.MonkeyPatch, place: Place) -> None:
    monkeypatch.setattr("sorce.plugin.query.commands.load_encoder", lambda *_, **__: Words())
    for variable, value in place.environment.items():
        monkeypatch.setenv(variable, value)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(command, ["search", *arguments], catch_exceptions=False)


@pytest.mark.fault("12.3.5")
@pytest.mark.usefixtures("_environment")
def test_with_several_phrases_the_table_says_which_box_is_which(index: str) -> None:
    lines = run("a kite", "--and", "the sea", "--index", index, "--size", "1").stdout.splitlines()
    assert lines[0].split()[:4] == ["rank", "score", "phrase", "similarity"]
    assert (lines[1].split()[2], lines[2].split()[0]) == ("a", "b")
    assert lines[3:] == ["a: a kite", "b: the sea"]


@pytest.mark.fault("12.4.1")
@pytest.mark.parametrize("words", [["-h"], ["search", "-h"], ["ingest", "-h"], ["plugin", "role", "-h"]])
def test_h_is_help_everywhere(words: list[str]) -> None:
    # In a process of its own: click remembers the name of a command's help option from its first call.
    run = [sys.executable, "-c", "from sorce.cli import main; main()", *words]
    assert "-h, --help" in subprocess.run(run, check=True, capture_output=True, text=True).stdout


@pytest.mark.fault("12.4.2")
def test_a_text_without_quotes_is_told_how_to_quote() -> None:
    result = run("a", "kite")
    assert result.exit_code == 2
    assert 'write it in quotes: "a kite"' in result.stderr


@pytest.mark.fault("12.1.2")
@pytest.mark.usefixtures("_environment")
def test_every_search_by_mini_says_what_it_knows(index: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "pictograms" not in run("a kite", "--index", index).stderr
    monkeypatch.setattr("sorce.models.notes.MINI", "words")
    assert "pictograms only" in run("a kite", "--index", index).stderr
