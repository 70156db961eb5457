"""Documents to the cluster: bounded by bytes, decided per document, sent again where that can help."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Any
from urllib.parse import quote

import orjson
from opensearchpy import OpenSearch, exceptions

from sorce.errors import ClusterError
from sorce.ingest.retry import Backoff, Retry, passes, passing
from sorce.mappings import Rejected

THREADS = 2
MOST_BYTES = 10_000_000
MOST_SECONDS = 10.0
"""What is encoded waits no longer for company, so that little is done twice after a power cut."""

FATAL = frozenset({401, 403, 404})
TOO_LARGE = 413


@dataclass(frozen=True, slots=True)
class Write:
    """A document on its way: `name` is for a person, `lines` are those of the bulk request."""

    name: str
    lines: bytes
    is_new: bool
    regions: int


def index_lines(document: dict[str, object]) -> bytes:
    """The two lines that index a document under its `photo_id`, numpy arrays and all."""
    action = orjson.dumps({"index": {"_id": document["photo_id"]}})
    return b"%s\n%s\n" % (action, orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY))


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of some writes. What is in neither list was given up because the run was asked to stop."""

    written: list[Write]
    rejected: list[Rejected]
    seconds: float


class Fate(Enum):
    WRITTEN = "written"
    REJECTED = "rejected"
    AGAIN = "again"


@dataclass(frozen=True, slots=True)
class Answer:
    """The cluster's word on one write."""

    fate: Fate
    reason: str = ""


@dataclass(frozen=True)
class Sender:
    """Sends writes until each is written or rejected. Any thread.

    Writing is repeated freely: a document's id is its photo's, so that a second copy replaces the first.
    """

    client: OpenSearch
    index: str
    retry: Retry = field(default_factory=Retry)

    def send(self, writes: Sequence[Write]) -> Sent:
        """Raises ClusterError where the cluster refuses all, or takes nothing until the retry timeout."""
        if self.retry.ended.is_set():
            return Sent([], [], 0.0)
        try:
            return self._send(writes)
        except BaseException:
            self.retry.ended.set()
            raise

    def _send(self, writes: Sequence[Write]) -> Sent:
        started = time.perf_counter()
        written: list[Write] = []
        rejected: list[Rejected] = []
        left, waiting = list(writes), Backoff(self.retry)
        while True:
            answers = list(zip(left, self._ask(left), strict=True))
            written += [write for write, answer in answers if answer.fate is Fate.WRITTEN]
            rejected += [
                Rejected(write.name, answer.reason) for write, answer in answers if answer.fate is Fate.REJECTED
            ]
            again = [(write, answer.reason) for write, answer in answers if answer.fate is Fate.AGAIN]
            if len(again) < len(left):
                waiting.progress()
            left = [write for write, _ in again]
            if not again or not waiting.again(again[0][1]):
                return Sent(written, rejected, time.perf_counter() - started)

    def _ask(self, writes: Sequence[Write]) -> list[Answer]:
        """One request; several where it is too large for the cluster."""
        try:
            items = self._bulk(b"".join(write.lines for write in writes))
        except (exceptions.TransportError, exceptions.SerializationError) as error:
            if isinstance(error, exceptions.TransportError) and error.status_code == TOO_LARGE:
                return self._halves(writes)
            why = passing(error)
            if why is None:
                raise
            return [Answer(Fate.AGAIN, why)] * len(writes)
        if len(items) != len(writes):
            return [Answer(Fate.AGAIN, f"an answer for {len(items)} of {len(writes)} documents")] * len(writes)
        return [self._answer(item["index"]["status"], item["index"].get("error", {})) for item in items]

    def _bulk(self, body: bytes) -> list[Any]:
        # Not by the client itself, which would send all of it again, three times and at once.
        connection = self.client.transport.get_connection()
        params = {"filter_path": "items.*.status,items.*.error"}
        _, _, answer = connection.perform_request("POST", f"/{quote(self.index)}/_bulk", params, body)
        try:
            return list(orjson.loads(answer)["items"])
        except (ValueError, LookupError, TypeError) as error:
            raise exceptions.SerializationError(answer, error) from error

    def _halves(self, writes: Sequence[Write]) -> list[Answer]:
        if len(writes) == 1:
            size = len(writes[0].lines) / 1e6
            return [Answer(Fate.REJECTED, f"its document of {size:.1f} MB is larger than the cluster takes (413)")]
        middle = len(writes) // 2
        return self._ask(writes[:middle]) + self._ask(writes[middle:])

    def _answer(self, status: int, error: dict[str, str]) -> Answer:
        if status < 300:
            return Answer(Fate.WRITTEN)
        said = f"{error.get('reason', 'no reason given')} ({status})"
        if passes(status, said):
            return Answer(Fate.AGAIN, said)
        if status in FATAL:
            raise ClusterError(
                f"index '{self.index}' takes no photos: {said}; mend that and run the same command again."
            )
        return Answer(Fate.REJECTED, f"was refused by the cluster: {said}")


class Writer:
    """Gathers writes into requests and sends them in threads of its own; `add` waits where they cannot keep up.

    `on_sent` is called in the thread that adds.
    """

    def __init__(self, sender: Sender, on_sent: Callable[[Sent], None], most_bytes: int = MOST_BYTES) -> None:
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
        done = False
        try:
            if kind is None:
                self._send()
                self._collect(0)
                done = True
        finally:
            # What a failed run has under way is still finished; what waits behind it, or for the cluster, is not.
            if not done:
                self._sender.retry.ended.set()
            self._pool.shutdown(cancel_futures=True)

    def add(self, write: Write) -> None:
        """Raises whatever stopped an earlier request."""
        if self._bytes + len(write.lines) > self._most_bytes:
            self._send()
        if not self._gathered:
            self._since = time.monotonic()
        self._gathered.append(write)
        self._bytes += len(write.lines)
        if time.monotonic() - self._since > MOST_SECONDS:
            self._send()
        self._collect(len(self._under_way))

    def _send(self) -> None:
        if self._gathered:
            # One request waits for each that is being sent, so that no writer is ever idle for long.
            self._collect(2 * THREADS - 1)
            self._under_way.add(self._pool.submit(self._sender.send, self._gathered))
            self._gathered, self._bytes = [], 0

    def _collect(self, most: int) -> None:
        """Takes what is finished, and waits until no more than so many requests are under way."""
        while self._under_way:
            enough = len(self._under_way) <= most
            finished, self._under_way = wait(self._under_way, 0 if enough else None, FIRST_COMPLETED)
            for future in finished:
                self._on_sent(future.result())
            if enough:
                return
