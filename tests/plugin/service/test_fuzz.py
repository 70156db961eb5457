"""Whatever is sent, the service answers as its own OpenAPI description says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth

from sorce.plugin.service import app as service
from tests.kit.corpus import Words
from tests.kit.serving import serving

KEY = {"Authorization": "Bearer secret"}
OPERATIONS = [
    ("/v1/embeddings", "POST"),
    ("/health", "GET"),
    ("/ready", "GET"),
    ("/v1/models", "GET"),
    ("/v1/models/{name}", "GET"),
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(service.application(service.Served("words", Words(), "secret"))) as url:
        yield url


@pytest.fixture(scope="module")
def schema(url: str) -> Any:
    # schemathesis does not count 413 as a refusal of an invalid request, but here too many texts are refused so.
    refusals = {"negative_data_rejection": {"expected-statuses": [400, 401, 404, 413, 422]}}
    config = schemathesis.Config.from_dict({"checks": refusals})
    return schemathesis.openapi.from_url(f"{url}/openapi.json", config=config)


def test_all_operations_are_tried(schema: Any) -> None:
    described = [(found.ok().path, found.ok().method.upper()) for found in schema.get_all_operations()]
    assert sorted(described) == sorted(OPERATIONS)


# No stored examples and no clock: the same requests each time, on any machine.
repeatable = settings(
    max_examples=80, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize(
    ("path", "method", "mode"),
    [
        (*OPERATIONS[0], GenerationMode.POSITIVE),
        (*OPERATIONS[0], GenerationMode.NEGATIVE),
        *((*operation, GenerationMode.POSITIVE) for operation in OPERATIONS[1:]),
    ],
)
def test_the_service_keeps_to_its_description(schema: Any, path: str, method: str, mode: GenerationMode) -> None:
    answered: set[int] = set()

    @repeatable
    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    def keeps(case: Any) -> None:
        # The check of the key is tested below: schemathesis's check would remove the key from requests.
        answered.add(case.call_and_validate(headers=KEY, excluded_checks=[ignored_auth]).status_code)

    keeps()
    # Any model name is a valid request, but all names except one are of models that are not served.
    expected = 404 if path.endswith("{name}") else 200
    assert answered >= ({expected} if mode is GenerationMode.POSITIVE else {400, 422})


@pytest.mark.parametrize("given_key", [{}, {"Authorization": "Bearer another"}])
def test_a_stranger_is_refused_as_described(schema: Any, given_key: dict[str, str]) -> None:
    case = schema["/v1/embeddings"]["POST"].Case(body={"input": "a"}, media_type="application/json")
    answer = case.call(headers=given_key)
    assert answer.status_code == 401
    case.validate_response(answer, excluded_checks=[ignored_auth])


@pytest.mark.parametrize("path", [path for path, _ in OPERATIONS])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD"])
def test_other_methods_are_refused_and_those_allowed_named(url: str, path: str, method: str) -> None:
    answer = httpx.request(method, url + path.replace("{name}", "words"), headers=KEY, json={"input": "a"})
    [allowed] = [each for known, each in OPERATIONS if known == path]
    if method == allowed:
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)
