"""The next picture is opened while the one before is in use."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event

import pytest
from PIL import Image

from sorce.errors import BadPhoto
from sorce.mappings import Picture
from sorce.pictures.ahead import opened_ahead

SOON = 30


def picture(name: str) -> Picture:
    if name.startswith("bad"):
        raise BadPhoto(f"is {name}")
    return Picture(Image.new("RGB", (1, 1)), name)


def test_there_is_one_answer_for_each_item_in_their_order() -> None:
    with opened_ahead(["a", "bad 1", "b", "bad 2"], picture) as pictures:
        assert [str(it) if isinstance(it, BadPhoto) else it.name for it in pictures] == [
            "a",
            "is bad 1",
            "b",
            "is bad 2",
        ]


def test_of_nothing_nothing_is_opened() -> None:
    with opened_ahead([], picture) as pictures:
        assert list(pictures) == []


def test_the_next_is_opened_while_one_is_in_use_and_no_more() -> None:
    taken, started = list[str](), {name: Event() for name in "abc"}

    def items() -> Iterator[str]:
        for name in "abc":
            taken.append(name)
            yield name

    def opens(name: str) -> Picture:
        started[name].set()
        return picture(name)

    with opened_ahead(items(), opens) as pictures:
        next(pictures)
        assert started["b"].wait(SOON)
        assert taken == ["a", "b"]
        next(pictures)
        assert started["c"].wait(SOON)


def test_a_block_that_ends_early_waits_for_what_is_being_opened() -> None:
    started, may_end, ended = Event(), Event(), Event()

    def opens(name: str) -> Picture:
        if name == "b":
            started.set()
            assert may_end.wait(SOON)
            ended.set()
        return picture(name)

    with opened_ahead("abc", opens) as pictures:
        next(pictures)
        assert started.wait(SOON)
        may_end.set()
    assert ended.is_set()


def test_another_error_is_raised_where_its_picture_is_taken() -> None:
    def opens(name: str) -> Picture:
        if name == "b":
            raise KeyError(name)
        return picture(name)

    with opened_ahead("abc", opens) as pictures:
        assert not isinstance(next(pictures), BadPhoto)
        with pytest.raises(KeyError):
            next(pictures)
