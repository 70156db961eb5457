"""Ranking by product: the order compared with numpy's, and the time with that of the request that 0.1.0 sent.

`SORCE_PRODUCT_REGIONS` is the number of regions of the large index, 1,000,000 by default.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from figures import Line, at_most, exactly
from opensearchpy import OpenSearch
from product_corpus import QUERIES, RECIPE, REGIONS, SIZE, Corpus, Numbered, Order, load, made
from timing import Ask, latencies

from sorce.cluster import connect
from sorce.engine import running
from sorce.mappings import Hits, Recipe, Vector
from sorce.mappings.found import FoundIndex
from sorce.mappings.query import COSINE, MATCH_FIELDS, PHOTO_FIELDS, Json, compared, cosine
from sorce.plugin import ClientSearch, SearchRequest
from sorce.plugin.query.asking import ask

PHOTOS = 1500
LOGITS = (-4, -1, 0, 1, 2, 4)
LARGE = int(os.environ.get("SORCE_PRODUCT_REGIONS", "1000000"))
LOGITS_OF_LARGE = (-4, 0, 4)
FLOAT32 = 5e-6
"""Scores of a smaller relative difference may change places. OpenSearch's similarities are wrong by up to 1.2e-7, as
float32 is. A sigmoid of the scale 20 makes that 2.4e-6 of each of two scores."""
TIMED, ROUNDS = 30, 3
"""Queries that are timed, in so many rounds: a search by the old request of the large index takes half a second."""

SCRIPT = (
    "double cos = _score >= 1 ? _score - 1 : 1 - 1 / _score; double value = cos; double most = 1 + params.debias; "
    "double base = most; if (params.rank == 'product') {{ if (params.debias != 0) {{ throw new "
    "IllegalArgumentException('sorce: rank by product takes no debias') }} {product} }} "
    "else if (params.rank == 'similarity') {{ if (params.debias != 0) {{ "
    "value = cos - params.debias * doc['regions.hubness'].value; }} }} "
    "else {{ throw new IllegalArgumentException('sorce: rank must be similarity or product') }} "
    "return cos < params.floor ? 0 : Math.max(1e-30, value + base);"
)
"""The script of sorce 0.1.0."""

SIGMOID = (
    "value = doc['regions.quality'].value / (1 + Math.exp(-params.scale * cos - params.bias)); base = 0; "
    "most = 1 / (1 + Math.exp(-params.scale - params.bias));"
)
TIMES = "value = doc['regions.quality'].value * cos;"


class Counting(ClientSearch):
    """Records how many candidates the last answer was chosen from."""

    candidates = 0

    def _ask(self, found: FoundIndex, body: Any, allow_partial: bool) -> Any:
        for clause in body.get("query", {}).get("bool", {}).get("filter", []):
            self.candidates = len(clause.get("ids", {}).get("values", []))
        return super()._ask(found, body, allow_partial)


def measures() -> Iterator[Line]:
    with running(heap="2g") as url:
        client = connect(url)
        yield from small(client, made(PHOTOS))
        yield from large(client, made(LARGE // REGIONS))


def small(client: OpenSearch, corpus: Corpus) -> Iterator[Line]:
    for name, _, search, wanted in rankings(client, corpus, "product", LOGITS):
        said = f"product, {name}"
        usual = [taken(search, i, wanted[i], by_scan()) for i in range(QUERIES)]
        yield exactly(f"{said}: first ten as numpy's", same(usual), QUERIES, "default settings: a scan")
        yield Line(f"{said}: milliseconds a search", milliseconds(usual))
        yield from by_graph([taken(search, i, wanted[i], by_bands()) for i in range(QUERIES)], said)


def large(client: OpenSearch, corpus: Corpus) -> Iterator[Line]:
    index = "product-large"
    for name, recipe, search, wanted in rankings(client, corpus, index, LOGITS_OF_LARGE):
        said = f"product, {corpus.quality.size:,} regions, {name}"
        # The default settings, whatever number of regions is asked for.
        yield from by_graph([taken(search, i, wanted[i], by_bands()) for i in range(QUERIES)], said, QUERIES)
        asks: dict[str, Ask] = {
            "now": lambda i, search=search: search.search(replace(by_bands(), phrases=[str(i)])),  # type: ignore[misc]
            "0.1.0": lambda i, recipe=recipe: before(client, index, corpus.queries[i], recipe),  # type: ignore[misc]
        }
        times = latencies(asks, TIMED, ROUNDS)
        ratio, note = times["now"].over(times["0.1.0"])
        note = f"{note}; {times['now'].p50:.0f} ms of {times['0.1.0'].p50:.0f}"
        yield at_most(f"{said}: time / that of 0.1.0's request (p50)", ratio, 0.25, note)


def rankings(
    client: OpenSearch, corpus: Corpus, index: str, logits: Sequence[int]
) -> Iterator[tuple[str, Recipe, Counting, list[Order]]]:
    """Loads the corpus; then for each ranking its name, its recipe, a search by it, and numpy's first photos."""
    load(client, corpus, index)
    recipes = {f"x_gt {logit:+d}": corpus.recipe(logit) for logit in logits} | {"cos * quality": RECIPE}
    orders = corpus.orders(list(recipes.values()))
    for (name, recipe), wanted in zip(recipes.items(), orders, strict=True):
        yield name, recipe, searched(client, corpus, index, recipe), wanted


