"""Hubness: a soft maximum of a region's cosines with a bank of texts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sorce.errors import RecipeMismatch
from sorce.mappings import Box, Recipe, Region, Vector, refuse_mismatch
from sorce.models.querybank import TEMPERATURE, Querybank, banked, hubness, texts
from tests.kit.fake import FakeModel

RECIPE = Recipe("fake", "1", "quarters", 8, "numpy")


def units(count: int, seed: int) -> Vector:
    vectors = np.random.default_rng(seed).normal(size=(count, 8))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("temperature", [0.01, 0.05, 1.0])
def test_it_is_the_logarithm_of_the_mean_of_exponentials(temperature: float) -> None:
    regions, bank = units(5, 1), units(30, 2)
    cosines = regions.astype(np.float64) @ bank.T
    wanted = temperature * np.log(np.mean(np.exp(cosines / temperature), axis=1))
    assert hubness(regions, bank, temperature) == pytest.approx(wanted, abs=1e-6)


def test_it_lies_between_the_mean_and_the_greatest_cosine() -> None:
    regions, bank = units(5, 1), units(30, 2)
    cosines = regions @ bank.T
    assert hubness(regions, bank, 100.0) == pytest.approx(cosines.mean(axis=1), abs=1e-3)
    assert hubness(regions, bank, 0.0001) == pytest.approx(cosines.max(axis=1), abs=1e-3)


def test_the_most_alike_there_can_be_is_still_in_range() -> None:
    regions = units(4, 3)
    assert np.abs(hubness(regions, np.concatenate([regions] * 5), 0.001)).max() <= 1
    assert (hubness(regions, -regions[:1], 0.001) >= -1).all()


def test_the_texts_are_plain_lines_and_no_two_the_same() -> None:
    assert len(texts()) == len(set(texts())) > 100
    assert all(text == text.strip() != "" for text in texts())


def test_regions_keep_all_else_and_texts_are_encoded_once_when_the_first_come() -> None:
    model = FakeModel()
    bank = Querybank(model)
    assert model.texts == []
    regions = [Region(Box(0, 0, 1, 1), vec, "tile", 0.5) for vec in units(3, 1)]
    measured = [*bank.measured(regions[:1]), *bank.measured(regions[1:])]
    assert model.texts == list(texts())
    wanted = hubness(units(3, 1), FakeModel().embed_texts(texts()), TEMPERATURE)
    assert [region.hubness for region in measured] == pytest.approx(wanted, abs=1e-6)
    assert all(new.vec is old.vec and new.quality == 0.5 for new, old in zip(measured, regions, strict=True))


def test_a_bank_makes_no_recipe_another_unless_the_index_holds_numbers_by_another_bank() -> None:
    here = banked(RECIPE)
    assert here == RECIPE
    refuse_mismatch("photos", RECIPE, here)
    refuse_mismatch("photos", here, here)
    other = replace(RECIPE, bank={**here.bank, "texts": "sha256:0"})
    with pytest.raises(RecipeMismatch, match=r"bank: .*sha256:0"):
        refuse_mismatch("photos", other, here)
