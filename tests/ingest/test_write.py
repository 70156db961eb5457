"""The writer with a cluster that fails in every known way: nothing is lost, and nothing is sent in vain."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from threading import Barrier, Lock
from typing import Any, ClassVar

import numpy as np
import pytest
from opensearchpy import Connection, OpenSearch, exceptions

from sorce.errors import ClusterError
from sorce.ingest import Watch
from sorce.ingest import retry as retry
from sorce.ingest.actions import WriteDocument, document_json
from sorce.ingest.guard import NOBODY, Guard
from sorce.ingest.retry import Retry
from sorce.ingest.write import Sender, Sent, Writer
from sorce.mappings import Rejected

Status = int
Reply = Callable[[list[str]], Any]


class Scripted(Connection):
    """A cluster that answers each request by the next line of a script; when that ends, it takes all."""

    script: ClassVar[deque[Reply]] = deque()
    asked: ClassVar[list[list[str]]] = []
    lock = Lock()

    def close(self) -> None:
        """There is nothing to close."""

    def perform_request(self, *request: Any, **more: Any) -> Any:  # noqa: ARG002
        ids = [action["_id"] for action in actions(request[3]) if action["_id"] != NOBODY]
        with self.lock:
            self.asked.append(ids)
            reply = self.script.popleft() if self.script else items()
        return 200, {}, json.dumps({"items": [*HERE, *reply(ids)]})


def actions(body: bytes) -> Iterator[dict[str, Any]]:
    """What each action of a bulk request says, without the documents."""
    lines = iter(body.splitlines())
    for line in lines:
        [(kind, action)] = json.loads(line).items()
        yield action
        if kind != "delete":
            next(lines)


HERE = [
    {"update": {"status": 404, "error": {"type": "index_not_found_exception", "index_uuid": "_na_"}}},
    {"delete": {"status": 409, "error": {"type": "version_conflict_engine_exception", "index_uuid": "abc"}}},
]
"""The answers to the guard's two actions where all is well."""


def items(*statuses: Status, kind: str = "some_exception", reason: str = "because") -> Reply:
    """These statuses, one for each document; without any, all are taken."""

    def reply(ids: list[str]) -> list[Any]:
        given = statuses or [201] * len(ids)
        error = {"type": kind, "reason": reason}
        return [{"index": {"status": status} | ({"error": error} if status >= 300 else {})} for status in given]

    return reply


def fails(error: Exception) -> Reply:
    def reply(_: list[str]) -> Any:
        raise error

    return reply


def http(status: int, reason: str = "because") -> Exception:
    return exceptions.TransportError(status, "some_exception", {"error": {"root_cause": [{"reason": reason}]}})


def tls(said: str) -> Exception:
    """As a restart behind TLS looks, and as distrust does."""
    return exceptions.SSLError("N/A", said, Exception(said))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.001)


@pytest.fixture
def cluster() -> Iterator[OpenSearch]:
    Scripted.script, Scripted.asked = deque(), []
    with OpenSearch(connection_class=Scripted, max_retries=0) as client:
        yield client


def ignored(_: Sent) -> None:
    """What became of the writes is asked elsewhere."""


def write(name: str, size: int = 20) -> WriteDocument:
    return WriteDocument(name, name, "new", None, json.dumps("x" * size).encode(), 1)


def sender(cluster: OpenSearch, retry: Retry | None = None) -> Sender:
    return Sender(cluster, Guard("photos", "photos", "abc"), retry or Retry())


def send(cluster: OpenSearch, names: str, *script: Reply, **options: Any) -> Sent:
    Scripted.script.extend(script)
    return sender(cluster, Retry(**options)).send([write(name) for name in names])


def written(sent: Sent) -> str:
    return "".join(write.name for write in sent.written)


def test_only_the_items_that_failed_are_sent_again(cluster: OpenSearch) -> None:
    sent = send(cluster, "abcde", items(201, 429, 200, 503, 201), items(201, 429))
    assert Scripted.asked == [list("abcde"), list("bd"), list("d")]
    assert sorted(written(sent)) == list("abcde")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_cluster_is_asked_again(cluster: OpenSearch, status: int) -> None:
    assert written(send(cluster, "a", items(status))) == "a"


@pytest.mark.parametrize(
    "error",
    [
        http(429),
        http(502),
        http(503),
        http(504),
        exceptions.ConnectionTimeout("TIMEOUT", "timed out", Exception()),
        exceptions.ConnectionError("N/A", "connection reset", Exception()),
        exceptions.SerializationError("{", ValueError("broken off")),
        tls("[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol (_ssl.c:1006)"),
        tls("[SSL: TLSV1_ALERT_INTERNAL_ERROR] tlsv1 alert internal error (_ssl.c:1006)"),
    ],
)
def test_a_request_that_failed_as_a_whole_is_sent_again(cluster: OpenSearch, error: Exception) -> None:
    assert written(send(cluster, "ab", fails(error), fails(error))) == "ab"
    assert Scripted.asked == [list("ab")] * 3


@pytest.mark.parametrize(
    "said",
    [
        "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1006)",
        "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required (_ssl.c:2580)",
    ],
)
def test_a_certificate_that_is_not_trusted_stops_at_once(cluster: OpenSearch, said: str) -> None:
    with pytest.raises(exceptions.SSLError):
        send(cluster, "ab", fails(tls(said)))
    assert Scripted.asked == [list("ab")]


