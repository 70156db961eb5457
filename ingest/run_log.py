"""The log of a run in the cluster: who ingests what, how fast, and what was rejected. Dashboards shows it.

A problem with the log never stops the run: it is reported once, and the run goes on. Requests are not repeated and time
out after seconds; the next update brings everything up to date. The log's own thread sends them, the first ones when
photos are written: the start of a run does not wait for its log.
"""

from __future__ import annotations

import re
import socket
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import PurePosixPath
from threading import Event, Lock, Thread

import orjson
from opensearchpy import OpenSearch, exceptions

from sorce.cluster import reason
from sorce.ingest.report import Report, Watch
from sorce.mappings import Recipe, Rejected
from sorce.mappings.run_log import DONE, FAILED, REJECTS, RUNNING, RUNS, STOPPED, Json, log_body, monthly

EVERY = 30.0
"""Seconds between two updates."""

SECONDS = 5
"""How long the cluster may take for one request."""

MAX_WAITING = 10_000
"""Rejects that wait to be sent; more are counted, and not logged one by one."""

MAX_REASONS = 20
_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|(?<![\w-])\d[\d.,]*")


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run before its first photo: `index` is the name asked for, `target` the index written to."""

    index: str
    target: str
    recipe: Recipe
    expected: int
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    def as_json(self) -> Json:
        return {
            "run": self.run,
            "index": self.index,
            "target": self.target,
            "host": socket.gethostname(),
            "version": version("sorce"),
            "recipe": str(self.recipe),
            "recipe_hash": self.recipe.hash,
            "model": self.recipe.model,
            "regions_method": self.recipe.regions,
            "started_at": self.started.isoformat(),
            "expected": self.expected,
        }


class RunLog(Watch):
    """Receives the progress of one run. It goes to the cluster with the first photos, every 30 seconds and at the end.

    `tell` gets a sentence, once, if the log cannot be written.
    """

    def __init__(self, client: OpenSearch, facts: RunFacts, tell: Callable[[str], None]) -> None:
        super().__init__()
        self._client, self._facts, self._tell = client, facts, tell
        self._report: Callable[[], Report] = Report
        self._waiting: list[Json] = []
        self._reasons: Counter[str] = Counter()
        self._not_logged = 0
        self._lock, self._told = Lock(), False
        self._begun, self._ended = Event(), Event()
        self._made: set[str] = set()
        self._thread = Thread(target=self._keep_up, name="run log", daemon=True)

    def started(self, report: Callable[[], Report]) -> None:
        self._report = report

    def done(self, photos: int) -> None:  # noqa: ARG002
        if not self._begun.is_set():
            report = self._report()
            if report.new or report.changed:
                self._begun.set()

    def rejected(self, reject: Rejected) -> None:
        why = category(reject.reason)
        body = {"path": reject.path, "folder": str(PurePosixPath(reject.path).parent), "reason": why}
        stamped = {**body, "said": reject.reason, "at": datetime.now(UTC).isoformat()}
        with self._lock:
            self._reasons[why] += 1
            if len(self._waiting) < MAX_WAITING:
                self._waiting.append({"run": self._facts.run, "index": self._facts.index, **stamped})
            else:
                self._not_logged += 1

    def open(self) -> None:
        self._thread.start()

    def close(self, state: str, report: Report | None = None, error: str | None = None) -> None:
        """Writes the last state; without a report, the counts so far."""
        self._ended.set()
        self._begun.set()
        self._thread.join()
        self._write(state, report, {"ended_at": datetime.now(UTC).isoformat()} | ({"error": error} if error else {}))

    def _keep_up(self) -> None:
        self._begun.wait(EVERY)
        # From now on `done` need not look for the first photos.
        self._begun.set()
        while not self._ended.is_set():
            self._write(RUNNING, None)
            self._ended.wait(EVERY)

    def _write(self, state: str, report: Report | None, more: Json | None = None) -> None:
        try:
            self._send_rejects()
            body = {**self._facts.as_json(), **self._state(state, report), **(more or {})}
            path = f"/{self._index(RUNS, self._facts.started)}/_doc/{self._facts.run}"
            self._ask("PUT", path, orjson.dumps(body))
        except exceptions.OpenSearchException as error:
            said = reason(error) if isinstance(error, exceptions.TransportError) else str(error)
            if not self._told:
                self._told = True
                self._tell(f"the run log cannot be written ({said}); the run goes on without it.")

    def _state(self, state: str, report: Report | None) -> Json:
        report = self._report() if report is None else report
        seconds = report.seconds or 1
        with self._lock:
            reasons, not_logged = self._reasons.most_common(MAX_REASONS), self._not_logged
        return {
            "state": state,
            "updated_at": datetime.now(UTC).isoformat(),
            **{name: getattr(report, name) for name in ("photos", "new", "changed", "unchanged", "rejected")},
            **{name: getattr(report, name) for name in ("pruned", "others", "regions", "seconds")},
            "photos_per_second": report.photos_per_second,
            "regions_per_second": report.regions / seconds,
            "seconds_by_stage": {"decode": report.decode, "encode": report.encode, "write": report.write},
            "rejects_by_reason": [{"reason": why, "count": count} for why, count in reasons],
            "rejects_not_logged": not_logged,
        }

    def _send_rejects(self) -> None:
        """Those that the cluster did not take wait for the next time."""
        with self._lock:
            waiting = self._waiting
            self._waiting = []
        try:
            while waiting:
                path = f"/{self._index(REJECTS, datetime.now(UTC))}/_bulk"
                self._ask("POST", path, _lines(waiting[:1000]))
                waiting = waiting[1000:]
        finally:
            with self._lock:
                self._waiting = waiting + self._waiting

    def _index(self, kind: str, at: datetime) -> str:
        """The month's index, made if there is none: with the fields' types, whether or not there is a template."""
        name = monthly(kind, at)
        if name not in self._made:
            try:
                self._ask("PUT", f"/{name}", orjson.dumps(log_body(kind)))
            except exceptions.RequestError as error:
                if error.error != "resource_already_exists_exception":
                    raise
            self._made.add(name)
        return name

    def _ask(self, method: str, path: str, body: bytes) -> None:
        # Without the client's own retries: a cluster that does not answer must not hold up the end of a run.
        kind = {"content-type": "application/x-ndjson" if path.endswith("_bulk") else "application/json"}
        self._client.transport.get_connection().perform_request(method, path, {}, body, timeout=SECONDS, headers=kind)


@contextmanager
def logged(log: RunLog | None) -> Iterator[None]:
    """Keeps the log, and writes its last state if the run fails. The caller, who has the report, closes the log."""
    if log is None:
        yield
        return
    log.open()
    try:
        yield
    except BaseException as error:
        log.close(FAILED, error=str(error) or type(error).__name__)
        raise


def state_of(report: Report) -> str:
    return STOPPED if report.stopped else DONE


def category(said: str) -> str:
    """A reason without what differs from file to file, so that equal reasons are counted together."""
    return _VARYING.sub("...", said)


def _lines(bodies: Sequence[Json]) -> bytes:
    return b"".join(b'{"create":{}}\n%s\n' % orjson.dumps(body) for body in bodies)
