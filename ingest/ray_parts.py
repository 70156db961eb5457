"""What the processes of a run by many workers do: all stages but writing on a batch of photos, and writing.

Nothing here needs Ray, which only carries the calls. All that is sent are plain values.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from queue import SimpleQueue
from threading import Lock
from typing import Any

from opensearchpy import OpenSearch

from sorce.cluster import address, translate_errors
from sorce.errors import SorceError
from sorce.ingest.actions import Write, WriteDocument, WriteFields
from sorce.ingest.compare import Compare
from sorce.ingest.decode import Decoder, Ready, Unchanged, Wanted
from sorce.ingest.encode import Batch, Encode, Pace, encoded
from sorce.ingest.guard import Guard
from sorce.ingest.index import TargetIndex
from sorce.ingest.pipeline import as_ready
from sorce.ingest.report import Watch
from sorce.ingest.retry import Retry
from sorce.ingest.write import Sender, Sent, requests
from sorce.mappings import Recipe, Rejected
from sorce.mappings.found import FoundIndex
from sorce.models.model import Model
from sorce.models.querybank import querybank
from sorce.options import Cluster
from sorce.pictures.source import Source

Photos = Sequence[Source | Rejected]


@dataclass(frozen=True)
class Assignment:
    """What each worker of a run must know.

    `load` opens the model, which must have this `recipe`. `found` is the index as it was looked up, `before` the one
    that an alias moves away from. `threads` is how many CPUs a worker has.
    """

    cluster: Cluster
    load: Callable[[], Model[Any]]
    recipe: Recipe
    index: str
    found: FoundIndex | None
    before: FoundIndex | None
    wanted: Wanted
    threads: int
    retry_timeout: float


@dataclass
class Done:
    """What became of a batch, except for its documents: these go from the worker to the writer."""

    unchanged: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    updates: int = 0
    batches: list[Batch] = field(default_factory=list)

    @property
    def writes(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.updates or self.batches)


class Telling(Watch):
    """Stores messages for the user until the driver asks for them."""

    def __init__(self) -> None:
        super().__init__()
        self._said: SimpleQueue[tuple[str, float]] = SimpleQueue()

    def waiting(self, reason: str, seconds: float) -> None:
        self._said.put((reason, seconds))

    def next(self) -> tuple[str, float]:
        """Waits until there is something."""
        return self._said.get()


class Member:
    """One process of a run. Nothing is opened when it is made: an error would reach the user as Ray's traceback."""

    def __init__(self) -> None:
        self._watch = Telling()

    def news(self) -> tuple[str, float]:
        """Waits until the cluster does not answer: the reason, and the seconds for which it is asked again."""
        return self._watch.next()

    def stop(self) -> None:
        """Photos that are not encoded yet are left out, and nothing waits any longer for the cluster."""
        self._watch.stop.set()


class BatchWorker(Member):
    """Compares, decodes and encodes batches of photos, two at once: one is decoded while the other is encoded."""

    def __init__(self, assignment: Assignment) -> None:
        super().__init__()
        self._assignment = assignment
        self._opening = Lock()
        self._stages: _Stages | None = None

    def ready(self) -> None:
        """Opens the model and the connection. Raises SorceError."""
        self._opened()

    def run(self, photos: Photos) -> tuple[Done, list[Write]]:
        """Raises SorceError."""
        stages = self._opened()
        with translate_errors(address(stages.client)):
            return stages(photos)

    def _opened(self) -> _Stages:
        with self._opening:
            if self._stages is None:
                self._stages = _Stages(self._assignment, self._watch)
            return self._stages


class _Stages:
    def __init__(self, assignment: Assignment, watch: Watch) -> None:
        model = assignment.load()
        if torch := sys.modules.get("torch"):
            # It computes in as many threads as the machine has cores, unless it is told how many it may use.
            torch.set_num_threads(assignment.threads)
        if model.recipe != assignment.recipe:
            raise SorceError(
                f"a worker on {socket.gethostname()} makes other vectors ({model.recipe}) than this machine "
                f"({assignment.recipe}); install the same versions of all packages on all machines, "
                "with the same files of the model."
            )
        self.client = assignment.cluster.connect()
        there = None if assignment.found is None else assignment.found.recipe
        self._retry = Retry(assignment.retry_timeout, watch)
        before = None if assignment.before is None else _target(self.client, assignment, assignment.before)
        self._compare = Compare(_target(self.client, assignment, assignment.found), before)
        self._encode = Encode(model, querybank(model, there), assignment.wanted)
        self._decoder = Decoder(model.prepare, assignment.wanted, assignment.threads)
        self._pool = ThreadPoolExecutor(assignment.threads, thread_name_prefix="decode")
        self._pace, self._watch, self._encoding = Pace(assignment.threads), watch, Lock()

    def __call__(self, photos: Photos) -> tuple[Done, list[Write]]:
        jobs = self._retry.ask(partial(self._compare, photos))
        ready = as_ready(self._pool, self._decoder, jobs or [], self._pace)
        return sorted_out(encoded(self._alone, ready, self._pace, self._watch))

    def _alone(self, batch: Sequence[Ready[Any]]) -> Batch:
        """The network gets one batch at a time."""
        with self._encoding:
            return self._encode(batch)


def sorted_out(outcomes: Iterable[Batch | WriteFields | Unchanged | Rejected]) -> tuple[Done, list[Write]]:
    """The writes, and what to count apart from them."""
    done, writes = Done(), list[Write]()
    for outcome in outcomes:
        match outcome:
            case Unchanged():
                done.unchanged += 1
            case Rejected():
                done.rejected.append(outcome)
            case WriteFields():
                done.updates += 1
                writes.append(outcome)
            case Batch():
                writes += outcome.writes
                done.batches.append(replace(outcome, writes=[]))
    return done, writes


class ClusterWriter(Member):
    """Writes the documents of all workers of a run.

    It is one process, with a thread for each request that may be sent at once. So the whole run never sends more, and
    all its threads wait while the cluster is busy.
    """

    def __init__(self, cluster: Cluster, retry_timeout: float) -> None:
        super().__init__()
        self._cluster = cluster
        self._retry = Retry(retry_timeout, self._watch)
        self._connecting = Lock()
        self._client: OpenSearch | None = None

    def write(self, guard: Guard, writes: Sequence[Write]) -> Sent:
        """What became of them, without the documents. Raises SorceError."""
        client = self._connected()
        with translate_errors(address(client)):
            sent = [Sender(client, guard, self._retry).send(some) for some in requests(writes)]
        return Sent(
            [_without_document(write) for each in sent for write in each.written],
            [reject for each in sent for reject in each.rejected],
            [],
            sum(each.seconds for each in sent),
        )

    def _connected(self) -> OpenSearch:
        with self._connecting:
            if self._client is None:
                self._client = self._cluster.connect()
            return self._client


def _without_document(write: Write) -> Write:
    return replace(write, document=b"") if isinstance(write, WriteDocument) else write


def _target(client: OpenSearch, assignment: Assignment, found: FoundIndex | None) -> TargetIndex:
    target = TargetIndex(client, assignment.index if found is None else found.asked)
    target.found = found
    return target
