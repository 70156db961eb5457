"""Searches by sorce, with texts encoded by client or server, compared with the bare request and usual nested k-NN."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection

import numpy as np
import orjson
import urllib3
from corpus import DEEP, SIZE, WIDE, Corpus, Indexed, Known, Shape, box, indexed, text
from figures import Line, at_least, at_most, exactly
from timing import Ask, latencies, throughput

from sorce.cluster import address, version
from sorce.mappings import Hit
from sorce.mappings.query import MATCH_FIELDS, PHOTO_FIELDS, Json, Query, search_body
from sorce.mappings.request import DUPLICATE, EF_SEARCH
from sorce.models.model import TextEncoder
from sorce.plugin import Searcher, SearchRequest, ServerSearch
from sorce.plugin.cluster.endpoint import parse
from sorce.plugin.cluster.install import install
from sorce.plugin.service import app as service

ENCODER = "encoder service alone"
ROUNDS = 10
QUERIES = 300
USUAL = "usual nested k-NN"
UNFOLDED = "client with fold=None"
MANY = 16
"""Clients at once for which there is a bar."""
CLIENTS = (1, 4, MANY)
WIDTHS = range(100, 2001, 25)
"""The values of ef_search to try, from the server's default up, until the usual query has sorce's recall."""

SAME = 0.0005
"""Recalls that differ by less count as equal: 1 photo of 3,000."""

AS_SHOWN = 1e-5
"""The greatest difference of a score from numpy's: float32 numbers are added in another order."""


def measures() -> Iterator[Line]:
    for shape in (WIDE, DEEP):
        yield from of(shape)


def of(shape: Shape) -> Iterator[Line]:
    index = indexed(shape, shape.photos)
    corpus, known = index.corpus, Known(index.corpus.queries)
    client = index.searcher()
    found = [client.search(SearchRequest([text(query)], fold=None)) for query in range(QUERIES)]
    recall = corpus.recall([numbers(hits) for hits in found])
    yield at_least(
        f"queries, {shape}: recall@{SIZE} of photos", recall, 0.98, f"default settings, ef_search {EF_SEARCH}"
    )
    yield from shown(shape, corpus, found)
    usual, width, reached = matched(index, recall)
    with encoder(known) as url:
        install(index.client, index.name, parse(url, "synthetic", None), known)
        asks: dict[str, Ask] = {
            "client": asking(client),
            UNFOLDED: asking(client, fold=None),
            "bare request": bare(index),
            USUAL: usual,
            "server": asking(ServerSearch(index.client, index.name)),
            ENCODER: encoding(url),
        }
        yield from timed(shape, asks, f"ef_search {width}, recall {reached:.3f} of {recall:.3f}")


