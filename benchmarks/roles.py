"""On a secured OpenSearch, users of every shipped role try every action: each is allowed or refused as it must be."""

from __future__ import annotations

import secrets
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from itertools import islice, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from figures import Line, exactly
from opensearchpy import OpenSearch, exceptions

from sorce.access import Access
from sorce.cluster import connect, find_index
from sorce.engine import Node, running_node
from sorce.ingest import Files, Naming, Options, ingest_photos, prune
from sorce.ingest.alias import switch, target
from sorce.ingest.optimize import optimize
from sorce.ingest.run_log import RunFacts, RunLog
from sorce.locate import open_localiser
from sorce.mappings import Rejected
from sorce.mappings.index import index_body
from sorce.mappings.run_log import DONE, RUNS, monthly
from sorce.models import Model, load_model
from sorce.plugin import ClientSearch, SearchRequest, ServerSearch
from sorce.plugin.cluster.endpoint import Endpoint, parse, parse_localiser
from sorce.plugin.cluster.install import install, uninstall
from sorce.plugin.cluster.locate import install_located
from sorce.plugin.cluster.ml_commons import SEARCH, connector_body
from sorce.plugin.cluster.role import ROLES, role
from sorce.plugin.cluster.status import status
from sorce.plugin.query.server_locating import ServerStage
from sorce.plugin.service import app as service
from sorce.plugin.service.looking import PhotoLooker
from training.scenes.bundled import FOLDER

INDEX, ALIAS, ROLLED, OTHER, NEAR = "photos", "shelves", "archive", "diary", "photos-internal"
"""`ROLLED` is an alias of two indices, of which the second is for new photos."""
OURS = (INDEX, ALIAS, ROLLED)
OTHERS = (OTHER, NEAR)
"""Indices that no role may use. The second has a name as long as those of an alias's indices."""
USERS = {"ingest": ("ingest",), "move": ("ingest", "alias"), "install": ("install",), "search": ("search",)}
"""The roles of each user. The right to move aliases is a role of its own."""
PLAIN_ALIAS, WRITE_ALIAS = "logs", "events"
"""Aliases of another application's index: one without a write index, one with it."""
KEY = secrets.token_urlsafe()
REQUEST = SearchRequest(["an umbrella"], ["a kite"], size=5)
SECURITY = "/_plugins/_security/api"


def owner(node: Node) -> Access:
    """Access as the owner of a secured engine, who may change users and roles."""
    assert node.security is not None
    folder = Path(node.security)
    return Access(str(folder / "ca.pem"), str(folder / "owner.pem"), str(folder / "owner.key"))


@dataclass(frozen=True)
class Bench:
    """A secured engine with a user for each role, and an encoder service."""

    node: Node
    encoder: Endpoint
    passwords: dict[str, str]

    @cached_property
    def clients(self) -> dict[str, OpenSearch]:
        return {name: connect(self.node.url, self.access(name)) for name in self.passwords}

    def access(self, user: str) -> Access:
        return Access(owner(self.node).ca_file, username=user, password=self.passwords[user])


Load = Callable[[], Model[Any]]


@cache
def model() -> Model[Any]:
    return load_model("mini", "whole", {})


@cache
def finer() -> Model[Any]:
    """Another recipe: other regions."""
    return load_model("mini", "tiles", {"max_regions": 5})


