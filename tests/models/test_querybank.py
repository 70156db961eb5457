"""Hubness: a soft maximum of a region's cosines with a bank of texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sorce.mappings import Box, Recipe, Region, Vector, refuse_mismatch
from sorce.models import querybank as querybank_module
from sorce.models.querybank import TEMPERATURE, Querybank, banked, hubness, note_on_bank, querybank, texts
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


def test_a_bank_makes_no_recipe_another() -> None:
    here = banked(RECIPE)
    assert here == RECIPE
    refuse_mismatch("photos", RECIPE, here)
    refuse_mismatch("photos", here, here)
    refuse_mismatch("photos", replace(RECIPE, bank={**here.bank, "texts": "sha256:0"}), here)


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Recipe]:
    """The recipe of an index whose bank has since been changed, and kept under another name."""
    old = banked(RECIPE)
    (tmp_path / "querybank-1.txt").write_text("\n".join(texts()), encoding="utf-8")
    (tmp_path / querybank_module.NEWEST).write_text("one thing\nanother\n", encoding="utf-8")
    monkeypatch.setattr(querybank_module, "FOLDER", tmp_path)
    texts.cache_clear()
    yield old
    texts.cache_clear()


@pytest.mark.fault("11.4.1")
def test_an_index_keeps_the_bank_that_it_was_made_with(changed: Recipe) -> None:
    model = FakeModel()
    old, new = querybank(model, changed), querybank(model, None)
    assert banked(RECIPE).bank != changed.bank
    assert old is not None and new is not None  # noqa: PT018
    assert note_on_bank(changed) is None
    regions = [Region(Box(0, 0, 1, 1), vec, "tile") for vec in units(3, 1)]
    old.measured(regions)
    assert model.texts == list(texts("querybank-1.txt"))
    new.measured(regions)
    assert model.texts[-2:] == ["one thing", "another"]


@pytest.mark.fault("11.4.1")
def test_of_a_bank_that_is_not_here_new_regions_have_no_hubness_and_a_note_says_so() -> None:
    index = replace(RECIPE, bank={"texts": "sha256:0", "temperature": 0.5})
    assert querybank(FakeModel(), index) is None
    assert "a search with --debias ranks them too low" in str(note_on_bank(index))


def test_an_index_without_hubness_stays_so_and_nothing_is_said() -> None:
    assert querybank(FakeModel(), RECIPE) is None
    assert note_on_bank(RECIPE) is None
