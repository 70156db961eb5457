"""The second stage in the cluster against the client's: the same order, boxes and scores, with `mini` and `zoom`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from corpus import cluster
from figures import Line, exactly
from opensearchpy import OpenSearch

from sorce.cluster import find_index
from sorce.ingest import Source, ingest_photos
from sorce.locate import open_localiser
from sorce.mappings import Hits
from sorce.mappings.request import SearchRequest
from sorce.models import Model, load_encoder, load_model
from sorce.pictures.files import Files
from sorce.plugin.cluster.endpoint import parse, parse_localiser
from sorce.plugin.cluster.install import install, uninstall
from sorce.plugin.cluster.locate import install_located
from sorce.plugin.query.locating import SecondStage, look_again
from sorce.plugin.query.search import ClientSearch
from sorce.plugin.query.server import ServerSearch
from sorce.plugin.query.server_locating import ServerStage
from sorce.plugin.service import app as service
from sorce.plugin.service.looking import PhotoLooker
from training.mini import bank
from training.scenes.bundled import FOLDER

INDEX = "bench-located"
TEXTS, SIZE, MOST = 100, 4, 3
CLOSE = 1e-5


def measures() -> Iterator[Line]:
    share = agreeing(cluster())
    yield exactly(f"located by the cluster: share of {TEXTS} texts whose hits are the client's", share, 1)


def agreeing(client: OpenSearch) -> float:
    """The share of texts with the same photos in the same order, and boxes and scores within CLOSE."""
    model = load_model("mini")
    ingest_photos(client, INDEX, model, [each for each in Files([str(FOLDER)]) if isinstance(each, Source)])
    try:
        with serving(client, model) as url:
            endpoint = parse(url, model.recipe.model, None)
            install(client, INDEX, endpoint, model)
            install_located(client, find_index(client, INDEX), parse_localiser("", endpoint))
            here, there = ClientSearch(client, INDEX, lambda _: model), ServerSearch(client, INDEX, ServerStage(MOST))
            stage = SecondStage(open_localiser("zoom", lambda: model), MOST, [FOLDER])
            asked = [SearchRequest([each.name], size=SIZE, fold=None) for each in bank.concepts()[:TEXTS]]
            same = [agree(there.search(each), look_again(here.search(each), each, stage)) for each in asked]
            uninstall(client, INDEX)
    finally:
        client.indices.delete(index=INDEX)
    return sum(same) / len(same)


def agree(found: Hits, right: Hits) -> bool:
    if [hit.photo_id for hit in found] != [hit.photo_id for hit in right]:
        return False
    return all(abs(a - b) <= CLOSE for a, b in zip(numbers(found), numbers(right), strict=True))


def numbers(hits: Hits) -> list[float]:
    """Of each hit: the index's score, rank and box, and what was seen."""
    found: list[float] = []
    for hit in hits:
        found += [hit.score, hit.similarity, float(hit.index_rank or 0), *hit.box.as_tuple()]
        if hit.seen is not None:
            found += [hit.seen.score, *hit.seen.located[0].box.as_tuple()]
    return found


@contextmanager
def serving(client: OpenSearch, model: Model[object]) -> Iterator[str]:
    """`sorce serve --locate`, in this process."""
    localiser = open_localiser("zoom", lambda: load_encoder(model.recipe))
    looker = PhotoLooker(client, INDEX, model.recipe, localiser, [FOLDER])
    app = service.application(service.Served(model.recipe.model, load_encoder(model.recipe), None, looker))
    socket = service.listen("127.0.0.1", 0, None)
    server = service.server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        socket.close()
