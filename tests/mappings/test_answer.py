"""Which boxes of a photo are shown."""

from __future__ import annotations

from sorce.mappings import Box, Match
from sorce.mappings.answer import non_max_suppression
from sorce.mappings.request import boxes_to_fetch


def match(number: int, *box: float) -> Match:
    return Match(number, Box(*box), "tile", 0.1, 1.0, 1 - number / 10)


def test_boxes_that_overlap_a_better_one_are_left_out() -> None:
    best, on_it, inside, apart_from_it = (
        match(0, 0, 0, 10, 10),
        match(1, 1, 0, 11, 10),
        match(2, 0, 0, 4, 10),
        match(3, 20, 0, 30, 10),
    )
    assert non_max_suppression([best, on_it, inside, apart_from_it], 4) == [best, inside, apart_from_it]


def test_what_overlaps_one_left_out_may_stay() -> None:
    first, second, third = match(0, 0, 0, 10, 10), match(1, 3, 0, 13, 10), match(2, 6, 0, 16, 10)
    assert non_max_suppression([first, second, third], 3) == [first, third]


def test_no_more_than_asked_for() -> None:
    assert non_max_suppression((match(i, 20 * i, 0, 20 * i + 10, 10) for i in range(5)), 2) == [
        match(0, 0, 0, 10, 10),
        match(1, 20, 0, 30, 10),
    ]


def test_more_are_fetched_than_shown_since_some_overlap() -> None:
    assert [boxes_to_fetch(boxes) for boxes in (1, 2, 25, 100, 500)] == [1, 8, 100, 100, 100]