def searched(client: OpenSearch, corpus: Corpus, index: str, recipe: Recipe) -> Counting:
    """A search of the index with another scale and bias. Nothing is indexed again."""
    client.indices.put_mapping(index=index, body={"_meta": {"sorce": {"recipe": recipe.to_meta()}}})
    return Counting(client, index, lambda _: Numbered(corpus.queries))


def by_scan() -> SearchRequest:
    return SearchRequest(["0"], size=SIZE, rank="product", fold=None)


def by_bands() -> SearchRequest:
    """As the default for a large index."""
    asked = by_scan()
    return replace(asked, ef_search=asked.width)


def by_graph(proved: Sequence[Taken], name: str, bar: int | None = None) -> Iterator[Line]:
    said, figure = f"{name}, by the graph: first ten as numpy's", same(proved)
    note = f"of {QUERIES}, {sum(each.proved for each in proved)} proved as far as the graph goes"
    yield Line(said, figure, note=note) if bar is None else exactly(said, figure, bar, note)
    yield Line(f"{name}, by the graph: milliseconds a search", milliseconds(proved))
    counts = [each.candidates for each in proved]
    note = f"median {np.median(counts):.0f}, p95 {np.quantile(counts, 0.95):.0f}"
    yield Line(f"{name}, by the graph: most candidates that a proof needed", max(counts), note=note)


def before(client: OpenSearch, index: str, vector: Vector, recipe: Recipe) -> Any:
    """The answer to the request that 0.1.0 sent: a scan, in which Painless computes each region's product."""
    params = {"rank": "product", "debias": 0.0, "floor": -2, **recipe.matching}
    script: Json = {"source": SCRIPT.format(product=SIGMOID if recipe.matching else TIMES), "params": params}
    scored = {"query": compared(vector, ()), "script": script, "min_score": 1e-35}
    shown = {"name": "p0", "size": 1, "_source": False, "docvalue_fields": MATCH_FIELDS}
    shown |= {"script_fields": {COSINE: {"script": cosine(vector)}}}
    must = {"path": "regions", "score_mode": "max", "inner_hits": shown, "query": {"script_score": scored}}
    body: Json = {"size": SIZE, "track_total_hits": False, "_source": False, "docvalue_fields": PHOTO_FIELDS}
    return ask(client, index, {**body, "query": {"bool": {"filter": [], "must": [{"nested": must}]}}}, False)


@dataclass(frozen=True)
class Taken:
    """One search: whether its order is numpy's and proved, its number of candidates, and its milliseconds."""

    same: bool
    proved: bool
    candidates: int
    took: float


def same(those: Sequence[Taken]) -> int:
    return sum(each.same for each in those)


def milliseconds(those: Sequence[Taken]) -> float:
    return float(np.median([each.took for each in those]))


def alike(photos: Sequence[int], wanted: Order) -> bool:
    """Whether these are numpy's first photos. Two whose scores float32 does not tell apart may change places."""
    scores = [wanted.get(photo, 0.0) for photo in photos]
    return len(set(photos)) == SIZE and np.allclose(scores, list(wanted.values())[:SIZE], rtol=FLOAT32, atol=0)


def taken(search: Counting, query: int, wanted: Order, request: SearchRequest) -> Taken:
    asked = replace(request, phrases=[str(query)])
    started = time.perf_counter()
    hits: Hits = search.search(asked)
    took = 1000 * (time.perf_counter() - started)
    return Taken(
        alike([int(hit.photo_id, 16) for hit in hits], wanted),
        not any(hit.unproved for hit in hits),
        search.candidates,
        took,
    )
