"""The second stage in the cluster: hits in the order of what a localiser saw, and never a failed search."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from opensearchpy import OpenSearch

from sorce.cluster import find_index
from sorce.errors import PluginError
from sorce.ingest import ingest_photos
from sorce.mappings import Hits
from sorce.mappings.filters import Filter
from sorce.mappings.names import Names
from sorce.mappings.request import SearchRequest
from sorce.pictures.files import Files
from sorce.pictures.source import Source
from sorce.plugin.cluster import locate
from sorce.plugin.cluster.allow_list import AllowList
from sorce.plugin.cluster.endpoint import Endpoint, parse, parse_localiser
from sorce.plugin.cluster.install import install, uninstall
from sorce.plugin.cluster.installed import get_pipeline
from sorce.plugin.cluster.locate import install_located
from sorce.plugin.cluster.ml_commons import MlCommons
from sorce.plugin.cluster.status import Step, status
from sorce.plugin.query.locating import SecondStage, look_again, with_enough
from sorce.plugin.query.search import ClientSearch
from sorce.plugin.query.server import ServerSearch
from sorce.plugin.query.server_locating import ServerStage
from sorce.plugin.query.table import as_json
from sorce.plugin.service import app as service
from sorce.plugin.service.looking import PhotoLooker
from tests.kit.fake import FakeModel
from tests.kit.localiser import FAULTS, FailingService, FakeLocaliser, failing, paint
from tests.kit.serving import serving

PHOTOS = 14
MODEL = FakeModel()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("photos")


@pytest.fixture(scope="module")
def photos(client: OpenSearch, folder: Path) -> Iterator[str]:
    """Photos on this disk, indexed."""
    paint(folder, PHOTOS)
    name = f"test-locate-{uuid.uuid4().hex[:8]}"
    ingest_photos(client, name, MODEL, [each for each in Files([str(folder)]) if isinstance(each, Source)])
    yield name
    client.indices.delete(index=name)


@pytest.fixture(scope="module")
def url(client: OpenSearch, photos: str, folder: Path) -> Iterator[str]:
    """`sorce serve --locate`, with a key."""
    looker = PhotoLooker(client, photos, MODEL.recipe, FakeLocaliser(), [folder])
    with serving(service.application(service.Served(MODEL.recipe.model, MODEL, "secret", looker))) as url:
        # The process that opens pictures starts here, not while a pipeline waits.
        body = {"query": "red", "documents": [(folder / "0.png").as_uri()]}
        httpx.post(f"{url}/v1/rerank", json=body, headers={"Authorization": "Bearer secret"}, timeout=60)
        yield url


@pytest.fixture(scope="module")
def between(url: str) -> Iterator[tuple[str, FailingService]]:
    """Stands between the cluster and the service, and can spoil the answers."""
    there = FailingService(url)
    with failing(there) as at:
        yield at, there


@pytest.fixture(scope="module")
def located(client: OpenSearch, photos: str, url: str, between: tuple[str, FailingService]) -> Iterator[str]:
    """The index, with both stages installed. The pipeline soon stops waiting for the localiser."""
    encoder = parse(url, MODEL.recipe.model, "secret")
    there = find_index(client, photos)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locate, "READ_SECONDS", 12)
        install(client, there, encoder, MODEL)
        install_located(client, there, parse_localiser(between[0], encoder))
        yield photos
        names = Names(photos)
        uninstall(client, photos)
    assert MlCommons(client).find("models", names.located) == {}
    assert get_pipeline(client, names.located) is None
    assert client.get_script(id=names.located, ignore=404)["found"] is False
    assert not any(between[0].removeprefix("http://127.0.0.1:") in pattern for pattern in AllowList(client).trusted)


def ask(client: OpenSearch, index: str, **params: Any) -> Any:
    name = Names(index).located
    body = {"id": name, "params": params}
    way = f"/{index}/_search/template"
    return client.transport.perform_request("POST", way, params={"search_pipeline": name}, body=body)["hits"]["hits"]


def looked(client: OpenSearch, index: str, folder: Path, request: SearchRequest, most: int) -> Hits:
    """What the client finds, and sees itself."""
    stage = SecondStage(FakeLocaliser(), most, [folder])
    return look_again(ClientSearch(client, index, lambda _: MODEL).search(request), request, stage)


SIDES = ("x1", "y1", "x2", "y2")

REQUESTS = {
    "one": (SearchRequest(["red"], size=9), {"text": "red", "size": 9}, 9),
    "several": (
        SearchRequest(["red", 'a "kite" \\ {é}'], ["blue"], size=8),
        {"text": "red", "and": 'a "kite" \\ {é}', "not": "blue", "size": 8},
        8,
    ),
    "filtered": (
        SearchRequest(["green"], size=5, filter=Filter(kinds=["tile"])),
        {"text": "green", "size": 5, "filter": [{"terms": {"regions.kind": ["tile"]}}]},
        5,
    ),
    "the first": (SearchRequest(["white"], size=10), {"text": "white", "size": 10, "locate": 4}, 4),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_hits_are_those_of_the_client(client: OpenSearch, located: str, folder: Path, name: str) -> None:
    request, params, most = REQUESTS[name]
    request = replace(request, fold=None)  # the template shows near-duplicates by themselves
    right = looked(client, located, folder, request, most)
    hits = ask(client, located, **params)
    assert all("located" in hit["_source"] for hit in hits)
    assert [hit["_id"] for hit in hits] == [hit.photo_id for hit in right]
    for hit, wanted in zip(hits, right, strict=True):
        found = hit["_source"]["located"]
        if wanted.seen is None:
            assert found["box"] is None
        else:
            assert found["box"] == [*wanted.seen.located[0].box.as_tuple()]
            assert [found["score"], hit["_score"]] == pytest.approx([wanted.seen.score] * 2, abs=1e-5)
        # The index's box and score stand beside.
        [region] = hit["inner_hits"]["p0"]["hits"]["hits"]
        assert [region["fields"][f"regions.{side}"][0] for side in SIDES] == [*wanted.box.as_tuple()]
        assert region["_score"] - 1 == pytest.approx(wanted.similarity, abs=1e-5)
    server = ServerSearch(client, located, ServerStage(most)).search(request)
    assert said(server) == pytest.approx(said(right), abs=1e-5)
    assert server.notes == ()


@pytest.mark.parametrize("least", [0.0, 0.2])
def test_several_places_from_a_least_score_are_those_of_the_client(
    client: OpenSearch, located: str, folder: Path, least: float
) -> None:
    request = SearchRequest(["red"], size=6, boxes=3, fold=None)
    plain = ClientSearch(client, located, lambda _: MODEL).search(request)
    right = look_again(plain, request, SecondStage(FakeLocaliser(), 6, [folder], least))
    server = ServerSearch(client, located, ServerStage(6, least)).search(request)
    assert said(server) == pytest.approx(said(right), abs=1e-5)
    places = {len(hit.seen.located[0].instances) for hit in server if hit.seen}
    assert places == {3} if not least else min(places) < 3


def test_near_duplicates_are_folded_before_the_page_is_cut(client: OpenSearch, located: str) -> None:
    def found(size: int) -> list[list[str]]:
        hits = ServerSearch(client, located, ServerStage(9)).search(SearchRequest(["blue"], size=size, fold=0.9))
        return [[hit.photo_id, *(each.photo_id for each in hit.duplicates)] for hit in hits]

    whole = found(9)
    assert 3 < len(whole) < 9
    assert found(3) == whole[:3]


def test_more_hits_may_be_looked_at_than_are_shown(client: OpenSearch, located: str, folder: Path) -> None:
    request = SearchRequest(["blue"], size=3)
    plain = ClientSearch(client, located, lambda _: MODEL).search(with_enough(request, 6))
    right = look_again(plain, request, SecondStage(FakeLocaliser(), 6, [folder]))
    server = ServerSearch(client, located, ServerStage(6)).search(request)
    assert len(server) == 3
    assert said(server) == pytest.approx(said(right), abs=1e-5)


@pytest.mark.parametrize("start", [2, 6])
def test_a_page_is_part_of_the_one_order(client: OpenSearch, located: str, folder: Path, start: int) -> None:
    request = SearchRequest(["blue"], size=3, start=start, fold=None)
    plain = ClientSearch(client, located, lambda _: MODEL).search(with_enough(request, 4))
    right = look_again(plain, request, SecondStage(FakeLocaliser(), 4, [folder]))
    server = ServerSearch(client, located, ServerStage(4)).search(request)
    assert len(server) == 3
    assert [hit.seen is None for hit in server] == [rank >= 4 for rank in range(start, start + 3)]
    assert said(server) == pytest.approx(said(right), abs=1e-5)


def numbers(value: Any) -> list[Any]:
    """All that a JSON value holds, in order."""
    if isinstance(value, dict | list):
        return [each for part in (value.values() if isinstance(value, dict) else value) for each in numbers(part)]
    return [value]


def said(hits: Hits) -> list[Any]:
    return numbers(as_json(hits, SearchRequest("red"))["hits"])


def test_a_photo_that_cannot_be_opened_comes_after_all_that_were(
    client: OpenSearch, located: str, folder: Path
) -> None:
    gone, away = folder / "3.png", folder.parent / "3.away"
    gone.rename(away)
    try:
        *others, last = ask(client, located, text="red", size=PHOTOS)
    finally:
        away.rename(gone)
    assert last["_source"]["uri"] == gone.as_uri()
    found = last["_source"]["located"]
    assert {name: found[name] for name in ("score", "box", "reason")} == {
        "score": -10.0,
        "box": None,
        "reason": "cannot be read (No such file or directory)",
    }
    assert all(hit["_source"]["located"]["box"] for hit in others)


def problems(client: OpenSearch, index: str) -> dict[str, str | None]:
    steps: list[Step] = status(client, index, MODEL, "secret")
    assert {"localiser", "template and pipeline that look again"} <= {step.name for step in steps}
    return {step.name: step.problem for step in steps if not step.works}


def test_status_knows_it(client: OpenSearch, located: str, folder: Path) -> None:
    assert problems(client, located) == {}
    folder.rename(folder.parent / "away")
    try:
        found = problems(client, located)
    finally:
        (folder.parent / "away").rename(folder)
    assert list(found) == ["template and pipeline that look again"]
    assert "could not open any of 3 photos: the first cannot be read" in str(found.popitem()[1])


def test_another_install_gives_it_the_encoder_s_model(client: OpenSearch, located: str, url: str) -> None:
    name = Names(located).located
    pipeline = get_pipeline(client, name)
    assert pipeline is not None
    client.search_pipeline.put(id=name, body={**pipeline, "request_processors": []})
    install(client, located, parse(url, MODEL.recipe.model, "secret"), MODEL)
    assert get_pipeline(client, name) == pipeline
    assert ask(client, located, text="red", size=1)[0]["_source"]["located"]["box"]


@pytest.mark.parametrize(
    # A localiser that hangs costs the whole time that the cluster waits.
    "fault",
    [pytest.param(fault, marks=pytest.mark.long) if fault == "hang" else fault for fault in FAULTS],
)
def test_a_localiser_that_fails_leaves_the_plain_order(
    client: OpenSearch, located: str, between: tuple[str, FailingService], fault: str
) -> None:
    between[1].fault = fault
    try:
        hits = ask(client, located, text="red", size=4)
        if fault in ("500", "fewer"):
            server = ServerSearch(client, located, ServerStage(4)).search(SearchRequest(["red"], size=4))
            assert [hit.seen for hit in server] == [None] * 4
            assert as_json(server, SearchRequest("red"))["notes"] == [
                "the cluster's localiser failed, so the hits are in the index's order, without located boxes; "
                f"`sorce plugin status --index {located}` says why."
            ]
    finally:
        between[1].fault = ""
    plain = ClientSearch(client, located, lambda _: MODEL).search(SearchRequest(["red"], size=4))
    assert [hit["_id"] for hit in hits] == [hit.photo_id for hit in plain]
    assert not any("located" in hit["_source"] for hit in hits)
    assert [hit["_score"] - 1 for hit in hits] == pytest.approx([hit.score for hit in plain], abs=1e-5)


def test_what_is_no_localiser_is_refused_and_leaves_nothing(client: OpenSearch, located: str, url: str) -> None:
    before = [*MlCommons(client).find("models", Names(located).located)]
    with pytest.raises(PluginError, match="call to the localiser failed"):
        install_located(client, find_index(client, located), Endpoint(f"{url}/v1/none", MODEL.recipe.model, "secret"))
    assert [*MlCommons(client).find("models", Names(located).located)] == before
    assert ask(client, located, text="red", size=1)[0]["_source"]["located"]["box"]
