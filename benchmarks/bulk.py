"""Writing without encoding: sorce compared with the client's bulk helpers, into an index with the default settings."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import orjson
from corpus import WIDE, Corpus, Shape, cluster, corpus_of, photo_id, refuse_rejects, write
from figures import Line, at_least, exactly
from opensearchpy import OpenSearch, helpers

from sorce.cluster import find_index
from sorce.ingest.guard import Guard
from sorce.ingest.write import Sender, Writer
from sorce.mappings import Recipe, Vector
from sorce.mappings.index import index_body

PHOTOS = 700
ROUNDS = 5
THREADS = 2

Way = Callable[[OpenSearch, str, Corpus], None]


def measures() -> Iterator[Line]:
    corpus, client = corpus_of(Shape(PHOTOS, WIDE.dimension)), cluster()
    body = index_body(Recipe("synthetic", "1", "tiles", WIDE.dimension, "numpy"))
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    _actions(corpus)
    for number in range(ROUNDS):
        for name in np.roll(list(WAYS), number).tolist():
            index = f"bulk-{number}-{name}"
            client.indices.create(index=index, body=body)
            started = time.monotonic()
            WAYS[name](client, index, corpus)
            client.indices.refresh(index=index)
            seconds[name].append(time.monotonic() - started)
            if (name, number) != ("sorce", ROUNDS - 1):
                # Its merges would slow the next index down.
                client.indices.delete(index=index)
    yield from _judged(seconds, corpus)
    yield from _kept_whole(client, f"bulk-{ROUNDS - 1}-sorce", corpus, body)
    client.indices.delete(index="bulk-*")


def by_sorce(client: OpenSearch, index: str, corpus: Corpus) -> None:
    with Writer(Sender(client, Guard.of(find_index(client, index))), refuse_rejects) as writer:
        for photo in range(PHOTOS):
            writer.add(write(photo, corpus.vectors[photo]))


def by_bulk(client: OpenSearch, index: str, corpus: Corpus) -> None:
    helpers.bulk(client, _actions(corpus), index=index)


def by_parallel_bulk(client: OpenSearch, index: str, corpus: Corpus) -> None:
    deque(helpers.parallel_bulk(client, _actions(corpus), thread_count=THREADS, index=index), maxlen=0)


WAYS: Mapping[str, Way] = {"sorce": by_sorce, "bulk": by_bulk, "parallel_bulk": by_parallel_bulk}


@cache
def _actions(corpus: Corpus) -> list[dict[str, Any]]:
    """Actions for the client's helpers, with vectors as lists of Python numbers.

    They are made before the time measurement starts. sorce makes its documents within the measured time.
    """
    return [_action(photo, corpus.vectors[photo]) for photo in range(PHOTOS)]


def _action(photo: int, vectors: Vector) -> dict[str, Any]:
    body = orjson.loads(write(photo, vectors).lines.splitlines()[1])
    return {"_id": body["photo_id"], "_source": body}


def _judged(seconds: Mapping[str, list[float]], corpus: Corpus) -> Iterator[Line]:
    megabytes = sum(len(write(photo, corpus.vectors[photo]).lines) for photo in range(PHOTOS)) / 1e6
    for name, taken in seconds.items():
        median = statistics.median(taken)
        yield Line(
            f"writing alone, {name}: photos/s", PHOTOS / median, note=f"{megabytes / median:.0f} MB/s as sorce's"
        )
    for other in ("bulk", "parallel_bulk"):
        ratios = [theirs / ours for theirs, ours in zip(seconds[other], seconds["sorce"], strict=True)]
        note = f"{ROUNDS} rounds from {min(ratios):.2f} to {max(ratios):.2f}"
        name = f"writing alone: times helpers.{other}'s photos/s"
        median = statistics.median(ratios)
        yield at_least(name, median, 1.7, note) if other == "bulk" else Line(name, median, note=note)


def _kept_whole(client: OpenSearch, index: str, corpus: Corpus, body: dict[str, Any]) -> Iterator[Line]:
    """With the default settings, vectors can be read back, and `_reindex` copies them unchanged."""
    client.indices.create(index="bulk-again", body=body)
    asked = {"source": {"index": index}, "dest": {"index": "bulk-again"}}
    client.reindex(body=asked, params={"refresh": "true", "request_timeout": 600})
    for name in (index, "bulk-again"):
        whole = sum(np.array_equal(_vectors(client, name, photo), corpus.vectors[photo]) for photo in range(PHOTOS))
        what = "after _reindex" if name == "bulk-again" else "read back"
        yield exactly(f"writing alone: share of photos with unchanged vectors, {what}", whole / PHOTOS, 1)


def _vectors(client: OpenSearch, index: str, photo: int) -> Any:
    regions = client.get(index=index, id=photo_id(photo))["_source"]["regions"]
    return np.array([region["vec"] for region in regions], np.float32)
