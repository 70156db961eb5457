"""`sorce plan` agrees with every size that was measured, and says what it assumes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sorce import cli
from sorce.models.catalogue import KNOWN, stored_bytes
from sorce.planning import size
from sorce.sizing import Planned, cached_bytes, index_bytes, needs, search_ms

MEASURED = (
    # Regions, numbers, kB of the index per photo. Synthetic photos, on OpenSearch 3.6.0.
    (1, 768, 3.267),
    (17, 256, 19.205),
    (17, 256, 19.232),
    (17, 256, 18.8),
    (17, 768, 54.063),
    (114, 128, 75.343),
    (114, 768, 367.360),
    # With `mini` on 300 drawn scenes, as the documentation says: tiles, fewer and more of them, clusters.
    (114, 128, 74),
    (89, 128, 56),
    (235, 128, 149),
    (129, 128, 87),
)
CACHED = (
    (1, 768, 3.112),
    (17, 256, 18.131),
    (17, 256, 18.278),
    (17, 768, 53.041),
    (114, 128, 65.554),
    (114, 768, 356.286),
)
"""Regions, numbers, kB of vectors and graphs per photo."""


@pytest.mark.parametrize(("regions", "dimension", "kilobytes"), MEASURED)
def test_the_size_is_within_a_twentieth_of_every_measured_one(regions: int, dimension: int, kilobytes: float) -> None:
    assert index_bytes(1, regions, dimension) / 1000 == pytest.approx(kilobytes, rel=0.05)
    assert stored_bytes(dimension, regions) / 1000 == pytest.approx(kilobytes, rel=0.05)


@pytest.mark.parametrize(("regions", "dimension", "kilobytes"), CACHED)
def test_the_cache_is_within_a_twentieth_of_every_measured_one(regions: int, dimension: int, kilobytes: float) -> None:
    assert cached_bytes(1, regions, dimension) / 1000 == pytest.approx(kilobytes, rel=0.05)


@pytest.mark.parametrize(("photos", "milliseconds"), [(5_000, 7.5), (10_000, 7.8), (20_000, 8.1), (40_000, 8.4)])
def test_the_time_of_a_search_is_the_growth_curve(photos: int, milliseconds: float) -> None:
    assert search_ms(photos) == pytest.approx(milliseconds)


def planned(*words: str) -> Result:
    return CliRunner().invoke(cli.sorce, ["plan", *words])


def as_json(*words: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(planned(*words, "--json").stdout)
    return answer


def test_ten_million_photos_of_the_measured_shape() -> None:
    found = as_json("--photos", "10M", "--model", "own", "--dimension", "256", "--max-regions", "17", "--replicas", "0")
    assert found["photos"] == 10_000_000
    assert found["regions"] == 170_000_000
    assert found["shards"] == 6
    assert found["search_ms"] == pytest.approx(10.0, abs=0.1)
    assert found["index_bytes"] == pytest.approx(188e9, rel=0.05)


def test_replicas_double_disk_and_cache_and_need_three_nodes() -> None:
    alone, copied = (needs(Planned(1000, 17, 256, replicas)) for replicas in (0, 1))
    assert (alone.nodes, copied.nodes) == (1, 3)
    assert copied.disk_bytes == 2 * alone.disk_bytes
    assert copied.cached_bytes == 2 * alone.cached_bytes
    assert copied.index_bytes == alone.index_bytes


def test_the_vectors_of_all_copies_fit_into_the_memory_of_the_nodes() -> None:
    for photos in (1_000_000, 10_000_000):
        for replicas in (0, 1):
            found = needs(Planned(photos, 114, 768, replicas))
            assert found.shards * 40e9 >= found.index_bytes
            assert found.heap_bytes_of_a_node + found.cache_bytes_of_a_node <= 64e9
            # A shard is on one node: with more nodes than shards some would hold nothing.
            shards = (1 + replicas) * found.shards
            each = found.cached_bytes / shards
            assert found.nodes <= shards
            assert found.cache_bytes_of_a_node == pytest.approx(each * -(-shards // found.nodes))


def test_more_shards_than_an_index_may_have_need_several_indices() -> None:
    said = planned("--photos", "1B").stdout
    assert re.search(r"shards +11,123 in 11 indices behind one alias \(each --shards 1012 --replicas 1\)", said), said
    assert "(--shards 12 --replicas 1)" in planned("--photos", "1M").stdout


def test_more_workers_share_the_time() -> None:
    one, four = (as_json("--photos", "36k", "--rate", "1", "--workers", workers) for workers in ("1", "4"))
    assert one["hours"] == pytest.approx(10)
    assert four["hours"] == pytest.approx(2.5)


def test_a_rate_that_nobody_measured_is_not_invented() -> None:
    found = as_json("--photos", "1k", "--model", "mini", "--regions", "clusters")
    assert found["hours"] is None
    assert as_json("--photos", "1k", "--model", "mini")["hours"] is not None


def test_it_says_what_it_assumes() -> None:
    said = planned("--photos", "250_000", "--model", "mini").stdout
    assert "250,000" in said
    assert "28,500,000 (114 a photo)" in said
    assert "\nAssumed:\n- Each photo has 114 regions" in said


def test_a_model_that_is_not_listed_needs_its_dimension() -> None:
    done = planned("--photos", "1M", "--model", "./mine")
    assert done.exit_code == 2
    assert "--dimension" in done.output


@pytest.mark.parametrize("wrong", ["0", "many", "1e6", "-5", "10T", "1001B", 400 * "9"])
def test_a_number_that_is_not_understood_is_refused(wrong: str) -> None:
    done = planned("--photos", wrong)
    assert done.exit_code == 2
    assert f"'{wrong}' is not a number of photos" in done.output


def test_a_compressed_graph_needs_less_memory_and_more_disk() -> None:
    # As measured, in kB of a photo.
    assert index_bytes(1, 17, 256, is_compressed=True) / 1000 == pytest.approx(23.27, rel=0.05)
    assert cached_bytes(1, 17, 256, is_compressed=True) / 1000 == pytest.approx(5.269, rel=0.05)
    plain, small = (as_json("--photos", "10M", "--compression", each) for each in ("1x", "4x"))
    assert small["compression"] == "4x"
    assert small["cached_bytes"] < 0.3 * plain["cached_bytes"]
    assert 1.2 * plain["index_bytes"] < small["index_bytes"] < 1.3 * plain["index_bytes"]
    assert small["nodes"] < plain["nodes"]
    assert any("which should be an SSD" in each for each in small["assumptions"])


@pytest.mark.parametrize(
    "words",
    ["--rate nan", "--rate inf", "--rate 0", "--node-memory nan", "--node-memory inf", "--dimension 16001"],
)
def test_a_plan_of_nonsense_is_refused(words: str) -> None:
    done = planned("--photos", "1M", *words.split())
    assert done.exit_code == 2, done.output
    assert "Invalid value" in done.output


@pytest.mark.parametrize(
    ("given", "shown"),
    [(999.6e6, "1 GB"), (99.96e9, "100 GB"), (1.23456e12, "1.23 TB"), (412e15, "412 PB"), (0, "0 kB")],
)
def test_bytes_are_shown_in_three_digits(given: float, shown: str) -> None:
    assert size(given) == shown


def test_a_listed_model_that_can_be_cut_is_planned_with_shorter_vectors() -> None:
    whole, cut = (
        as_json("--photos", "1M", "--model", "google/embeddinggemma-2", *more) for more in ([], ["--dimension", "256"])
    )
    assert (whole["dimension"], cut["dimension"]) == (768, 256)
    assert cut["vector_bytes"] * 3 == whole["vector_bytes"]
    assert as_json("--photos", "1M", "--model", "mini", "--dimension", "128")["dimension"] == 128


@pytest.mark.parametrize(
    ("words", "has"),
    [
        ("--model mini --dimension 64", 128),
        ("--model google/embeddinggemma-2 --dimension 1024", 768),
        ("--model google/embeddinggemma-2 --regions objects --dimension 256", 768),
    ],
)
def test_a_dimension_that_a_listed_model_cannot_have_is_refused(words: str, has: int) -> None:
    done = planned("--photos", "1M", *words.split())
    assert done.exit_code == 2
    assert f"has vectors of {has} numbers, which are not cut" in " ".join(done.output.split())


def test_models_are_listed_as_cut_by_the_families_that_are() -> None:
    assert {known.name.partition("-")[0] for known in KNOWN if known.cuts} == {"google/embeddinggemma", "Qwen/Qwen3"}