def test_an_item_that_the_cluster_refuses_is_rejected_with_its_reason_and_the_rest_goes_on(cluster: OpenSearch) -> None:
    sent = send(cluster, "abc", items(201, 400, 201, reason="failed to parse field [bytes]"))
    assert written(sent) == "ac"
    assert sent.rejected == [Rejected("b", "was refused by the cluster: failed to parse field [bytes] (400)")]


def test_a_request_too_large_is_halved(cluster: OpenSearch) -> None:
    too_large = fails(http(413))
    assert written(send(cluster, "abcd", too_large, items(), too_large, items(), items())) == "abcd"
    assert Scripted.asked == [list("abcd"), list("ab"), list("cd"), ["c"], ["d"]]


def test_a_document_too_large_alone_is_rejected(cluster: OpenSearch) -> None:
    sent = send(cluster, "a", fails(http(413)))
    assert sent.rejected == [Rejected("a", "its document of 0.0 MB is larger than the cluster takes (413)")]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_that_concerns_all_stops_at_once(cluster: OpenSearch, status: int) -> None:
    with pytest.raises(
        ClusterError, match=rf"^index 'photos' accepts no photos: no permissions \({status}\); correct that"
    ):
        send(cluster, "ab", items(status, status, reason="no permissions"))
    assert len(Scripted.asked) == 1


def test_a_full_disk_is_waited_for(cluster: OpenSearch) -> None:
    full = items(403, reason="index [photos] blocked by: [FORBIDDEN/12/index read-only / allow delete (api)];")
    assert written(send(cluster, "a", full, full)) == "a"


def test_an_index_closed_for_writing_is_not_waited_for(cluster: OpenSearch) -> None:
    with pytest.raises(ClusterError, match="FORBIDDEN/8"):
        send(cluster, "a", items(403, reason="index [photos] blocked by: [FORBIDDEN/8/index write (api)];"))


def test_a_cluster_that_never_recovers_is_given_up_with_a_sentence(cluster: OpenSearch) -> None:
    with pytest.raises(
        ClusterError, match=r"^the cluster accepted nothing for 0 s \(rejected execution \(429\)\); correct"
    ):
        send(cluster, "a", *[items(429, reason="rejected execution")] * 1000, seconds=0.05)


def test_waiting_is_told(cluster: OpenSearch) -> None:
    class Listening(Watch):
        def waiting(self, reason: str, seconds: float) -> None:  # noqa: ARG002
            heard.append(reason)

    heard: list[str] = []
    send(cluster, "a", *[items(429, reason="queue full")] * 3, watch=Listening())
    assert heard == ["queue full (429)"] * 2


def test_a_stop_ends_the_waiting(cluster: OpenSearch) -> None:
    watch = Watch()
    watch.stop.set()
    assert send(cluster, "ab", items(201, 429), watch=watch).rejected == []
    assert len(Scripted.asked) == 1


def test_requests_are_bounded_by_bytes(cluster: OpenSearch) -> None:
    writes = [write(name) for name in "abcdefg"]
    size = writes[0].size
    with Writer(sender(cluster), ignored, most_bytes=3 * size) as writer:
        for each in writes:
            writer.add(each)
    assert sorted(map(len, Scripted.asked)) == [1, 3, 3]
    assert sorted(name for ids in Scripted.asked for name in ids) == list("abcdefg")


def test_a_document_larger_than_the_bound_goes_alone(cluster: OpenSearch) -> None:
    with Writer(sender(cluster), ignored, most_bytes=100) as writer:
        for each in [write("a"), write("b", size=500), write("c")]:
            writer.add(each)
    assert sorted(Scripted.asked) == [["a"], ["b"], ["c"]]


def test_two_requests_are_sent_at_once(cluster: OpenSearch) -> None:
    both_here = Barrier(2, timeout=60)

    def meet(ids: list[str]) -> Any:
        both_here.wait()
        return items()(ids)

    Scripted.script.extend([meet, meet])
    with Writer(sender(cluster), ignored, most_bytes=1) as writer:
        for name in "ab":
            writer.add(write(name))


def test_a_writer_that_cannot_keep_up_holds_the_others_back(cluster: OpenSearch) -> None:
    """No more than four requests wait or are sent, however many documents come."""
    most = 0
    taken: list[Sent] = []
    with Writer(sender(cluster), taken.append, most_bytes=1) as writer:
        for number in range(50):
            writer.add(write(str(number)))
            most = max(most, len(writer._under_way))
    assert most <= 4
    assert sum(len(sent.written) for sent in taken) == 50


def test_a_failure_reaches_who_adds(cluster: OpenSearch) -> None:
    Scripted.script.extend([items(403)] * 50)

    def add_all() -> None:
        with Writer(sender(cluster), ignored, most_bytes=1) as writer:
            for number in range(50):
                writer.add(write(str(number)))

    with pytest.raises(ClusterError):
        add_all()
    assert len(Scripted.asked) < 10


def test_vectors_are_written_in_full_precision() -> None:
    vector = np.array([1 / 3, 1e-8, -0.1], np.float32)
    body = document_json({"photo_id": "ab", "vec": vector})
    action, sent = WriteDocument("a.jpg", "ab", "new", None, body, 1).lines.splitlines()
    assert json.loads(action) == {"create": {"_id": "ab"}}
    assert np.array_equal(np.array(json.loads(sent)["vec"], np.float32), vector)