@contextmanager
def bench(node: Node) -> Iterator[Bench]:
    """The users, each with its roles for the index and for the aliases."""
    with connect(node.url, owner(node)) as client:
        passwords = {name: secrets.token_urlsafe(24) for name in USERS}
        for name, index in product(ROLES, OURS):
            put(client, f"roles/sorce-{name}-{index}", role(name, index))
        for name, password in passwords.items():
            roles = [f"sorce-{kind}-{index}" for kind, index in product(USERS[name], OURS)]
            put(client, f"internalusers/{name}", {"password": password, "opendistro_security_roles": roles})
        for index in OTHERS:
            client.index(index=index, id="1", body={"text": "private"}, params={"refresh": "true"})
        for number in (1, 2):
            body = index_body(model().recipe) | {"aliases": {ROLLED: {"is_write_index": number == 2}}}
            client.indices.create(index=f"{ROLLED}-{number:06}", body=body)
        client.indices.put_alias(index=OTHER, name=PLAIN_ALIAS)
        client.indices.put_alias(index=OTHER, name=WRITE_ALIAS, body={"is_write_index": True})
        search = Access(owner(node).ca_file, username="search", password=passwords["search"])
        with connect(node.url, search) as reader, serving(reader) as address:
            yield Bench(node, parse(address, model().recipe.model, KEY), passwords)


def put(client: OpenSearch, path: str, body: Mapping[str, object]) -> None:
    client.transport.perform_request("PUT", f"{SECURITY}/{path}", body=body)


@contextmanager
def serving(reader: OpenSearch) -> Iterator[str]:
    """The address of the service, which requires a key. It looks again at photos that `reader` finds in the index."""
    socket = service.listen("127.0.0.1", 0, KEY)
    looker = PhotoLooker(reader, INDEX, model().recipe, open_localiser("zoom", model), [FOLDER])
    server = service.server(service.application(service.Served(model().recipe.model, model(), KEY, looker)))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def bring(client: OpenSearch, index: str, load: Load = model) -> None:
    photos = islice(Files([str(FOLDER)], Naming(None)), 6)
    report = ingest_photos(client, index, load(), photos, Options({"aisle": 3}, force=True))
    assert report.new + report.changed == 6, report


def bring_behind_alias(client: OpenSearch, load: Load) -> None:
    index = target(client, ALIAS, load().recipe)
    bring(client, index, load)
    switch(client, ALIAS, index, None)


def bring_and_prune(client: OpenSearch) -> None:
    with TemporaryDirectory() as folder:
        for scene in islice(FOLDER.glob("*.jpg"), 2):
            shutil.copy(scene, folder)
        photos = Files([folder], Naming(None))
        ingest_photos(client, INDEX, model(), photos)
        next(Path(folder).iterdir()).unlink()
        assert prune(client, INDEX, photos, confirm=lambda _: True) == 1


def log_a_run(client: OpenSearch) -> None:
    said: list[str] = []
    log = RunLog(client, RunFacts(INDEX, INDEX, model().recipe, 1), said.append)
    log.rejected(Rejected("/photos/x.jpg", "is no picture"))
    log.open()
    log.close(DONE)
    if said and "no permissions" in said[0]:
        raise exceptions.AuthorizationException(403, said[0], {})
    assert not said


def install_all(client: OpenSearch, encoder: Endpoint) -> None:
    for index in OURS:
        install(client, index, encoder, model())


def uninstall_all(client: OpenSearch) -> None:
    for index in OURS:
        uninstall(client, index)


def search_there(client: OpenSearch) -> None:
    for index in OURS:
        assert ServerSearch(client, index).search(REQUEST)


def look_there(client: OpenSearch) -> None:
    hits = ServerSearch(client, INDEX, ServerStage(2)).search(REQUEST)
    assert sum(hit.seen is not None and hit.seen.reason is None for hit in hits) == 2, hits


def search_here(client: OpenSearch) -> None:
    for index in OURS:
        assert ClientSearch(client, index, lambda _: model()).search(REQUEST)


def works(client: OpenSearch) -> None:
    steps = status(client, INDEX, model(), KEY)
    if any("no permissions" in (step.problem or "") for step in steps):
        raise exceptions.AuthorizationException(403, str(steps), {})
    assert all(step.works for step in steps), steps


def asked(method: str, path: str, body: Mapping[str, object] | None = None) -> Callable[[OpenSearch, Bench], object]:
    return lambda client, _: client.transport.perform_request(method, path, body=body)


