"""Conditions as clauses on the regions. tests/plugin tests on the engine that they find the right photos."""

from __future__ import annotations

import pytest

from sorce.errors import QueryError
from sorce.mappings.filters import Filter
from sorce.mappings.limits import MAX_KEYWORD_LETTERS
from sorce.pictures import keywords


def test_no_condition_is_no_clause() -> None:
    assert Filter().clauses({}) == []


def test_every_clause_is_on_the_regions() -> None:
    days = {"since": "2026-01-01", "until": "2026-12-31"}
    where = ["x=1", "y>=2", "z<=3"]
    every = Filter(["tile"], 0.1, 0.2, 0.5, "/a", ["/a/b"], "Canon", **days, where=where)
    assert str(every.clauses({})).count("regions.") == 12
    assert len(every.clauses({})) == 10


def test_a_folder_takes_in_those_below_and_no_neighbour() -> None:
    [clause] = Filter(folder="a/b/").clauses({})
    assert clause["bool"]["should"] == [{"term": {"regions.folder": "a/b"}}, {"prefix": {"regions.folder": "a/b/"}}]


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("shop=north", {"term": {"regions.attributes.shop": "north"}}),
        ("aisle>=3", {"range": {"regions.attributes.aisle": {"gte": "3"}}}),
        ("day<=2026-01-31", {"range": {"regions.attributes.day": {"lte": "2026-01-31"}}}),
        ("note=a=b>=c", {"term": {"regions.attributes.note": "a=b>=c"}}),
        ("note=", {"term": {"regions.attributes.note": ""}}),
    ],
)
def test_conditions_on_attributes(text: str, clause: dict) -> None:
    assert Filter(where=[text]).clauses({}) == [clause]


@pytest.mark.parametrize("text", ["", "shop", "=x", ">=3", "a>3"])
def test_a_condition_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(QueryError, match="write key=value"):
        Filter(where=[text])


@pytest.mark.fault("6.6.3")
def test_a_folder_is_found_in_either_unicode_form() -> None:
    composed, decomposed = "M\u00fcller \u00dcbung", "Mu\u0308ller U\u0308bung"
    for typed in (composed, decomposed):
        [clause] = Filter(folder=typed).clauses({})
        terms = {way["term"]["regions.folder"] for way in clause["bool"]["should"] if "term" in way}
        assert terms == {composed, decomposed}


@pytest.mark.fault("6.s.31")
def test_an_attribute_is_found_in_either_unicode_form() -> None:
    [clause] = Filter(where="city=Z\u00fcrich").clauses({})
    assert clause == {"terms": {"regions.attributes.city": ["Z\u00fcrich", "Zu\u0308rich"]}}


@pytest.mark.fault("5.s.11")
def test_a_keyword_longer_than_what_is_kept_is_found() -> None:
    """Photos keep its first letters, and it would be "not found" otherwise."""
    assert MAX_KEYWORD_LETTERS == keywords.MAX_LETTERS
    word = "e\u0301" * 100
    [condition] = Filter(keywords=word).conditions({})
    [kept] = keywords._kept([word])
    assert condition.clause == {"term": {"regions.keywords": kept}}
    assert len(kept) == MAX_KEYWORD_LETTERS