def timed(shape: Shape, asks: Mapping[str, Ask], usual: str) -> Iterator[Line]:
    taken = latencies(asks, QUERIES, ROUNDS)
    client = taken["client"]
    for name, each in taken.items():
        for share in (50, 95, 99):
            note = usual if name == USUAL else ""
            yield Line(f"queries, {shape}: {name}, p{share} ms", each.percentile(share), note=note)
    ratio, note = client.over(taken[USUAL])
    yield at_most(f"queries, {shape}: client / {USUAL} (p50)", ratio, 0.66, f"{note}; {usual}")
    ratio, note = taken[UNFOLDED].over(taken[USUAL])
    yield Line(
        f"queries, {shape}: {UNFOLDED} / {USUAL} (p50)", ratio, note=f"{note}; as the usual query, it folds nothing"
    )
    ratio, note = client.over(taken["bare request"])
    yield at_most(f"queries, {shape}: client / bare request (p50)", ratio, 1.15, note)
    more = taken["server"].p50 - client.p50
    note = f"the cluster's call of the encoder has its {taken[ENCODER].p50:.1f} ms in it"
    yield Line(f"queries, {shape}: server - client, ms (p50)", more, note=note)
    more -= taken[ENCODER].p50
    note = f"{more:.1f} ms of {client.p50:.1f}"
    yield at_most(f"queries, {shape}: server - client, encoding excluded, / client (p50)", more / client.p50, 1, note)
    for clients in CLIENTS:
        figures = throughput(asks, QUERIES // 3, clients, 3)
        for name, figure in figures.items():
            yield Line(f"queries, {shape}: {name}, {clients} at once, queries/s", figure)
        ratio, line = figures["client"] / figures[USUAL], f"queries, {shape}: client / {USUAL}, {clients} at once"
        yield at_least(line, ratio, 1.5, usual) if clients == MANY else Line(line, ratio)


def shown(shape: Shape, corpus: Corpus, found: Sequence[Sequence[Hit]]) -> Iterator[Line]:
    """Whether each hit shows its photo's best region, with the score that numpy computes for it."""
    boxes, scores = [], []
    for query, hits in enumerate(found):
        for hit, photo in zip(hits, numbers(hits), strict=True):
            [[match]] = hit.matches
            best, likeness = int(corpus.best_region[query, photo]), float(corpus.likeness[query, photo])
            boxes.append((match.region_id, match.box) == (best, box(best)))
            scores.append(max(abs(hit.score - likeness), abs(match.similarity - likeness)) < AS_SHOWN)
    yield exactly(f"queries, {shape}: share of hits that show the best box", float(np.mean(boxes)), 1)
    yield exactly(f"queries, {shape}: share of hits whose score is exact", float(np.mean(scores)), 1)


def numbers(hits: Sequence[Hit]) -> list[int]:
    return [int(hit.photo_id, 16) for hit in hits]


def asking(search: Searcher, fold: float | None = DUPLICATE) -> Callable[[int], Sequence[Hit]]:
    return lambda query: search.search(SearchRequest([text(query)], fold=fold))


def bare(index: Indexed) -> Ask:
    """The client's request body, made before and sent by urllib3 alone. The answer is not parsed."""
    server = version(index.client)
    bodies = [
        orjson.dumps(
            search_body(Query(SearchRequest([text(number)]), [vector]), server), option=orjson.OPT_SERIALIZE_NUMPY
        )
        for number, vector in enumerate(index.corpus.queries)
    ]
    pool = urllib3.connection_from_url(address(index.client), maxsize=max(CLIENTS))

    def ask(query: int) -> bytes:
        answer = pool.request(
            "POST", f"/{index.name}/_search", body=bodies[query], headers={"Content-Type": "application/json"}
        )
        if answer.status != 200:
            raise RuntimeError(f"the bare request was refused: {answer.data[:500]!r}")
        return answer.data

    return ask


def encoding(url: str) -> Ask:
    """The cluster's request to the encoder, which only looks the vector up: this is the cost of encoding here."""
    pool = urllib3.connection_from_url(url, maxsize=max(CLIENTS))

    def ask(query: int) -> bytes:
        answer = pool.request("POST", "/v1/embeddings", json={"input": [text(query)], "model": "synthetic"})
        if answer.status != 200:
            raise RuntimeError(f"the encoder refused: {answer.data[:500]!r}")
        return answer.data

    return ask


def matched(index: Indexed, recall: float) -> tuple[Ask, int, float]:
    """The usual query with the least ef_search that reaches this recall; that ef_search; and the recall it reaches."""
    reached = 0.0
    for width in WIDTHS:
        ask = usual(index, width)
        found = [[int(hit["_id"], 16) for hit in ask(query)["hits"]["hits"]] for query in range(QUERIES)]
        reached = index.corpus.recall(found)
        if reached > recall - SAME:
            return ask, width, reached
    raise RuntimeError(f"the usual query finds {reached:.3f} at most, where sorce finds {recall:.3f}")


def usual(index: Indexed, width: int) -> Callable[[int], Json]:
    """Nested k-NN with inner_hits, as in OpenSearch's documentation.

    It returns the same fields as sorce, also from doc values, and is serialised and sent as sorce's request is. With
    `_source`, or with vectors as lists, it would take longer.
    """

    def ask(query: int) -> Json:
        knn = {"vector": index.corpus.queries[query], "k": SIZE, "method_parameters": {"ef_search": width}}
        nested: Json = {
            "path": "regions",
            "score_mode": "max",
            "query": {"knn": {"regions.vec": knn}},
            "inner_hits": {"size": 1, "_source": False, "docvalue_fields": MATCH_FIELDS},
        }
        body = {"size": SIZE, "_source": False, "docvalue_fields": PHOTO_FIELDS, "query": {"nested": nested}}
        encoded = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        found: Json = index.client.search(index=index.name, body=encoded)
        return found

    return ask


@contextmanager
def encoder(known: TextEncoder) -> Iterator[str]:
    """The address of an encoder service with these vectors, in a process of its own."""
    spawn = get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(known, there), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        process.terminate()
        process.join()


def _serve(known: TextEncoder, pipe: Connection) -> None:
    socket = service.listen("127.0.0.1", 0, None)
    pipe.send(f"http://127.0.0.1:{socket.getsockname()[1]}")
    service.server(service.application(service.Served("synthetic", known))).run(sockets=[socket])
