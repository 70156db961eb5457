"""The value that a region is ranked by. tests/plugin tests the scripts' numbers on the engine."""

from __future__ import annotations

from math import exp

import pytest

from sorce.errors import QueryError
from sorce.mappings import Recipe
from sorce.mappings.query import Query, Version, search_body, to_cosine
from sorce.mappings.ranking import PLAIN, ranking
from sorce.mappings.request import SearchRequest

OBJECTS = Recipe("m", "1", "objects", 2, "numpy", bank={"texts": "sha256:0"})
MATCHED = Recipe("m", "1", "objembed", 2, "numpy", matching={"scale": 20.0, "bias": -13.0})


def test_similarity_alone_is_asked_as_before() -> None:
    assert PLAIN.is_plain
    body = str(
        search_body(
            Query(SearchRequest(["a"], ["b"], fold=None), ["v"], ["w"], ranking=ranking(MATCHED, "similarity", 0)),
            Version(3, 6),
        )
    )
    assert "quality'].value" not in body
    assert "script_fields" not in body


def test_candidates_come_by_cosine_whatever_ranks() -> None:
    plain, product = (
        search_body(Query(SearchRequest(["a"], k=50), ["v"], ranking=ranking(MATCHED, rank, 0)), Version(3, 6))
        for rank in ("similarity", "product")
    )
    (proposed, *scored), (also_proposed, *otherwise) = (each["query"]["bool"]["must"] for each in (plain, product))
    assert proposed == also_proposed
    assert scored != otherwise


def test_nothing_of_a_lower_cosine_scores_more_than_the_bound() -> None:
    matched, objects = ranking(MATCHED, "product", 0), ranking(OBJECTS, "product", 0)
    for cosine in (-1, -0.3, 0, 0.2, 0.65, 1):
        assert matched.bound(cosine) == pytest.approx(1 / (1 + exp(13 - 20 * cosine)))
        assert objects.bound(cosine) == max(0, cosine)


@pytest.mark.parametrize("regions", ["whole", "tiles", "clusters", "prompts"])
def test_only_methods_with_a_quality_rank_by_product(regions: str) -> None:
    recipe = Recipe("m", "1", regions, 2, "numpy")
    assert not recipe.has_quality
    with pytest.raises(QueryError, match="have no quality to rank by; rank by similarity, or make an index of objects"):
        ranking(recipe, "product", 0)


@pytest.mark.parametrize("cosine", [-1, -0.4, 0, 0.3, 1])
def test_a_score_of_k_nn_becomes_its_cosine(cosine: float) -> None:
    assert to_cosine(1 + cosine if cosine >= 0 else 1 / (1 - cosine)) == pytest.approx(cosine)


def test_a_recipe_of_an_older_sorce_can_be_read() -> None:
    meta = OBJECTS.to_meta()
    del meta["matching"], meta["bank"]
    read = Recipe.from_meta({"sorce": {"recipe": meta}}, "photos")
    assert read == OBJECTS
    assert not read.bank
    assert Recipe.from_meta({"sorce": {"recipe": MATCHED.to_meta()}}, "photos").matching == MATCHED.matching
    assert Recipe("m", "1", "objembed", 2, "numpy") != MATCHED
