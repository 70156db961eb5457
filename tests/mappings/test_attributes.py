"""Attributes that a user may give a photo."""

from __future__ import annotations

from datetime import datetime

import pytest

from sorce.errors import SorceError
from sorce.mappings import Attribute
from sorce.mappings.index import parse_attribute


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("site=oslo=2", "site", "oslo=2"),
        ("shelf:int=-9223372036854775808", "shelf", -(2**63)),
        ("weight:float=2.5", "weight", 2.5),
        ("day:date=2026-01-31", "day", datetime(2026, 1, 31)),
    ],
)
def test_an_attribute_has_the_type_that_is_said(text: str, key: str, value: Attribute) -> None:
    assert parse_attribute(text) == (key, value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("shelf:int=three", "'shelf:int=three' is not understood; write key=value, "),
        ("site=\udce9t\udce9", r"'site=\udce9t\udce9' is not UTF-8; write it in UTF-8."),
        ("\udce9=1", r"'\udce9=1' is not understood; write key=value, "),
        ("n:int=9223372036854775808", "'n:int=9223372036854775808' does not fit into 64 bits; write it as key=value,"),
        ("n:int=-9223372036854775809", "'n:int=-9223372036854775809' does not fit into 64 bits; "),
        *(
            (f"x:float={word}", f"'x:float={word}' is not a finite number; leave it out")
            for word in ("nan", "-inf", "1e999")
        ),
    ],
)
def test_what_no_index_can_hold_is_refused(text: str, said: str) -> None:
    with pytest.raises(SorceError) as refused:
        parse_attribute(text)
    assert str(refused.value).startswith(f"attribute {said}")
