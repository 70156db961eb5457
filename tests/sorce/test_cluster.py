"""All kinds of answers at the cluster's address, or none: each case is one sentence, which repeats no secret."""

from __future__ import annotations

import json
import socket
import traceback
from pathlib import Path

import pytest
from opensearchpy import OpenSearch, exceptions
from opensearchpy.helpers.errors import ScanError

from sorce import cluster
from sorce.access import Access
from sorce.cluster import QuickJson, connect, distrusted, translate_errors
from sorce.engine.certificates import Authority
from sorce.errors import ClusterError
from tests.kit.listening import listening, replying


@pytest.mark.fault("7.6.1")
def test_a_cluster_that_does_not_answer_in_time_is_not_said_to_be_away() -> None:
    said = r"has not answered in time; see whether it is overloaded, and try again\.$"
    with pytest.raises(ClusterError, match=said), translate_errors("http://here:9200"):
        raise exceptions.ConnectionTimeout("TIMEOUT", "read timeout=60", Exception())


SECRET = "s3cret-and-long"

ALERT_BY_TLS = b"\x15\x03\x03\x00\x02\x02"
"""A fatal alert. The number of the alert follows."""


@pytest.mark.parametrize(
    "url",
    [
        f"https://ada:{SECRET}/x@h:9200",
        f"https://ada:{SECRET}#x@h:9200",
        f"https://ada:{SECRET}?x@h:9200",
        f"ada:{SECRET}@h",
        f"https://ada:{SECRET}",
        f"https://h:99999{SECRET}",
        f"https://[{SECRET}",
        "https://h:0",
    ],
)
def test_a_url_that_may_hold_a_password_is_not_repeated(url: str) -> None:
    with pytest.raises(
        ClusterError, match=r"^the cluster's URL \(--url or OPENSEARCH_URL\) .* https://host:port"
    ) as no:
        connect(url)
    assert SECRET not in "".join(traceback.format_exception(no.value))


@pytest.mark.fault("11.5.1")
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"<html>welcome</html>", "text/html"),
        (b"{}", "application/json"),
        (b"[]", "application/json"),
        (b"{", "application/json"),
        (b"welcome", "text/plain"),
        (b'{"version": {"number": "soon"}}', "application/json"),
        (b'{"version": {"number": 3}}', "application/json"),
        # Elasticsearch.
        (b'{"version": {"number": "8.19.0", "build_flavor": "default"}}', "application/json"),
    ],
)
def test_what_is_no_opensearch_is_told(answer: bytes, kind: str) -> None:
    with (
        listening(answer=answer, kind=kind) as (url, _),
        pytest.raises(ClusterError, match=f"^what answers at {url} is no OpenSearch; give the cluster's own address"),
    ):
        connect(url)


@pytest.mark.fault("7.6.1")
def test_a_cluster_that_is_slow_is_not_taken_for_one_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "TIMEOUT_SECONDS", 0.2)
    # It accepts connections, but never answers.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ClusterError, match=f"^the cluster at {url} has not answered in time"):
            connect(url)


@pytest.mark.fault("10.7.2")
def test_a_refusal_without_a_reason_says_so() -> None:
    told = pytest.raises(ClusterError, match=r"\(403\): the cluster does not say which right is missing; ask its admin")
    with told, translate_errors("http://h"):
        raise exceptions.AuthorizationException(403, "", "")


@pytest.mark.parametrize("error", [ScanError("1", "2 shards failed"), exceptions.SerializationError("half")])
def test_an_answer_that_is_not_whole_is_a_sentence(error: Exception) -> None:
    told = pytest.raises(ClusterError, match=r"gave an answer that is not whole .*; run the same command again\.$")
    with told, translate_errors("http://h"):
        raise error


def failed(address: str, access: Access | None = None) -> exceptions.ConnectionError:
    access = access or Access(insecure=True)
    with (
        OpenSearch(f"https://{address}", max_retries=0, **access.arguments(f"https://{address}")) as client,
        pytest.raises(exceptions.ConnectionError) as caught,
    ):
        client.info()
    error: exceptions.ConnectionError = caught.value
    return error


@pytest.mark.parametrize("first", [b"", ALERT_BY_TLS + b"\x50", ALERT_BY_TLS + b"\x28"])
def test_a_handshake_that_breaks_off_is_no_question_of_trust(first: bytes) -> None:
    """End of file; the alerts `internal_error` and `handshake_failure`."""
    with replying(first) as url:
        error = failed(url.removeprefix("http://"))
        assert not isinstance(error, exceptions.SSLError) or distrusted(error) is None
        with pytest.raises(ClusterError, match=r"(broke off|no OpenSearch answers)"):
            connect(url.replace("http://", "https://"))


@pytest.mark.parametrize("alert", [42, 43, 44, 45, 46, 48, 49, 116])
def test_alerts_about_the_clients_certificate_are(alert: int) -> None:
    """bad_certificate, unsupported_, _revoked, _expired, _unknown, unknown_ca, access_denied, certificate_required."""
    with replying(ALERT_BY_TLS + bytes([alert])) as url:
        error = failed(url.removeprefix("http://"))
    assert isinstance(error, exceptions.SSLError)
    assert distrusted(error) == "it refuses this client's certificate; check OPENSEARCH_CLIENT_CERT"


def test_a_certificate_that_nobody_vouches_for_is(tmp_path: Path) -> None:
    with listening(Authority().issue("node"), tmp_path) as (url, _):
        error = failed(url.removeprefix("https://"), Access())
    assert isinstance(error, exceptions.SSLError)
    assert "nobody known here signed its certificate" in str(distrusted(error))


@pytest.mark.parametrize("text", ['{"a": 0.1}', '{"a": NaN}', '"\\ud800"', "18446744073709551615"])
def test_json_is_read_as_python_reads_it(text: str) -> None:
    assert repr(QuickJson().loads(text)) == repr(json.loads(text))


def test_what_is_no_json_is_refused_as_the_client_refuses_it() -> None:
    with pytest.raises(exceptions.SerializationError):
        QuickJson().loads("<html>")
