"""Answers of a localiser that is not ours."""

from __future__ import annotations

from typing import Any

import pytest

from sorce.errors import QueryError
from sorce.plugin.query.server_locating import ServerStage, split_answer

BOX = [1, 2, 3, 4]
LOCATED = {"box": BOX, "score": 0.5, "steps": [], "instances": []}
RIGHT = {"score": 0.5, "box": BOX, "rank": 1, "located": [LOCATED]}


def answer(located: Any) -> dict[str, Any]:
    """Two hits, ordered by the localiser: the index had them the other way round."""
    hits = [
        {"_score": 9.0, "fields": {"photo_id": ["b"]}, "_source": {"located": located, "previous_score": 1.2}},
        {"_score": 8.0, "fields": {"photo_id": ["a"]}, "_source": {"located": located, "previous_score": 1.7}},
    ]
    return {"hits": {"hits": hits}}


@pytest.mark.parametrize(
    "located",
    [
        {"score": 0.5, "box": BOX, "located": [LOCATED]},
        {"score": 0.5, "box": BOX, "rank": 1},
        {**RIGHT, "rank": float("inf")},
        {**RIGHT, "located": [{**LOCATED, "box": ["left", "top", "right", "low"]}]},
        {**RIGHT, "located": 5},
        [],
    ],
)
def test_a_half_right_answer_leaves_the_order_and_the_scores_of_the_index(located: Any) -> None:
    plain, seen = split_answer(answer(located))
    assert seen is None
    assert [(hit["fields"]["photo_id"], hit["_score"]) for hit in plain["hits"]["hits"]] == [(["a"], 1.7), (["b"], 1.2)]


def test_numbers_of_a_box_may_be_texts() -> None:
    _, seen = split_answer(answer({**RIGHT, "located": [{**LOCATED, "box": ["1", "2", "3", "4"]}]}))
    assert seen is not None
    found, _ = seen["a"]
    assert found is not None
    assert found.located[0].box.as_tuple() == (1.0, 2.0, 3.0, 4.0)


@pytest.mark.parametrize("least", [-0.1, 1.1, float("nan")])
def test_a_least_score_that_is_none_is_refused(least: float) -> None:
    with pytest.raises(QueryError, match="min_located_score"):
        ServerStage(5, least)
