"""Properties that hold for all boxes, recipes and conditions."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorce.errors import QueryError, RecipeMismatch
from sorce.mappings import Box, Recipe
from sorce.mappings.answer import TOO_ALIKE, non_max_suppression
from sorce.mappings.conditions import spellings
from sorce.mappings.filters import Filter
from sorce.mappings.hits import Match
from sorce.mappings.recipe import refuse_mismatch
from tests.kit.examples import examples

WIDTH, HEIGHT = 4000, 3000


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    """Inside of a photo, at least a hundredth of a pixel large."""
    x1, y1 = draw(st.floats(0, WIDTH - 1)), draw(st.floats(0, HEIGHT - 1))
    return Box(x1, y1, draw(st.floats(x1 + 0.01, WIDTH)), draw(st.floats(y1 + 0.01, HEIGHT)))


@examples(300)
@given(boxes(), boxes())
def test_overlap_is_a_share_the_same_both_ways_and_all_of_oneself(one: Box, other: Box) -> None:
    assert 0 <= one.iou(other) <= 1 + 1e-9
    assert one.iou(other) == pytest.approx(other.iou(one))
    assert one.iou(one) == pytest.approx(1)
    assert one.iou(other) <= min(one.area, other.area) / max(one.area, other.area) + 1e-9
    assert 0 < one.share_of(WIDTH, HEIGHT) <= 1 + 1e-9


@examples(200)
@given(*[st.floats(allow_nan=True, allow_infinity=True)] * 4)
def test_a_box_has_an_area_or_is_none(x1: float, y1: float, x2: float, y2: float) -> None:
    if x1 < x2 and y1 < y2:
        Box(x1, y1, x2, y2)
    else:
        with pytest.raises(ValueError, match="no area"):
            Box(x1, y1, x2, y2)


@examples(200)
@given(st.lists(boxes(), min_size=1, max_size=15), st.integers(1, 6))
def test_of_boxes_that_overlap_the_better_is_shown(found: list[Box], most: int) -> None:
    matches = [Match(i, box, "tile", box.share_of(WIDTH, HEIGHT), 1, -i / 100) for i, box in enumerate(found)]
    kept = non_max_suppression(matches, most)
    assert kept[0] is matches[0]
    assert kept == sorted(kept, key=lambda match: match.region_id)
    assert all(one.box.iou(other.box) < TOO_ALIKE for one, other in combinations(kept, 2))
    # A box is left out only if a better one is shown in its place.
    for match in matches[: kept[-1].region_id if len(kept) == most else None]:
        assert any(match is better or match.box.iou(better.box) >= TOO_ALIKE for better in kept)


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.floats(allow_nan=False, allow_infinity=False)
plain = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | numbers | words
recipes = st.builds(
    Recipe,
    model=words,
    revision=words,
    regions=st.sampled_from(["whole", "tiles", "objects", "prompts", "clusters", "objembed"]),
    dimension=st.integers(1, 16_000),
    backend=words,
    parameters=st.dictionaries(words, plain, max_size=4),
    prompts=st.dictionaries(words, words, max_size=3),
    matching=st.just({}) | st.fixed_dictionaries({"scale": numbers, "bias": numbers}),
    bank=st.dictionaries(words, plain, max_size=2),
)


@examples(150)
@given(recipes)
def test_a_recipe_comes_back_from_its_index_as_it_was(recipe: Recipe) -> None:
    meta = json.loads(json.dumps({"sorce": {"recipe": recipe.to_meta()}}))
    back = Recipe.from_meta(meta, "photos")
    assert (back, back.bank) == (recipe, recipe.bank)
    refuse_mismatch("photos", back, recipe)


CHANGES: dict[str, Any] = {
    "model": words,
    "revision": words,
    "regions": words,
    "dimension": st.integers(1, 16_000),
    "backend": words,
    "parameters": st.dictionaries(words, plain, max_size=4),
    "prompts": st.dictionaries(words, words, max_size=3),
    "matching": st.dictionaries(st.sampled_from(["scale", "bias"]), numbers),
}


@examples(200)
@given(recipes, st.data())
def test_another_recipe_is_refused_and_what_differs_is_named(recipe: Recipe, data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(CHANGES)), min_size=1, max_size=3, unique=True))
    other = replace(recipe, **{name: data.draw(CHANGES[name]) for name in names})
    changed = {name for name in names if getattr(recipe, name) != getattr(other, name)}
    named = {difference.split(":")[0] for difference in recipe.differences(other)}
    assert named - {"bank"} == changed
    assert (recipe == other) is (other == recipe) is (not changed)
    if changed:
        with pytest.raises(RecipeMismatch) as refused:
            refuse_mismatch("photos", recipe, other)
        assert all(f"{name}: " in str(refused.value) for name in changed)
    else:
        refuse_mismatch("photos", recipe, other)


@examples(200)
@given(words, words, words)
def test_a_condition_says_nothing_but_its_value(folder: str, camera: str, value: str) -> None:
    clauses = Filter(folder=folder, camera=camera, where=[f"shop={value}"]).clauses({})
    [below, of_camera, condition] = json.loads(json.dumps(clauses))
    assert of_camera == {"term": {"regions.camera": camera}}
    forms = spellings(value)
    shop = "regions.attributes.shop"
    by_all_forms = {"term": {shop: value}} if len(forms) == 1 else {"terms": {shop: forms}}
    assert condition == by_all_forms
    assert {name for each in below["bool"]["should"] for name in each} == {"term", "prefix"}


@pytest.mark.parametrize(
    ("text", "said"), [("x" * 991, "991 bytes is too long; use at most 990"), ("\udcff", "half a character")]
)
@pytest.mark.parametrize("name", ["kinds", "folder", "camera", "where"])
def test_a_condition_that_cannot_be_asked_is_refused(name: str, text: str, said: str) -> None:
    given_text: Any = [text] if name in ("kinds", "where") else text
    with pytest.raises(QueryError, match=said):
        Filter(**{name: given_text})
