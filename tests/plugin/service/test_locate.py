"""The service looks at photos again: only what the index holds and the roots allow, asked with the role search."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from opensearchpy import OpenSearch, exceptions
from roles import owner, put

from sorce.access import Access
from sorce.cluster import connect, find_index
from sorce.engine import Node
from sorce.ingest import ingest_photos
from sorce.mappings import Located, LocateRequest
from sorce.pictures.files import Files, Naming
from sorce.pictures.source import Source
from sorce.plugin import ClientSearch, SearchRequest, ServerSearch
from sorce.plugin.cluster.endpoint import parse, parse_localiser
from sorce.plugin.cluster.install import install, uninstall
from sorce.plugin.cluster.locate import MAX_PHOTOS, install_located
from sorce.plugin.cluster.role import role
from sorce.plugin.cluster.status import status
from sorce.plugin.query.server_locating import ServerStage
from sorce.plugin.service import app as service
from sorce.plugin.service import locating
from sorce.plugin.service.commands import serve
from sorce.plugin.service.looking import NOT_HELD, PhotoLooker
from tests.kit.fake import FakeModel
from tests.kit.localiser import FakeLocaliser, paint
from tests.kit.serving import serving

MODEL = FakeModel()
KEY = {"Authorization": "Bearer secret"}
OUTSIDE = "is said to lie outside the root"


class Steered(FakeLocaliser):
    """Looks when it is let go, or fails."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.busy = Event(), Event()
        self.go.set()
        self.fails = False

    def locate(self, requests: Sequence[LocateRequest], boxes: int = 1, min_score: float = 0.0) -> list[Located]:
        self.busy.set()
        assert self.go.wait(60)
        if self.fails:
            raise RuntimeError("out of memory")
        return super().locate(requests, boxes, min_score)


@pytest.fixture(scope="module")
def searcher(secured: Node) -> Iterator[tuple[OpenSearch, str]]:
    """The client of a user with the role search for an index, and the index's name."""
    index = f"test-looking-{uuid.uuid4().hex[:8]}"
    with connect(secured.url, owner(secured)) as administrator:
        put(administrator, f"roles/{index}", role("search", index))
        body = {"password": (password := secrets.token_urlsafe(24)), "opendistro_security_roles": [index]}
        put(administrator, f"internalusers/{index}", body)
        access = Access(secured.environment["OPENSEARCH_CA_FILE"], username=index, password=password)
        with connect(secured.url, access) as client:
            yield client, index
        administrator.indices.delete(index=index)


