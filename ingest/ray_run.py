"""An ingest by many processes: `sorce ingest --ray`.

This process, the driver, lists the photos and hands them out in batches. Workers compare, decode and encode them; one
writer sends their documents. A batch is handed out when a worker has room for it, and forgotten when it is written. So
the driver's memory does not grow with the number of photos.

Plain actors, not Ray Data, as that would make its plan from all photos, and writes in as many tasks as it likes. Both
run what was lost again when a process dies, which changes nothing here: a document's id is that of its photo.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

from sorce.errors import SorceError
from sorce.ingest.compare import Compare
from sorce.ingest.encode import until
from sorce.ingest.guard import Guard
from sorce.ingest.index import TargetIndex
from sorce.ingest.pipeline import Run, default_workers
from sorce.ingest.ray_parts import Assignment, BatchWorker, ClusterWriter, Done
from sorce.ingest.ray_session import PATIENCE, Stopped, Team, placed, ray_running
from sorce.ingest.report import Report
from sorce.ingest.retry import Interrupted
from sorce.ingest.sources import once
from sorce.ingest.stats import Stats
from sorce.ingest.write import Sent
from sorce.mappings import Rejected
from sorce.models.model import Model
from sorce.options import Cluster
from sorce.pictures.source import Source

AT_ONCE = 32
"""Photos in a batch. A worker that is killed costs its batches again."""

AHEAD = 2
"""Batches that a worker has at once: one is decoded while the other is encoded."""

TRIES = 10
"""How often a batch is done again whose worker ended. Then it is taken to be the batch's fault."""

GRACE = 30.0
"""Seconds that the first worker waits for the others, so that all start alike."""

HUSH = 5.0
"""Seconds between two sentences that the cluster is waited for: each worker waits by itself."""


@dataclass(frozen=True)
class ByRay:
    """What an ingest by Ray needs beyond others: `load` opens the model in each worker."""

    team: Team
    cluster: Cluster
    load: Callable[[], Model[Any]]

    def __call__(self, run: Run, sources: Iterable[Source | Rejected], before: TargetIndex | None) -> Report:
        """Brings in all photos, with an index that `Run.prepare` has prepared. Raises SorceError."""
        started = time.perf_counter()
        try:
            with ray_running(self.team, max(default_workers(), self.team.workers or 1), run.watch.stop) as ray:
                return self.using(ray, run, sources, before, started)
        except Stopped:
            return run.stats.report()

    def using(
        self, ray: Any, run: Run, sources: Iterable[Source | Rejected], before: TargetIndex | None, started: float
    ) -> Report:
        """The same, with a Ray that runs already. `started` is when its start began. Raises Stopped."""
        run.retry.ask(Compare(run.target, before).refresh)
        crew = self._crew(ray, run, before)
        try:
            shift = Shift(ray, run, crew, partial(run.guard, before))
            shift.assemble()
            starting = time.perf_counter() - started
            run.watch.noted(f"Ray: {crew}, started in {starting:.1f} s.")
            run.stats = Stats(run.watch, crew.decoders, len(crew.workers), crew.writers)
            shift.work(until(run.watch, once(sources)))
            return replace(run.finish(), starting=starting)
        finally:
            for actor in (*crew.workers, crew.writer):
                ray.kill(actor)

    def _crew(self, ray: Any, run: Run, before: TargetIndex | None) -> Crew:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        workers, cpus = placed(nodes, self.team)
        retry = run.options.retry_timeout
        found, old = run.target.found, None if before is None else before.found
        assignment = Assignment(
            self.cluster, self.load, run.recipe, run.target.asked, found, old, run.wanted, cpus, retry
        )
        # A table of attributes is sent once, however many workers there are. The crew keeps it: a worker that starts
        # again needs it again.
        shared = ray.put(assignment) if run.wanted.by_photo else assignment
        lasting = {"max_restarts": -1, "max_task_retries": TRIES}
        groups = {"concurrency_groups": {"batches": AHEAD, "talk": 2}}
        hired = ray.remote(**groups)(BatchWorker).options(num_cpus=cpus, num_gpus=self.team.gpus, **lasting)
        groups = {"concurrency_groups": {"batches": self.team.writers, "talk": 2}}
        writer = ray.remote(**groups)(ClusterWriter).options(num_cpus=0, **lasting)
        return Crew(
            [hired.remote(shared) for _ in range(workers)],
            writer.remote(self.cluster, retry),
            cpus,
            self.team.writers,
            len(nodes),
            shared,
        )


