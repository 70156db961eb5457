"""Sends documents to the cluster: requests of limited bytes, one result per document, retries where they can help."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Any
from urllib.parse import quote

import orjson
from opensearchpy import OpenSearch, exceptions

from sorce.errors import ClusterError
from sorce.ingest.actions import Deletion, Write
from sorce.ingest.guard import Guard, Item
from sorce.ingest.retry import Backoff, Retry, passes, passing
from sorce.mappings import Rejected
from sorce.mappings.lookup import DocumentState

THREADS = 2
MAX_BYTES = 10_000_000
MAX_SECONDS = 10.0
"""After this time a request is sent even if it is not full, so that a power cut costs little repeated work."""

FATAL = frozenset({401, 403, 404})
TOO_LARGE = 413
CONFLICT = "version_conflict_engine_exception"


@dataclass(frozen=True, slots=True)
class Sent:
    """The result of some writes. Writes in no list were given up because the run was asked to stop.

    `left_alone` are those whose document had changed meanwhile, so that nothing was done.
    """

    written: list[Write]
    rejected: list[Rejected]
    left_alone: list[Write]
    seconds: float


class Fate(Enum):
    WRITTEN = "written"
    REJECTED = "rejected"
    CONFLICT = "conflict"
    AGAIN = "again"


@dataclass(frozen=True, slots=True)
class Answer:
    """The cluster's answer to one write."""

    fate: Fate
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Pending:
    """A write, and the lines that are sent for it now."""

    write: Write
    lines: bytes


@dataclass(frozen=True)
class Sender:
    """Sends writes until each is written or rejected. For use from any thread.

    A write is safe to repeat: a document's id is its photo's id, so a second copy replaces the first. `guard` makes
    sure that nothing goes to another index.
    """

    client: OpenSearch
    guard: Guard
    retry: Retry = field(default_factory=Retry)

    def send(self, writes: Sequence[Write]) -> Sent:
        """Raises ClusterError if the cluster refuses everything, or accepts nothing until the retry timeout.

        Raises IndexReplaced if the name no longer stands for the index.
        """
        if self.retry.ended.is_set():
            return Sent([], [], [], 0.0)
        try:
            return self._send(writes)
        except BaseException:
            self.retry.ended.set()
            raise

    def _send(self, writes: Sequence[Write]) -> Sent:
        started = time.perf_counter()
        sent = Sent([], [], [], 0.0)
        left, waiting = [_Pending(write, write.lines) for write in writes], Backoff(self.retry)
        while self.retry.hold():
            answers = list(zip(left, self._ask(left), strict=True))
            left, why = self._sorted(answers, sent)
            if len(left) < len(answers):
                waiting.progress()
            # Writes with a version conflict are sent again at once, in their other form.
            if not left or (why is not None and not waiting.again(why)):
                break
        return Sent(sent.written, sent.rejected, sent.left_alone, time.perf_counter() - started)

    def _sorted(self, answers: Sequence[tuple[_Pending, Answer]], sent: Sent) -> tuple[list[_Pending], str | None]:
        """Adds the decided writes to `sent`. Returns those to send again, and why the cluster did not accept them."""
        left: list[_Pending] = []
        why: str | None = None
        for pending, answer in answers:
            write = pending.write
            if answer.fate is Fate.WRITTEN:
                sent.written.append(write)
            elif answer.fate is Fate.REJECTED:
                sent.rejected.append(Rejected(write.name, answer.reason))
            elif answer.fate is Fate.AGAIN:
                why = why or answer.reason
                left.append(pending)
            elif (lines := write.lines_after_conflict) is None:
                sent.left_alone.append(write)
            else:
                if lines == pending.lines:
                    why = why or answer.reason
                left.append(_Pending(write, lines))
        return left, why

    def _ask(self, writes: Sequence[_Pending]) -> list[Answer]:
        """Sends one request, or several if it is too large for the cluster."""
        guard = self.guard.of_request({pending.write.elsewhere for pending in writes})
        try:
            items = self._bulk(guard.lines + b"".join(pending.lines for pending in writes))
        except (exceptions.TransportError, exceptions.SerializationError) as error:
            if isinstance(error, exceptions.TransportError) and error.status_code == TOO_LARGE:
                return self._halves(writes)
            why = passing(error)
            if why is None:
                raise
            return [Answer(Fate.AGAIN, why)] * len(writes)
        if len(items) != guard.actions + len(writes):
            answered = max(0, len(items) - guard.actions)
            return [Answer(Fate.AGAIN, f"an answer for {answered} of {len(writes)} documents")] * len(writes)
        undecided = guard.undecided(items)
        if undecided is not None:
            answer = self._answer(undecided)
            # Writes that succeeded anyway come back as conflicts, and are found to be identical.
            return [Answer(Fate.AGAIN, answer.reason)] * len(writes)
        written = [next(iter(item.values())) for item in items[guard.actions :]]
        if guard.is_elsewhere(items):
            raise self._stop(writes, written)
        return [self._answer(item) for item in written]

    def _bulk(self, body: bytes) -> list[Any]:
        # Without the client's own retries: it would send everything again, three times and at once.
        connection = self.client.transport.get_connection()
        kept = ("status", "error", "result", "_index", "_seq_no", "_primary_term")
        params = {"filter_path": ",".join(f"items.*.{name}" for name in kept)}
        _, _, answer = connection.perform_request("POST", f"/{quote(self.guard.name)}/_bulk", params, body)
        try:
            return list(orjson.loads(answer)["items"])
        except (ValueError, LookupError, TypeError) as error:
            raise exceptions.SerializationError(answer, error) from error

    def _stop(self, writes: Sequence[_Pending], items: Sequence[Item]) -> ClusterError:
        """Removes what went to another index, if it was new there. Returns the error that ends the run."""
        done = [(pending.write, item) for pending, item in zip(writes, items, strict=True) if item["status"] < 300]
        new = [(write, item) for write, item in done if item.get("result") == "created"]
        changed = [item for _, item in done if item.get("result") in ("updated", "deleted")]
        if new:
            states = [(write, DocumentState.of(item, self.guard.name)) for write, item in new]
            deletions = [Deletion(write.name, write.photo_id, "pruned", state) for write, state in states]
            self._bulk(b"".join(deletion.lines for deletion in deletions))
        return self.guard.replaced(len(new), len(changed))

    def _halves(self, writes: Sequence[_Pending]) -> list[Answer]:
        if len(writes) == 1:
            size = len(writes[0].lines) / 1e6
            return [Answer(Fate.REJECTED, f"its document of {size:.1f} MB is larger than the cluster takes (413)")]
        middle = len(writes) // 2
        return self._ask(writes[:middle]) + self._ask(writes[middle:])

    def _answer(self, item: Item) -> Answer:
        status, error = item["status"], item.get("error", {})
        if status < 300:
            return Answer(Fate.WRITTEN)
        said = f"{error.get('reason', 'no reason given')} ({status})"
        if error.get("type") == CONFLICT:
            return Answer(Fate.CONFLICT, said)
        if passes(status, said):
            return Answer(Fate.AGAIN, said)
        if error.get("type") == "document_missing_exception":
            return Answer(Fate.REJECTED, "was deleted from the index meanwhile; run the same command again")
        if status in FATAL:
            raise ClusterError(
                f"index '{self.guard.name}' accepts no photos: {said}; correct that and run the same command again."
            )
        return Answer(Fate.REJECTED, f"was refused by the cluster: {said}")


