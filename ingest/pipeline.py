"""The way of a photo: source -> read and decode -> encode -> document -> index.

Reading and decoding run in `workers` threads, encoding in the caller's, writing in two. Each stage holds only so much,
and whoever is ahead waits, so that memory does not grow with the number of photos.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from opensearchpy import OpenSearch

from sorce.cluster import address, translate_errors
from sorce.ingest.bulk import Sender, Write, Writer, index_lines
from sorce.ingest.decode import Decoder, Ready
from sorce.ingest.flow import Pace, batches, compared, encoded, in_order, until
from sorce.ingest.index import TargetIndex
from sorce.ingest.report import Report, Watch
from sorce.ingest.retry import SECONDS, Retry
from sorce.ingest.stats import Stats
from sorce.mappings import Attribute, Picture, Recipe, Region, Rejected
from sorce.mappings.document import document
from sorce.models.model import Model, Prepared
from sorce.models.querybank import Querybank
from sorce.pictures.source import Source


def default_workers() -> int:
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Options:
    """How a run goes about it. `attributes` are set on each photo; `force` encodes unchanged photos again.

    `retry_timeout` is how many seconds a cluster that takes nothing is waited for.
    """

    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    force: bool = False
    workers: int = field(default_factory=default_workers)
    retry_timeout: float = SECONDS


def ingest_photos(
    client: OpenSearch,
    index: str,
    model: Model[Prepared],
    sources: Iterable[Source | Rejected],
    options: Options | None = None,
    watch: Watch | None = None,
) -> Report:
    """Brings the photos into the index, which is made if there is none, and returns when all can be found.

    Photos that the index holds with the same content and attributes are only read. Raises RecipeMismatch before any is
    read, ClusterError where the cluster refuses.
    """
    options, watch = options or Options(), watch or Watch()
    stats, pace, retry = Stats(watch, options.workers), Pace(options.workers), Retry(options.retry_timeout, watch)
    decoder = Decoder(model.prepare, options.attributes, options.force, options.workers)
    with translate_errors(address(client)), decoder as decode:
        there = TargetIndex(client, index)
        there.make(model.recipe)
        bank = querybank(model, there.recipe())
        there.add_attributes(options.attributes)
        sender = Sender(client, index, retry)
        with threads(options.workers) as pool, Writer(sender, stats.sent) as writer:
            jobs = compared(there, until(watch, sources), retry)
            decoded = batches(in_order(pool, decode, jobs, pace), pace, stats)
            for ready, regions in encoded(model, decoded, pace, stats):
                writer.add(write(ready, bank.measured(regions) if bank else regions))
        retry.ask(there.refresh)
        # Had somebody deleted it meanwhile, the cluster would have made one of no use when the next photos came.
        retry.ask(partial(there.refuse_other, model.recipe))
    return stats.report()


def rehearse(
    client: OpenSearch,
    index: str,
    recipe: Recipe,
    sources: Iterable[Source | Rejected],
    options: Options | None = None,
    watch: Watch | None = None,
) -> Report:
    """What `ingest_photos` would do: it decodes, but encodes and writes nothing."""
    options, watch = options or Options(), watch or Watch()
    stats, pace = Stats(watch, options.workers), Pace(options.workers)
    decoder = Decoder(only_decode, options.attributes, options.force, options.workers)
    with translate_errors(address(client)), decoder as decode, threads(options.workers) as pool:
        there = TargetIndex(client, index)
        there.refuse_other(recipe)
        jobs = compared(there, until(watch, sources), Retry(options.retry_timeout, watch))
        for batch in batches(in_order(pool, decode, jobs, pace), pace, stats):
            stats.would_write(batch)
    return stats.report()


def querybank(model: Model[Prepared], there: Recipe | None) -> Querybank | None:
    """None for an index that was made without hubness, and stays so."""
    return Querybank(model) if there is not None and there.bank else None


def write(ready: Ready[Prepared], regions: Sequence[Region]) -> Write:
    lines = index_lines(document(ready.photo, regions, datetime.now(UTC)))
    return Write(ready.source.name, lines, ready.is_new, len(regions))


def only_decode(picture: Picture) -> None:
    """Prepares nothing."""


@contextmanager
def threads(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Where the run ends early, what is not begun is left."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