@dataclass(frozen=True)
class Crew:
    """Ray's processes for one run. Each worker has `cpus`; the writer sends `writers` requests at once.

    `assignment` is what the workers must know, or Ray's reference to it.
    """

    workers: Sequence[Any]
    writer: Any
    cpus: int
    writers: int
    machines: int
    assignment: Any

    @property
    def decoders(self) -> int:
        return len(self.workers) * self.cpus

    def __str__(self) -> str:
        return f"{len(self.workers)} workers with {self.cpus} CPUs each, {self.machines} machines"


class Shift:
    """Hands out batches, and follows each until it is written."""

    def __init__(self, ray: Any, run: Run, crew: Crew, make_index: Callable[[], Guard]) -> None:
        self._ray, self._run, self.crew, self._make_index = ray, run, crew, make_index
        self._guard: Guard | None = None
        self._free: deque[Any] = deque()
        # What is awaited, and what to do with its result. Only batches and writes keep the run going.
        self._work: dict[Any, Callable[[Any], None]] = {}
        self._talk: dict[Any, Callable[[Any], None]] = {}
        self._writing, self._told, self._stopping = 0, 0.0, False

    def assemble(self) -> None:
        """Waits until the workers are ready, but not for long if only some are. Raises Stopped, and SorceError."""
        for worker in self.crew.workers:
            self._talk[worker.ready.options(concurrency_group="batches").remote()] = partial(self._joined, worker)
        since: float | None = None
        while self._talk and (since is None or time.monotonic() - since < GRACE):
            if self._run.watch.stop.is_set():
                raise Stopped
            self._take(PATIENCE)
            if self._free and since is None:
                since = time.monotonic()
        for actor in (*self.crew.workers, self.crew.writer):
            self._listen(actor)

    def work(self, sources: Iterator[Source | Rejected]) -> None:
        """Returns when all that was handed out is written."""
        more = True
        while more or self._work:
            more = more and self._hand_out(sources)
            self._take(PATIENCE)
            if self._run.watch.stop.is_set() and not self._stopping:
                self._stopping = True
                for actor in (*self.crew.workers, self.crew.writer):
                    actor.stop.options(concurrency_group="talk").remote()

    def _hand_out(self, sources: Iterator[Source | Rejected]) -> bool:
        """Whether there may be more photos."""
        while self._free and self._writing < 2 * self.crew.writers:
            photos = list(islice(sources, AT_ONCE))
            if not photos:
                return False
            worker = self._free.popleft()
            call = worker.run.options(num_returns=2, concurrency_group="batches")
            done, documents = call.remote(photos)
            self._work[done] = partial(self._encoded, worker, documents)
        return True

    def _encoded(self, worker: Any, documents: Any, done: Done) -> None:
        self._free.append(worker)
        stats = self._run.stats
        if done.unchanged:
            stats.unchanged(done.unchanged)
        for reject in done.rejected:
            stats.add(reject)
        for batch in done.batches:
            stats.add(batch)
        if done.writes and self._has_index():
            # The documents go from the worker's machine to the writer's, and not through this process.
            sent = self.crew.writer.write.options(concurrency_group="batches").remote(self._guard, documents)
            self._writing += 1
            # Kept until they are written: a writer that is killed is sent them again.
            self._work[sent] = partial(self._written, documents)

    def _has_index(self) -> bool:
        """Whether there is an index to write to. The first documents make it, unless the run was asked to stop."""
        with suppress(Interrupted):
            self._guard = self._guard or self._make_index()
        return self._guard is not None

    def _written(self, _documents: Any, sent: Sent) -> None:
        self._writing -= 1
        self._run.stats.add(sent)

    def _joined(self, worker: Any, _: None) -> None:
        self._free.extend([worker] * AHEAD)

    def _listen(self, actor: Any) -> None:
        news = actor.news.options(concurrency_group="talk", max_task_retries=-1).remote()
        self._talk[news] = partial(self._heard, actor)

    def _heard(self, actor: Any, said: tuple[str, float]) -> None:
        if time.monotonic() - self._told > HUSH:
            self._told = time.monotonic()
            self._run.watch.waiting(*said)
        self._listen(actor)

    def _take(self, seconds: float) -> None:
        """Works on one result, or returns when the time is over. Raises SorceError."""
        awaited = [*self._work, *self._talk]
        if not awaited:
            return
        finished, _ = self._ray.wait(awaited, timeout=seconds)
        for reference in finished:
            handle = self._work.pop(reference, None) or self._talk.pop(reference)
            handle(self._result(reference))

    def _result(self, reference: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:
            if isinstance(error.cause, SorceError):
                raise error.cause from None
            raise
        except errors.RayError as error:
            raise SorceError(
                f"Ray's workers ended {TRIES} times over the same photos, or cannot run ({type(error).__name__}); see "
                "whether they have memory enough, and run the same command again for the rest."
            ) from error
