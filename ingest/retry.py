"""Waits for temporary problems to end: a cluster that is busy, restarts, or has a full disk."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import TypeVar

from opensearchpy import exceptions

from sorce.cluster import distrusted, reason
from sorce.errors import ClusterError, SorceError
from sorce.ingest.report import Watch

Answer = TypeVar("Answer")

SECONDS = 300.0
FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0
DOUBLINGS = 10
"""More would exceed the longest delay by far, and in a wait of some hours all numbers."""
LOOK_UP = 0.2
"""A waiting thread checks this often, in seconds, whether the run has ended."""

BUSY = frozenset({408, 429})
DISK_FULL = "FORBIDDEN/12/"
"""A full disk makes an index read-only for a while. Most versions answer 429 then, others 403."""


class Interrupted(SorceError):
    """The run was asked to stop."""

    def __init__(self) -> None:
        super().__init__("the run was asked to stop; run the same command again for the rest.")


class Quiet:
    """Until when the cluster is asked nothing, by the clock of this process: all threads of a run share it."""

    def __init__(self) -> None:
        self._until = 0.0
        self._changing = Lock()

    @property
    def left(self) -> float:
        """Seconds."""
        return self._until - time.monotonic()

    def extend(self, seconds: float) -> None:
        with self._changing:
            self._until = max(self._until, time.monotonic() + seconds)


@dataclass(frozen=True)
class Retry:
    """How long a run waits for a cluster that accepts or answers nothing. For use from any thread.

    While one thread waits, the others do: a cluster that is busy must not get the requests of all of them.
    """

    seconds: float = SECONDS
    watch: Watch = field(default_factory=Watch)
    ended: Event = field(default_factory=Event)
    """Set when the run has failed: then nothing waits any longer."""
    quiet: Quiet = field(default_factory=Quiet)

    def ask(self, request: Callable[[], Answer]) -> Answer | None:
        """The answer to a request that is safe to repeat; None if the run ends first. Raises ClusterError."""
        try:
            return self._ask(request)
        except Interrupted:
            return None

    def insist(self, request: Callable[[], Answer]) -> Answer:
        """Like `ask`, for a request that must not be skipped. Raises Interrupted if the run ends or has ended."""
        if self.watch.stop.is_set():
            raise Interrupted
        return self._ask(request)

    def _ask(self, request: Callable[[], Answer]) -> Answer:
        wait = Backoff(self)
        while True:
            try:
                return request()
            except (exceptions.TransportError, exceptions.SerializationError) as error:
                why = passing(error)
                if why is None:
                    raise
                if not wait.again(why):
                    raise Interrupted from error

    def pause(self, seconds: float) -> bool:
        """False if the run ends meanwhile."""
        self.quiet.extend(seconds)
        return self.hold()

    def hold(self) -> bool:
        """Waits as long as any thread does. False if the run ends meanwhile."""
        while (left := self.quiet.left) > 0:
            if self.ended.is_set() or self.watch.stop.is_set():
                return False
            self.watch.stop.wait(min(left, LOOK_UP))
        return True


class Backoff:
    """For one request, which is repeated after longer and longer pauses."""

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self.progress()

    def progress(self) -> None:
        """Part of it succeeded."""
        self._attempt, self._since = 0, time.monotonic()

    def again(self, why: str) -> bool:
        """Whether to try again; True comes after a pause. Raises ClusterError when the retry timeout is over."""
        most = self._retry.seconds
        left = self._since + most - time.monotonic()
        if left <= 0:
            raise ClusterError(
                f"the cluster accepted nothing for {most:.0f} s ({why}); correct that, or wait longer "
                "with --retry-timeout, and run the same command again: what is written stays."
            )
        if self._attempt:
            self._retry.watch.waiting(why, left)
        # Jitter, so that writers that failed together do not retry together.
        delay = min(FIRST_DELAY * 2 ** min(self._attempt, DOUBLINGS), LONGEST_DELAY, left) * random.uniform(0.5, 1)
        self._attempt += 1
        return self._retry.pause(delay)


def passing(error: exceptions.TransportError | exceptions.SerializationError) -> str | None:
    """Why a failed request may succeed later; None if it will not."""
    # A restarting cluster breaks off TLS handshakes, too.
    if isinstance(error, exceptions.SSLError) and distrusted(error) is not None:
        return None
    if isinstance(error, (exceptions.ConnectionError, exceptions.SerializationError)):
        # A SerializationError is an answer that broke off.
        return f"no answer: {type(error).__name__}"
    said = reason(error)
    return f"{error.status_code}, {said}" if passes(error.status_code, said) else None


def passes(status: int | str, said: str) -> bool:
    """Whether the request may succeed later, judged by the status and the server's reason."""
    return DISK_FULL in said or (isinstance(status, int) and (status in BUSY or status >= 500))
