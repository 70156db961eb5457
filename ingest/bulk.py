"""Documents to the cluster: bounded by bytes, decided per document, sent again where that can help."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType

import orjson
from opensearchpy import OpenSearch, exceptions

from sorce.cluster import reason
from sorce.errors import ClusterError
from sorce.ingest.report import Watch
from sorce.mappings import Rejected

THREADS = 2
MOST_BYTES = 10_000_000
MOST_SECONDS = 10.0
"""What is encoded waits no longer for company, so that little is done twice after a power cut."""

PATIENCE = 300.0
FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0

BUSY = frozenset({429, 502, 503, 504})
FATAL = frozenset({401, 403, 404})
TOO_LARGE = 413
DISK_FULL = "FORBIDDEN/12/"


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
    watch: Watch = field(default_factory=Watch)
    patience: float = PATIENCE

    def send(self, writes: Sequence[Write]) -> Sent:
        """Raises ClusterError where the cluster refuses all, or takes nothing for `patience` seconds."""
        started = time.perf_counter()
        written: list[Write] = []
        rejected: list[Rejected] = []
        left = list(writes)
        attempt, progress = 0, time.monotonic()
        while True:
            answers = list(zip(left, self._ask(left), strict=True))
            written += [write for write, answer in answers if answer.fate is Fate.WRITTEN]
            rejected += [
                Rejected(write.name, answer.reason) for write, answer in answers if answer.fate is Fate.REJECTED
            ]
            again = [(write, answer.reason) for write, answer in answers if answer.fate is Fate.AGAIN]
            if len(again) < len(left):
                attempt, progress = 0, time.monotonic()
            left = [write for write, _ in again]
            if not again or not self._wait(attempt, progress + self.patience - time.monotonic(), again[0][1]):
                return Sent(written, rejected, time.perf_counter() - started)
            attempt += 1

    def _wait(self, attempt: int, left: float, why: str) -> bool:
        """Whether to try again."""
        if left <= 0:
            raise ClusterError(
                f"the cluster took nothing for {self.patience:.0f} s ({why}); what is written stays: "
                "mend it and run the same command again."
            )
        if attempt:
            self.watch.waiting(why, left)
        # Jitter, so that writers that failed together do not come back together.
        delay = min(FIRST_DELAY * 2**attempt, LONGEST_DELAY, left) * random.uniform(0.5, 1)
        return not self.watch.stop.wait(delay)

    def _ask(self, writes: Sequence[Write]) -> list[Answer]:
        """One request; several where it is too large for the cluster."""
        body = b"".join(write.lines for write in writes)
        params = {"filter_path": "items.*.status,items.*.error"}
        try:
            items = self.client.bulk(body=body, index=self.index, params=params)["items"]
        except (exceptions.ConnectionError, exceptions.SerializationError) as error:
            # The second is an answer that broke off.
            return [Answer(Fate.AGAIN, f"no answer: {type(error).__name__}")] * len(writes)
        except exceptions.TransportError as error:
            if error.status_code == TOO_LARGE:
                return self._halves(writes)
            if error.status_code not in BUSY:
                raise
            return [Answer(Fate.AGAIN, f"{error.status_code}, {reason(error)}")] * len(writes)
        return [self._answer(item["index"]["status"], item["index"].get("error", {})) for item in items]

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
        # A full disk makes an index read-only for a while, which is 429 by most versions and 403 by others.
        if status in BUSY or status >= 500 or DISK_FULL in said:
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
        self._under_way: deque[Future[Sent]] = deque()
        self._gathered: list[Write] = []
        self._bytes = 0
        self._since = 0.0

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._send()
                self._collect(0)
        finally:
            # What a failed run has under way is still finished; what waits behind it is not begun.
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
        for sent in self._finished():
            self._on_sent(sent)

    def _send(self) -> None:
        if self._gathered:
            # One request waits for each that is being sent, so that no writer is ever idle for long.
            self._collect(2 * THREADS - 1)
            self._under_way.append(self._pool.submit(self._sender.send, self._gathered))
            self._gathered, self._bytes = [], 0

    def _collect(self, most: int) -> None:
        """Waits until no more than so many requests are under way."""
        while len(self._under_way) > most:
            self._on_sent(self._under_way.popleft().result())

    def _finished(self) -> Iterator[Sent]:
        while self._under_way and self._under_way[0].done():
            yield self._under_way.popleft().result()
