"""Whatever is sent, the service answers as its own OpenAPI description says."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from sorce.cluster import connect
from sorce.mappings import Located, LocateRequest
from sorce.plugin.service import app as service
from sorce.plugin.service.looking import PhotoLooker
from tests.kit.album import MODEL, Album, fill
from tests.kit.localiser import FakeLocaliser
from tests.kit.serving import serving

KEY = {"Authorization": "Bearer secret"}
OPERATIONS = [
    ("/v1/embeddings", "POST"),
    ("/health", "GET"),
    ("/ready", "GET"),
    ("/v1/models", "GET"),
    ("/v1/models/{name}", "GET"),
]
LOOKING = [("/v1/rerank", "POST"), ("/v1/locate", "POST")]
BODIES = {
    "/v1/rerank": {"query": "red", "documents": ["a"]},
    "/v1/locate": {"uris": [], "ids": [], "texts": ["red"]},
}


class Anything(FakeLocaliser):
    """Sees one instance, however many are asked for."""

    def locate(self, requests: Sequence[LocateRequest], boxes: int = 1, min_score: float = 0.0) -> list[Located]:  # noqa: ARG002
        return super().locate(requests)


@pytest.fixture(scope="module")
def album(opensearch: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Album]:
    name = f"test-fuzz-{uuid.uuid4().hex[:8]}"
    with connect(opensearch) as client:
        yield fill(client, name, tmp_path_factory.mktemp("album"))
        client.indices.delete(index=name)


@pytest.fixture(scope="module")
def url(opensearch: str, album: Album) -> Iterator[str]:
    looker = PhotoLooker(connect(opensearch), album.index, MODEL.recipe, Anything(), [album.root])
    with serving(service.application(service.Served("words", MODEL, "secret", looker))) as url:
        yield url


@pytest.fixture(scope="module")
def schema(url: str) -> Any:
    # schemathesis does not count 413 as a refusal of an invalid request, but here too many texts are refused so.
    refusals = {"negative_data_rejection": {"expected-statuses": [400, 401, 404, 413, 422]}}
    config = schemathesis.Config.from_dict({"checks": refusals})
    return schemathesis.openapi.from_url(f"{url}/openapi.json", config=config)


def test_all_operations_are_tried(schema: Any) -> None:
    described = [(found.ok().path, found.ok().method.upper()) for found in schema.get_all_operations()]
    assert sorted(described) == sorted(OPERATIONS + LOOKING)


# No stored examples and no clock: the same requests each time, on any machine.
repeatable = settings(
    max_examples=80, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
# Each request reads the index. To make a failing example smaller would take minutes.
fewer = settings(repeatable, max_examples=40, phases=[Phase.generate])


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


def with_photo(body: Any, album: Album) -> Any:
    """A body that also asks about a photo of the album, and meets what the schema cannot say."""
    photo = album.photo("kitchen/0.png")
    uri = album.file("kitchen/0.png").as_uri()
    if "documents" in body:
        return {**body, "documents": [uri, *body["documents"][1:]]}
    uris = [uri, *body["uris"][1:]]
    ids = [photo, *(body["ids"][1:] + ["b"] * len(uris))][: len(uris)]
    return {**body, "uris": uris, "ids": ids, "texts": body["texts"][:4]}


def may_be_refused(body: Any) -> bool:
    """Whether a request in the right form may ask for what the index cannot answer."""
    given = body.get("params") or {}
    needs_phrase = any(given.get(name) for name in ("not", "not2"))
    return needs_phrase or any(given.get(name) for name in ("filter", "rank", "debias"))


@pytest.mark.parametrize(("path", "method"), LOOKING)
def test_looking_again_keeps_to_its_description(schema: Any, album: Album, path: str, method: str) -> None:
    answered: set[int] = set()

    @fewer
    @given(case=schema[path][method].as_strategy(generation_mode=GenerationMode.POSITIVE))
    def keeps(case: Any) -> None:
        case.body = with_photo(case.body, album)
        answer = case.call_and_validate(headers=KEY, excluded_checks=[ignored_auth, positive_data_acceptance])
        answered.add(answer.status_code)
        assert answer.status_code == 200 or (answer.status_code == 422 and may_be_refused(case.body)), answer.text
        if answer.status_code == 200:
            results = answer.json()["results"]
            assert len(results) == len(case.body.get("documents", case.body.get("uris"))) or "top_n" in case.body

    keeps()
    assert 200 in answered


@pytest.mark.parametrize(("path", "method"), LOOKING)
def test_looking_again_refuses_what_its_description_does_not_allow(schema: Any, path: str, method: str) -> None:
    answered: set[int] = set()

    @fewer
    @given(case=schema[path][method].as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def keeps(case: Any) -> None:
        answered.add(case.call_and_validate(headers=KEY, excluded_checks=[ignored_auth]).status_code)

    keeps()
    assert answered >= {400, 422}


@pytest.mark.parametrize("given_key", [{}, {"Authorization": "Bearer another"}])
@pytest.mark.parametrize("path", ["/v1/embeddings", *BODIES])
def test_a_stranger_is_refused_as_described(schema: Any, path: str, given_key: dict[str, str]) -> None:
    body = BODIES.get(path, {"input": "a"})
    case = schema[path]["POST"].Case(body=body, media_type="application/json")
    answer = case.call(headers=given_key)
    assert answer.status_code == 401
    case.validate_response(answer, excluded_checks=[ignored_auth])


@pytest.mark.parametrize("path", [path for path, _ in OPERATIONS + LOOKING])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD"])
def test_other_methods_are_refused_and_those_allowed_named(url: str, path: str, method: str) -> None:
    answer = httpx.request(
        method, url + path.replace("{name}", "words"), headers=KEY, json=BODIES.get(path, {"input": "a"})
    )
    [allowed] = [each for known, each in OPERATIONS + LOOKING if known == path]
    if method == allowed:
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)