def requests(writes: Iterable[Write]) -> Iterator[list[Write]]:
    """The writes in requests of limited bytes."""
    some, size = list[Write](), 0
    for write in writes:
        if some and size + write.size > MAX_BYTES:
            yield some
            some, size = [], 0
        some.append(write)
        size += write.size
    if some:
        yield some


class Writer:
    """Collects writes into requests and sends them in its own threads. `add` waits if they cannot keep up.

    `on_sent` is called in the thread that calls `add`.
    """

    def __init__(self, sender: Sender, on_sent: Callable[[Sent], None], most_bytes: int = MAX_BYTES) -> None:
        self._sender = sender
        self._on_sent = on_sent
        self._most_bytes = most_bytes
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="write")
        self._under_way: set[Future[Sent]] = set()
        self._gathered: list[Write] = []
        self._bytes = 0
        self._since = 0.0

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(complete=kind is None)

    def close(self, *, complete: bool) -> None:
        """Sends what is left, if the run is `complete`. Requests in progress are finished even if the run failed."""
        done = False
        try:
            if complete:
                self._send()
                self._collect(0)
                done = True
        finally:
            # Requests that wait behind it, or for the cluster, are not finished.
            if not done:
                self._sender.retry.ended.set()
            self._pool.shutdown(cancel_futures=True)

    def add(self, write: Write) -> None:
        """Raises any error that stopped an earlier request."""
        if self._bytes + write.size > self._most_bytes:
            self._send()
        if not self._gathered:
            self._since = time.monotonic()
        self._gathered.append(write)
        self._bytes += write.size
        if time.monotonic() - self._since > MAX_SECONDS:
            self._send()
        self._collect(len(self._under_way))

    def _send(self) -> None:
        if self._gathered:
            # One request waits for each that is being sent, so that no writer is idle for long.
            self._collect(2 * THREADS - 1)
            self._under_way.add(self._pool.submit(self._sender.send, self._gathered))
            self._gathered, self._bytes = [], 0

    def _collect(self, most: int) -> None:
        """Takes finished requests, and waits until no more than `most` are in progress."""
        while self._under_way:
            enough = len(self._under_way) <= most
            finished, self._under_way = wait(self._under_way, 0 if enough else None, FIRST_COMPLETED)
            for future in finished:
                self._on_sent(future.result())
            if enough:
                return
