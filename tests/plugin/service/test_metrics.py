"""The service's metrics agree with what was sent, and each request has an id."""

from __future__ import annotations

import logging
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from sorce.plugin.service import app as service
from sorce.plugin.service.commands import serve
from tests.kit.corpus import RECIPE, Words
from tests.kit.serving import serving

SENT = [
    ("POST", "/v1/embeddings", {"input": ["a kite", "sea"]}, 200),
    ("POST", "/v1/embeddings", {"input": []}, 422),
    ("POST", "/v1/embeddings", {"input": "a", "model": "other"}, 404),
    ("GET", "/health", None, 200),
    ("GET", "/v1/models/words", None, 200),
    ("GET", "/v1/models/nope", None, 404),
    ("GET", "/nowhere/at/all", None, 404),
    ("GET", "/v1/embeddings", None, 405),
]
ROUTES = {"/v1/models/words": "/v1/models/{name:path}", "/v1/models/nope": "/v1/models/{name:path}"}


def sample(text: str, name: str, **labels: str) -> float:
    for family in text_string_to_metric_families(text):
        for each in family.samples:
            if each.name == name and each.labels == labels:
                return each.value
    return 0


@pytest.mark.fault("12.7.6")
def test_metrics_agree_with_what_was_sent() -> None:
    words = Words()
    with serving(service.application(service.Served(RECIPE.model, words))) as url, httpx.Client(base_url=url) as client:

        def send(number: int) -> tuple[str, str]:
            method, path, body, code = SENT[number % len(SENT)]
            if path == "/v1/embeddings" and code == 200:
                body = {"input": [f"text {number}", "sea"]}
            answer = client.request(method, path, json=body)
            assert answer.status_code == code, answer.text
            route = "other" if path == "/nowhere/at/all" else ROUTES.get(path, path)
            return route, str(code)

        with ThreadPoolExecutor(8) as pool:
            sent = Counter(pool.map(send, range(160)))
        answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    counted = {
        (route, code): sample(answer.text, "sorce_requests_total", route=route, code=code) for route, code in sent
    }
    assert counted == sent
    for route in {route for route, _ in sent}:
        times = sample(answer.text, "sorce_request_seconds_count", route=route)
        assert times == sum(number for (each, _), number in sent.items() if each == route)
    # The first call is the warm-up, which is no request's.
    assert sample(answer.text, "sorce_batch_texts_count") == len(words.calls) - 1
    assert sample(answer.text, "sorce_batch_texts_sum") == sum(map(len, words.calls[1:])) == 21
    assert sample(answer.text, "sorce_queue_texts") == 0


def application(key: str | None = None, words: Words | None = None) -> service.FastAPI:
    return service.application(service.Served(RECIPE.model, words or Words(), key))


@pytest.mark.parametrize(
    ("client", "key", "code"),
    [("127.0.0.1", None, 200), ("::1", None, 200), ("10.1.2.3", None, 401), ("10.1.2.3", "secret", 200)],
)
def test_metrics_need_the_key_unless_they_are_read_on_this_machine(client: str, key: str | None, code: int) -> None:
    caller = TestClient(application("secret"), client=(client, 5))
    given = {} if key is None else {"Authorization": f"Bearer {key}"}
    assert caller.get("/metrics", headers=given).status_code == code


def test_each_answer_has_an_id_and_the_log_has_the_same(caplog: pytest.LogCaptureFixture) -> None:
    with TestClient(application()) as caller, caplog.at_level(logging.INFO, "sorce.service.access"):
        made = caller.get("/health?q=secret").headers["X-Request-ID"]
        kept = caller.get("/nowhere", headers={"X-Request-ID": "my-id.7"}).headers["X-Request-ID"]
        other = caller.get("/health", headers={"X-Request-ID": "two words"}).headers["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]{32}", made)
    assert kept == "my-id.7"
    assert re.fullmatch(r"[0-9a-f]{32}", other)
    lines = [record.getMessage() for record in caplog.records]
    assert re.fullmatch(rf'testclient "GET /health" 200 \d+\.\d ms {made}', lines[0])
    assert re.fullmatch(r'testclient "GET /nowhere" 404 \d+\.\d ms my-id\.7', lines[1])
    assert "secret" not in caplog.text


def test_a_failing_model_is_counted_and_its_answer_has_an_id() -> None:
    class Failing(Words):
        def embed_texts(self, texts):  # type: ignore[no-untyped-def]
            if self.calls:
                raise RuntimeError("no")
            return super().embed_texts(texts)

    with TestClient(application(words=Failing()), client=("127.0.0.1", 5), raise_server_exceptions=False) as caller:
        answer = caller.post("/v1/embeddings", json={"input": "a"}, headers={"X-Request-ID": "mine"})
        told = caller.get("/metrics").text
    assert sample(told, "sorce_requests_total", route="/v1/embeddings", code="500") == 1
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (500, "mine")


def test_the_example_for_prometheus_reads_the_metrics_with_a_key() -> None:
    [job] = yaml.safe_load((Path(__file__).parents[3] / "dashboards/prometheus.yml").read_text(encoding="utf-8"))[
        "scrape_configs"
    ]
    # The keys of a `scrape_config` in the documentation of Prometheus.
    assert job.keys() <= {"job_name", "metrics_path", "scrape_interval", "authorization", "static_configs"}
    assert job["authorization"].keys() == {"credentials_file"}
    [port] = [each.default for each in serve.params if each.name == "port"]
    assert [each.rpartition(":")[2] for each in job["static_configs"][0]["targets"]] == [str(port)]
    app = service.application(service.Served(RECIPE.model, Words(), "secret"))
    with TestClient(app) as client:
        # A key in a file is sent as a bearer token.
        codes = [
            client.get(job["metrics_path"], headers=each).status_code
            for each in ({"Authorization": "Bearer secret"}, {})
        ]
    assert codes == [200, 401]
