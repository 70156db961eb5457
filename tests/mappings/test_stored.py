"""A photo that is read back: anyone who may write to the index decides what its document holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sorce.mappings.stored import read_stored

Document = dict[str, Any]


def whole() -> Document:
    sides = {"x1": 0, "y1": 0, "x2": 40, "y2": 30}
    texts = {name: name for name in ("photo_id", "uri", "file_name", "folder", "content_hash")}
    region = {"id": 0, "kind": "whole", "area": 1.0, "quality": 1.0, **sides}
    return {**texts, "width": 40, "height": 30, "bytes": 9, "regions": [region]}


def answered(body: Document) -> Document:
    return {"hits": {"hits": [{"_source": body}]}}


@pytest.mark.fault("4.s.10")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda body: body.update(uri=["file:///a", "file:///b"]), "its uri is .*, which is not text"),
        (lambda body: body.update(photo_id=5), "its photo_id is 5, which is not text"),
        (lambda body: body.update(camera=["a"]), "its camera is"),
        (lambda body: body["regions"][0].update(kind=["a"]), "its kind is"),
        (lambda body: body.update(width=[1, 2]), "TypeError"),
        (lambda body: body.pop("folder"), "KeyError"),
    ],
)
def test_a_document_with_values_of_other_types_is_malformed(change: Callable[[Document], Any], said: str) -> None:
    body = whole()
    assert read_stored(answered(body)) is not None
    change(body)
    with pytest.raises(ValueError, match=said):
        read_stored(answered(body))


@pytest.mark.fault("4.s.11")
def test_a_single_keyword_is_a_list_of_one_and_null_is_nothing() -> None:
    """As OpenSearch takes them; a single one must not be split into its letters."""
    found = read_stored(answered({**whole(), "keywords": "kite", "attributes": None, "camera": None}))
    assert found is not None
    assert (found.keywords, found.attributes, found.camera) == (("kite",), {}, None)
