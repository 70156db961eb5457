"""The stages of a run: compare -> decode -> encode -> write.

Decoding runs in `workers` threads, encoding in the caller's thread, writing in two threads. Each stage holds a limited
number of photos, and a faster stage waits. So memory does not grow with the number of photos. Each photo moves on as
soon as it is ready: one that is slow to decode does not delay the others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

from joblib import cpu_count  # type: ignore[import-untyped]
from opensearchpy import OpenSearch

from sorce.cluster import address, translate_errors
from sorce.errors import SorceError
from sorce.ingest.actions import Write, WriteFields
from sorce.ingest.attributes import AttributesByPhoto
from sorce.ingest.compare import Compare, compared
from sorce.ingest.decode import Decoder, Wanted
from sorce.ingest.encode import Batch, Encode, Pace, encoded, until
from sorce.ingest.guard import Guard
from sorce.ingest.index import TargetIndex, Types, types_of
from sorce.ingest.report import Report, Watch
from sorce.ingest.retry import SECONDS, Retry
from sorce.ingest.sources import once
from sorce.ingest.stats import Stats
from sorce.ingest.write import Sender, Writer
from sorce.mappings import Attribute, Picture, Recipe, Rejected, probe
from sorce.mappings.lookup import as_stored
from sorce.models.model import Model, Prepared
from sorce.models.notes import note_of
from sorce.models.querybank import note_on_bank, querybank
from sorce.pictures.source import Source

log = logging.getLogger("sorce.ingest")

Item = TypeVar("Item")
Result = TypeVar("Result")


def default_workers() -> int:
    """As many as this process may use: in a container, fewer than the machine has."""
    return int(cpu_count())


@dataclass(frozen=True)
class Options:
    """How a run works. `attributes` are set on each photo; `force` encodes unchanged photos again.

    `by_photo` are attributes of single photos, by absolute path or URI; they come before those of all photos.
    `retry_timeout` is how many seconds to wait for a cluster that accepts nothing. `thumbnails` stores a small picture
    with each photo that is encoded. `checksum` reads each file, even if its size and time of change are the same.
    `types` are the mappings of attributes that sources bring along.
    """

    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    force: bool = False
    workers: int = field(default_factory=default_workers)
    retry_timeout: float = SECONDS
    by_photo: AttributesByPhoto = field(default_factory=dict)
    thumbnails: bool = False
    checksum: bool = False
    types: Types = field(default_factory=dict)


def ingest_photos(
    client: OpenSearch,
    index: str,
    model: Model[Prepared],
    sources: Iterable[Source | Rejected],
    options: Options | None = None,
    watch: Watch | None = None,
) -> Report:
    """Ingests the photos and returns when all are searchable. The first photo creates the index if there is none.

    Photos that the index holds with the same content and attributes are not encoded, and not even read where their
    size and time of change, or their tag, are as before. Raises IndexNameError;
    RecipeMismatch before any photo is read; ClusterError if the cluster refuses; IndexReplaced if the name comes to
    stand for another index during the run.
    """
    with translate_errors(address(client)):
        target = TargetIndex(client, index)
        target.look_up()
        return bring_in(target, model, sources, options, watch)


def bring_in(
    target: TargetIndex,
    model: Model[Prepared],
    sources: Iterable[Source | Rejected],
    options: Options | None = None,
    watch: Watch | None = None,
    before: TargetIndex | None = None,
) -> Report:
    """Like `ingest_photos`, with an index already looked up. `before` is the index that an alias moves away from."""
    run = Run(target, model.recipe, options or Options(), watch or Watch())
    there = run.prepare(model, before)
    encode = Encode(model, querybank(model, there), run.wanted)
    decoder = Decoder(model.prepare, run.wanted, run.options.workers)
    with decoder as decode, threads(run.options.workers) as pool, run.writing(before) as write:
        jobs = compared(Compare(target, before), until(run.watch, once(run.declared(sources))), run.retry)
        for outcome in encoded(encode, as_ready(pool, decode, jobs, run.pace), run.pace, run.watch):
            if isinstance(outcome, WriteFields):
                write(outcome)
                continue
            run.stats.add(outcome)
            if isinstance(outcome, Batch):
                for each in outcome.writes:
                    write(each)
    return run.finish()


def rehearse(
    target: TargetIndex,
    recipe: Recipe,
    sources: Iterable[Source | Rejected],
    options: Options | None = None,
    watch: Watch | None = None,
) -> Report:
    """What `bring_in` would do: it decodes, but encodes and writes nothing."""
    run = Run(target, recipe, options or Options(), watch or Watch())
    target.refuse_other(recipe)
    run.retry.ask(partial(target.try_new, recipe, run.types(None)))
    decoder = Decoder(only_decode, run.wanted, run.options.workers)
    with decoder as decode, threads(run.options.workers) as pool:
        jobs = compared(Compare(target), until(run.watch, once(sources)), run.retry)
        for outcome in until(run.watch, as_ready(pool, decode, jobs, run.pace)):
            run.stats.add(outcome)
    return run.stats.report()


class Run:
    """What the stages of one run share."""

    def __init__(self, target: TargetIndex, recipe: Recipe, options: Options, watch: Watch) -> None:
        self.target, self.recipe, self.options, self.watch = target, recipe, options, watch
        by_photo = {path: as_stored(given) for path, given in options.by_photo.items()}
        given = as_stored(options.attributes)
        self.wanted = Wanted(recipe.hash, given, options.force, by_photo, options.thumbnails, options.checksum)
        self.stats, self.pace = Stats(watch, options.workers), Pace(options.workers)
        self.retry = Retry(options.retry_timeout, watch)
        self._own_types = dict(options.types)

    def prepare(self, model: Model[Prepared], before: TargetIndex | None) -> Recipe | None:
        """Adds what the index lacks, and tells the user what to know of the model. Returns the index's recipe."""
        self.target.prepare(model.recipe, self.types(before))
        self.retry.ask(partial(self.target.try_new, model.recipe, self.types(before)))
        self.target.probe = lambda: model.embed_texts([probe.TEXT])[0]
        there = None if self.target.found is None else self.target.found.recipe
        for note in (note_of(model.recipe), note_on_bank(there) if there else None):
            if note is not None:
                self.watch.noted(note)
        return there

    def declared(self, sources: Iterable[Source | Rejected]) -> Iterator[Source | Rejected]:
        """The sources. The index gets the fields for their own attributes before their documents come.

        A source with an attribute that no document can hold is rejected. Raises Interrupted, ClusterError.
        """
        for source in sources:
            if isinstance(source, Rejected) or not source.attributes:
                yield source
                continue
            try:
                types = types_of(source.attributes)
            except SorceError as error:
                yield Rejected(source.name, f"has attributes that cannot be stored: {str(error).rstrip('.')}")
                continue
            if new := {name: kind for name, kind in types.items() if name not in self._own_types}:
                self._own_types |= new
                # An index that is still to be made gets them when it is made.
                self.retry.insist(partial(self.target.prepare, self.recipe, new))
            yield source

    def guard(self, before: TargetIndex | None) -> Guard:
        """Makes the index if there is none. Raises Interrupted."""
        self.retry.insist(partial(self.target.make, self.recipe, self.types(before)))
        assert self.target.found is not None
        return Guard.of(self.target.found)

    def finish(self) -> Report:
        """Makes all photos searchable."""
        if self.target.found is not None:
            self.retry.ask(self.target.refresh)
        report = self.stats.report()
        log.info("ingested into '%s': %s", self.target.name, report)
        return report

    def types(self, before: TargetIndex | None) -> dict[str, object]:
        """The mappings of all attributes that documents of this run may have."""
        there = before.attribute_types() if before else {}
        types = {**there, **self._own_types, **types_of(self.options.attributes)}
        for given in self.options.by_photo.values():
            types.update(types_of(given))
        return types

    @contextmanager
    def writing(self, before: TargetIndex | None) -> Iterator[Callable[[Write], None]]:
        """Accepts each write; the first one creates the index, if there is none."""
        writer: Writer | None = None

        def write(what: Write) -> None:
            nonlocal writer
            if writer is None:
                sender = Sender(self.target.client, self.guard(before), self.retry)
                writer = Writer(sender, self.stats.add)
            writer.add(what)

        try:
            yield write
        except BaseException:
            if writer is not None:
                writer.close(complete=False)
            raise
        if writer is not None:
            writer.close(complete=True)


def as_ready(
    pool: ThreadPoolExecutor, work: Callable[[Item], Result], items: Iterable[Item], pace: Pace
) -> Iterator[Result]:
    """The results of `work` as they become ready, in any order. `pace` limits how many are in progress."""
    done: SimpleQueue[Future[Result]] = SimpleQueue()
    under_way = 0
    for item in items:
        pool.submit(work, item).add_done_callback(done.put)
        under_way += 1
        while under_way > pace.ahead or not done.empty():
            under_way -= 1
            yield done.get().result()
    while under_way:
        under_way -= 1
        yield done.get().result()


def only_decode(picture: Picture) -> None:
    """Prepares nothing."""


@contextmanager
def threads(workers: int) -> Iterator[ThreadPoolExecutor]:
    """A thread pool. If the run ends early, tasks that have not started are cancelled."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