def encode_elsewhere(client: OpenSearch) -> None:
    """The cluster refuses this also to users who have the right: it calls trusted addresses only."""
    body = {"name": "mine", "function_name": "remote", "connector": CONNECTOR}
    try:
        client.transport.perform_request("POST", "/_plugins/_ml/models/_register", body=body)
    except exceptions.RequestError:
        return
    raise AssertionError("the cluster would call an address that it does not trust")


def takes_alias(alias: str) -> Callable[[OpenSearch, Bench], object]:
    return asked("POST", "/_aliases", {"actions": [{"add": {"index": INDEX, "alias": alias}}]})


def refused_as_second(client: OpenSearch, bench: Bench) -> None:
    """OpenSearch allows one write index per alias, and answers 500 to a second one."""
    add = {"add": {"index": INDEX, "alias": WRITE_ALIAS, "is_write_index": True}}
    try:
        asked("POST", "/_aliases", {"actions": [add]})(client, bench)
    except exceptions.TransportError as error:
        if error.status_code != 500 or "more than one write index" not in str(error):
            raise
        return
    raise AssertionError("the alias has two write indices")


Act = Callable[[OpenSearch, Bench], object]

DOCUMENT = {"photo_id": "x", "regions": []}
CONNECTOR = connector_body("mine", SEARCH, Endpoint("https://elsewhere.example/v1/embeddings", "mini"))
ACTS: dict[str, tuple[Act, set[str]]] = {
    # The order matters: each action needs what the actions before have made.
    "ingest": (lambda client, _: bring(client, INDEX), {"ingest", "move"}),
    "ingest behind an alias": (lambda client, _: bring_behind_alias(client, model), {"move"}),
    "ingest into an alias of several indices": (lambda client, _: bring(client, ROLLED), {"ingest", "move"}),
    "ingest --optimize": (lambda client, _: optimize(client, [INDEX]), {"ingest", "move"}),
    "ingest's prune": (lambda client, _: bring_and_prune(client), {"ingest", "move"}),
    "log a run and a reject": (lambda client, _: log_a_run(client), {"ingest", "move"}),
    "read the log of runs": (asked("GET", f"/{RUNS}-*/_search?allow_no_indices=false"), set()),
    "delete the log of runs": (asked("DELETE", f"/{monthly(RUNS, datetime.now(UTC))}"), set()),
    "plugin install": (lambda client, bench: install_all(client, bench.encoder), {"install"}),
    "plugin status": (lambda client, _: works(client), {"install"}),
    # The right to compare stored hashes includes the right to search by vector.
    "search, the client encodes": (lambda client, _: search_here(client), {"ingest", "move", "install", "search"}),
    "search, the cluster encodes": (
        lambda client, _: search_there(client),
        {"install", "search"},
    ),
    "plugin install --locate": (
        lambda client, bench: install_located(client, find_index(client, INDEX), parse_localiser("", bench.encoder)),
        {"install"},
    ),
    "search, the cluster looks again": (lambda client, _: look_there(client), {"install", "search"}),
    "move the alias to another recipe": (lambda client, _: bring_behind_alias(client, finer), {"move"}),
    "search where it has moved": (lambda client, _: search_there(client), {"install", "search"}),
    "write a document": (asked("PUT", f"/{INDEX}/_doc/x", DOCUMENT), {"ingest", "move"}),
    "delete a document": (
        # When the second user tries, it is already deleted.
        lambda client, _: client.delete(index=INDEX, id="x", ignore=404),
        {"ingest", "move"},
    ),
    "delete the index": (asked("DELETE", f"/{INDEX}"), set()),
    "read another index": (asked("GET", f"/{OTHER}/_search"), set()),
    "write another index": (asked("PUT", f"/{OTHER}/_doc/2", {"text": "mine"}), set()),
    "read an index with a name like the alias's indices": (asked("GET", f"/{NEAR}/_search"), set()),
    "write an index with a name like the alias's indices": (asked("PUT", f"/{NEAR}/_doc/2", {"text": "mine"}), set()),
    "make another index": (asked("PUT", "/another"), set()),
    "point the alias at another index": (
        asked("POST", "/_aliases", {"actions": [{"add": {"index": OTHER, "alias": ALIAS}}]}),
        set(),
    ),
    "point another application's alias at the index": (takes_alias(PLAIN_ALIAS), {"move"}),
    "receive what others write to an alias that has its write index": (
        # It is refused in another way even to users who have the right.
        lambda client, bench: refused_as_second(client, bench),
        {"move"},
    ),
    "make an index that is behind another application's alias": (
        asked("PUT", f"/{ALIAS}-00112233", {"aliases": {PLAIN_ALIAS: {"is_write_index": True}}}),
        {"move"},
    ),
    "take an alias from another index": (
        asked("POST", "/_aliases", {"actions": [{"remove": {"index": OTHER, "alias": PLAIN_ALIAS}}]}),
        set(),
    ),
    "delete the index as an action of aliases": (
        asked("POST", "/_aliases", {"actions": [{"remove_index": {"index": INDEX}}]}),
        set(),
    ),
    "roll another application's alias over": (asked("POST", f"/{PLAIN_ALIAS}/_rollover"), set()),
    "roll its own alias over": (asked("POST", f"/{ROLLED}/_rollover?dry_run=true"), set()),
    "copy an index": (asked("PUT", f"/{INDEX}/_clone/{ALIAS}-00112234"), set()),
    "read all indices": (asked("GET", "/_all/_search"), set()),
    "change a cluster setting": (
        asked("PUT", "/_cluster/settings", {"transient": {"cluster.max_shards_per_node": None}}),
        {"install"},
    ),
    "make a search pipeline": (asked("PUT", "/_search/pipeline/mine", {"request_processors": []}), {"install"}),
    "delete a search pipeline": (asked("DELETE", "/_search/pipeline/mine"), {"install"}),
    "have a model call elsewhere": (lambda client, _: encode_elsewhere(client), {"install"}),
    "read connectors' index": (asked("GET", "/.plugins-ml-connector/_search"), set()),
    "read users": (asked("GET", f"{SECURITY}/internalusers"), set()),
    "make a user": (asked("PUT", f"{SECURITY}/internalusers/x", {"password": KEY}), set()),
    "give oneself a role": (asked("PUT", f"{SECURITY}/rolesmapping/all_access", {"users": list(ROLES)}), set()),
    "take a snapshot": (asked("PUT", "/_snapshot/mine", {"type": "fs", "settings": {"location": "x"}}), set()),
    "plugin uninstall": (lambda client, _: uninstall_all(client), {"install"}),
}