@pytest.fixture(scope="module")
def folder(secured: Node, searcher: tuple[OpenSearch, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos in the index: four below the root, one beside it, one behind a link in it; another is not in the index."""
    above = tmp_path_factory.mktemp("above")
    root = above / "root"
    root.mkdir()
    files = paint(root, 7)
    beside = [files[number].rename(above / files[number].name) for number in (4, 5)]
    files[5].symlink_to(beside[1])
    found = list(Files([str(file) for file in [*files[:4], beside[0], files[5]]]))
    relative = list(Files([str(files[0])], Naming(root)))
    with connect(secured.url, owner(secured)) as administrator:
        ingest_photos(administrator, searcher[1], MODEL, [it for it in [*found, *relative] if isinstance(it, Source)])
    return root


@pytest.fixture(scope="module")
def localiser() -> Steered:
    return Steered()


@pytest.fixture(scope="module")
def url(searcher: tuple[OpenSearch, str], folder: Path, localiser: Steered) -> Iterator[str]:
    client, index = searcher
    looker = PhotoLooker(client, index, MODEL.recipe, localiser, [folder / "none", folder])
    with serving(service.application(service.Served(MODEL.recipe.model, MODEL, "secret", looker))) as url:
        yield url


def post(url: str, path: str, body: Any, headers: dict[str, str] = KEY) -> httpx.Response:
    content = body if isinstance(body, bytes) else None
    given = None if isinstance(body, bytes) else body
    return httpx.post(f"{url}{path}", content=content, json=given, headers=headers, timeout=60)


def rerank(url: str, documents: Sequence[Any], **more: Any) -> Any:
    answer = post(url, "/v1/rerank", {"query": "red", "documents": documents, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def located(url: str, uris: Sequence[str], **more: Any) -> Any:
    ids = [Source(uri, "", "", "", bytes).photo_id for uri in uris]
    answer = post(url, "/v1/locate", {"uris": uris, "ids": ids, "texts": ["red"], **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_rerank_sorts_photos_and_gives_boxes(url: str, folder: Path) -> None:
    uris = [(folder / f"{number}.png").as_uri() for number in range(4)]
    found = rerank(url, [uris[0], {"image": uris[1]}, uris[2], {"image": uris[3]}])
    assert sorted(each["index"] for each in found) == [0, 1, 2, 3]
    scores = [each["relevance_score"] for each in found]
    assert scores == sorted(scores, reverse=True)
    assert all(len(each["box"]) == 4 for each in found)
    assert rerank(url, uris, top_n=2, model="fake", return_documents=False) == found[:2]
    # The same as in the pipeline's form, where the index's region of each is the start.
    by_place = located(url, uris)["results"]
    assert [by_place[each["index"]]["score"] for each in found] == scores
    assert [by_place[each["index"]]["box"] for each in found] == [each["box"] for each in found]


def test_each_photo_comes_with_the_index_s_region_and_its_box(
    url: str, folder: Path, searcher: tuple[OpenSearch, str]
) -> None:
    """The same that a search gives: every interface names region and box."""
    uris = [(folder / f"{number}.png").as_uri() for number in range(4)]
    client, index = searcher
    hits = ClientSearch(client, index, lambda _: MODEL).search(SearchRequest("red", size=50, fold=None))
    wanted = {hit.uri: (hit.best.region_id, list(hit.box.as_tuple())) for hit in hits}
    for uri, result in zip(uris, located(url, uris)["results"], strict=True):
        assert (result["region_id"], result["region_box"]) == wanted[uri]
        assert (result["located"][0]["region_id"], result["located"][0]["region_box"]) == wanted[uri]
    for result in rerank(url, uris):
        assert (result["region_id"], result["region_box"]) == wanted[uris[result["index"]]]


def test_the_index_s_own_region_is_the_start(url: str, folder: Path, localiser: Steered) -> None:
    localiser.asked.clear()
    located(url, [(folder / "1.png").as_uri()], params={"filter": [{"range": {"regions.area": {"gte": 0.9}}}]})
    [(_, text, box)] = localiser.asked
    assert (text, box and box.as_tuple()) == ("red", (0, 0, 64, 64))


def test_a_relative_uri_lies_below_a_root(url: str) -> None:
    assert rerank(url, ["0.png"])[0]["box"]


def test_nothing_else_is_opened(url: str, folder: Path, localiser: Steered) -> None:
    right = (folder / "2.png").as_uri()
    reasons = {
        (folder / "6.png").as_uri(): NOT_HELD,
        "file:///etc/hostname": NOT_HELD,
        "../4.png": NOT_HELD,
        (folder.parent / "4.png").as_uri(): OUTSIDE,
        (folder / "5.png").as_uri(): OUTSIDE,
    }
    localiser.asked.clear()
    first, *others = rerank(url, [*reasons, right])
    assert first["index"] == len(reasons)
    assert [name for name, _, _ in localiser.asked] == [right]
    assert [(each["relevance_score"], each["box"], each["reason"]) for each in others] == [
        (0.0, None, reason) for reason in reasons.values()
    ]


def test_an_id_of_another_photo_opens_nothing(url: str, folder: Path) -> None:
    uris = [(folder / name).as_uri() for name in ("1.png", "6.png")]
    ids = [Source(uris[0], "", "", "", bytes).photo_id] * 2
    answer = post(url, "/v1/locate", {"uris": uris, "ids": ids, "texts": ["red"]}).json()
    assert [each.get("reason") for each in answer["results"]] == [None, NOT_HELD]


@pytest.mark.parametrize(
    ("photo", "uri"),
    [(5, "file:///x"), ("a", ["b", "c"]), (None, ""), ({}, []), ("a", "x" * 40_000), ("b" * 40_000, 1.5)],
)
def test_a_hit_without_a_usable_id_or_uri_costs_no_other_hit_its_second_look(
    url: str, folder: Path, photo: object, uri: object
) -> None:
    good = (folder / "1.png").as_uri()
    ids = [photo, [Source(good, "", "", "", bytes).photo_id]]
    answer = post(url, "/v1/locate", {"uris": [uri, [good]], "ids": ids, "texts": ["red"]})
    assert answer.status_code == 200, answer.text
    assert [each.get("reason") for each in answer.json()["results"]] == [NOT_HELD, None]


def test_what_no_index_holds_is_said_and_a_filter_that_is_none_is_refused(url: str, folder: Path) -> None:
    uri = (folder / "1.png").as_uri()
    answer = post(url, "/v1/locate", {"uris": [uri], "ids": [""], "texts": ["red"]}).json()
    assert answer["results"][0]["reason"] == NOT_HELD
    body = {"uris": [uri], "ids": ["a"], "texts": ["red"], "params": {"filter": [{"nonsense": {}}]}}
    refused = post(url, "/v1/locate", body)
    assert refused.status_code == 422
    assert "the cluster refuses this filter: unknown query [nonsense]" in refused.json()["error"]["message"]
    assert located(url, [uri], params={"locate": 1.0})["results"][0]["box"]


def test_locate_gives_a_number_for_every_hit_in_order(url: str, folder: Path) -> None:
    uris = [(folder / f"{number}.png").as_uri() for number in (6, 0, 1, 2, 3)]
    answer = located(url, uris, params={"locate": 3, "not": "blue", "text": "red"})
    gone, first, second, *rest = answer["results"]
    assert answer["asked"] == 5
    assert (gone["score"], gone["reason"]) == (-10.0, NOT_HELD)
    assert rest == [{"score": -11.0, "box": None, "rank": 4}, {"score": -12.0, "box": None, "rank": 5}]
    plain = located(url, uris[1:3])["results"]
    assert [each["box"] for each in (first, second)] == [each["box"] for each in plain]
    assert all(-0.5 < each["score"] - both["score"] <= 0 for each, both in zip((first, second), plain, strict=True))
    assert located(url, []) == {"asked": 0, "results": []}


def test_several_places_are_given_from_a_least_score(url: str, folder: Path) -> None:
    uris = [(folder / "0.png").as_uri()]

    def places(least: float) -> list[float]:
        [result] = located(url, uris, params={"instances": 3, "min_located_score": least})["results"]
        return [each["score"] for each in result["located"][0]["instances"]]

    first, *_ = every = places(0)
    assert every == pytest.approx([first, first / 2, first / 4])
    assert places(first / 3) == every[:2]
    assert places(1) == every[:1]


@pytest.mark.parametrize("least", [-0.1, 1.1, "much", True])
def test_a_least_score_that_is_none_is_refused(url: str, least: Any) -> None:
    body = {"uris": [], "ids": [], "texts": ["red"], "params": {"min_located_score": least}}
    answer = post(url, "/v1/locate", body)
    assert (answer.status_code, "min_located_score is a number from 0 to 1" in answer.text) == (422, True)


def test_the_role_install_installs_it_and_the_role_search_searches_with_it(
    secured: Node, searcher: tuple[OpenSearch, str], url: str
) -> None:
    client, index = searcher
    user, password = f"{index}-installs", secrets.token_urlsafe(24)
    with connect(secured.url, owner(secured)) as administrator:
        put(administrator, f"roles/{user}", role("install", index))
        given = {"password": password, "opendistro_security_roles": [user]}
        put(administrator, f"internalusers/{user}", given)
    endpoint, there = parse(url, MODEL.recipe.model, "secret"), find_index(client, index)
    access = Access(secured.environment["OPENSEARCH_CA_FILE"], username=user, password=password)
    with pytest.raises(exceptions.AuthorizationException):
        install_located(client, there, parse_localiser("", endpoint))
    with connect(secured.url, access) as installing:
        try:
            install(installing, there, endpoint, MODEL)
            install_located(installing, there, parse_localiser("", endpoint))
            steps = status(installing, index, MODEL, "secret")
            assert [step for step in steps if not step.works] == []
            hits = ServerSearch(client, index, ServerStage(3)).search(SearchRequest(["red"], size=3, fold=None))
            assert [hit.seen is None for hit in hits] == [False] * 3
        finally:
            uninstall(installing, index)


WRONG: dict[str, tuple[Any, int]] = {
    "no JSON": (b"{", 400),
    "no query": ({"documents": ["a"]}, 422),
    "a blank query": ({"query": " ", "documents": ["a"]}, 422),
    "no documents": ({"query": "red", "documents": []}, 422),
    "a text to rank": ({"query": "red", "documents": [{"text": "a"}]}, 422),
    "half a character": (b'{"query": "red", "documents": ["\\ud800"]}', 400),
    "too many": ({"query": "red", "documents": ["a"] * (MAX_PHOTOS + 1)}, 413),
    "another model": ({"query": "red", "documents": ["a"], "model": "other"}, 404),
}


@pytest.mark.parametrize(("body", "status"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_refused_with_a_sentence(url: str, body: Any, status: int) -> None:
    answer = post(url, "/v1/rerank", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, status), answer.text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--locate", "--index", "photos"], "--locate needs --index, whose photos it looks at, and --root"),
        (["--locate", "--root", "."], "--locate needs --index"),
        (["--index", "photos", "--root", "."], "--root is where --locate and --page may open photos"),
    ],
)
def test_half_of_the_options_is_wrong_usage(given: list[str], said: str) -> None:
    result = CliRunner().invoke(serve, given)
    assert (result.exit_code, said in " ".join(result.output.split())) == (2, True)


def test_the_key_is_asked_for(url: str) -> None:
    for path in ("/v1/rerank", "/v1/locate"):
        assert post(url, path, {}, {}).status_code == 401


def test_a_failure_is_logged_and_the_next_request_is_answered(
    url: str, folder: Path, localiser: Steered, caplog: pytest.LogCaptureFixture
) -> None:
    body = {"query": "red", "documents": [(folder / "0.png").as_uri()]}
    localiser.fails = True
    try:
        answer = post(url, "/v1/rerank", body)
    finally:
        localiser.fails = False
    assert answer.status_code == 500
    assert answer.json()["error"]["message"] == "the localiser failed on these photos; the service's log says why."
    assert "out of memory" in caplog.text
    assert post(url, "/v1/rerank", body).status_code == 200


def test_a_busy_localiser_refuses_and_a_slow_one_is_not_waited_for(
    url: str, folder: Path, localiser: Steered, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"query": "red", "documents": [(folder / f"{number}.png").as_uri() for number in range(4)]}
    # The decoder has started before the time is short.
    rerank(url, body["documents"])
    monkeypatch.setattr(locating, "MAX_WAITING", 1)
    monkeypatch.setattr(locating, "LOOK_SECONDS", 2)
    localiser.go.clear()
    localiser.busy.clear()
    localiser.asked.clear()
    try:
        with ThreadPoolExecutor(1) as other:
            first = other.submit(post, url, "/v1/rerank", body)
            assert localiser.busy.wait(60)
            second = post(url, "/v1/rerank", body)
            # Texts are encoded meanwhile.
            assert post(url, "/v1/embeddings", {"input": "red"}).status_code == 200
            slow = first.result()
    finally:
        localiser.go.set()
    assert (second.status_code, second.headers["Retry-After"]) == (503, "1")
    assert "too many requests wait for the localiser" in second.text
    assert (slow.status_code, "did not finish within 2 seconds" in slow.text) == (503, True)
    monkeypatch.setattr(locating, "LOOK_SECONDS", 60)
    assert len(rerank(url, body["documents"])) == 4
    # The photo at hand when nobody waited any more, and those of the last request.
    assert len(localiser.asked) == 5