def refused(act: Act, user: str, there: Bench) -> str | None:
    """The server's refusal, or None if the user is allowed."""
    try:
        act(there.clients[user], there)
    except Exception as error:
        said = answer(error)
        if said is None or said.status_code != 403:
            raise
        return str(said)
    return None


def answer(error: BaseException | None) -> exceptions.TransportError | None:
    """The server's answer that caused an error."""
    while error is not None and not isinstance(error, exceptions.TransportError):
        error = error.__cause__
    return error


def order(allowed: set[str]) -> list[str]:
    """Users that must be refused come first: for them nothing has been done yet."""
    return sorted(USERS, key=lambda name: name in allowed)


def wrong(there: Bench) -> list[str]:
    """What was refused to a user with the right, or allowed to one without. The acts are one story, in their order."""
    found = []
    for name, (act, allowed) in ACTS.items():
        for user in order(allowed):
            said = refused(act, user, there)
            if (said is None) != (user in allowed):
                found.append(f"{user}: {name}: {said or 'was allowed'}")
    return found


def measures() -> Iterator[Line]:
    with running_node(line="2.19") as node, bench(node) as there:
        found = wrong(there)
    tried = len(ACTS) * len(USERS)
    yield Line("roles tried: acts of each, on OpenSearch 2.19 over TLS", tried)
    yield exactly("roles tried: allowed or refused otherwise than must be", len(found), 0, "; ".join(found))
