"""`make demo`: all steps once, on the bundled scenes, in an OpenSearch of its own. Needs a checkout."""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote_plus

import click
from opensearchpy import OpenSearch

from sorce.cli import run
from sorce.cluster import connect, find_index, recipe_of
from sorce.engine import running
from sorce.index import Index
from sorce.mappings import Hit
from sorce.mappings.recipe import Plain
from sorce.models import load_encoder, load_model
from sorce.pictures.drawing import save
from sorce.plugin import ClientSearch, Searcher, SearchRequest, ServerSearch
from sorce.plugin.cluster.endpoint import parse
from sorce.plugin.cluster.install import install
from sorce.plugin.service.app import Served, application, listen, server
from sorce.plugin.service.page.serving import PageSetup
from sorce.plugin.service.page.settings import PageSettings
from training.scenes.bundled import FOLDER, Question, questions

SEED, QUESTIONS = 1, 12
PICTURES = Path("demo-out")
SHOWN = "scenes-tiles"
"""The index of the page."""
# Clusters of coarser patches than by default: the default takes as long as the rest of the demo.
METHODS: Mapping[str, dict[str, Plain]] = {"whole": {}, "clusters": {"min_object_size": 0.05}, "tiles": {}}

WHAT_NEXT = """
The same with your own photos:

    sorce engine start
    sorce ingest --index photos --model mini ~/Pictures    (drop --model mini for a real model, from the hub)
    sorce search --index photos "a small red umbrella" --save found
"""


@dataclass(frozen=True)
class Asked:
    """The result of one question: the right photo's rank by each method, and whether its box is on the thing."""

    question: Question
    whole: int
    clusters: int
    tiles: int
    on_it: bool
    same: bool

    def __str__(self) -> str:
        verdicts = f"{_yes(self.on_it):>9} {_yes(self.same):>11}"
        places = f"{self.whole:>6} {self.clusters:>9} {self.tiles:>6}"
        return f"{self.question.text:<28} {self.question.image:<10} {places} {verdicts}"


@click.command()
def demo() -> None:
    """Find small things in 40 rendered scenes, with one vector per photo, with clusters and with tiles."""
    started = time.monotonic()
    shutil.rmtree(PICTURES, ignore_errors=True)  # pictures of an earlier run, which may show other hits
    with running(quick_start=True, say=say) as url:
        client = connect(url)
        for regions, parameters in METHODS.items():
            model = partial(load_model, "mini", regions, parameters)
            report = Index(client, f"scenes-{regions}", model).ingest([FOLDER])
            say(f"Ingested with --model mini --regions {regions}: {report}")
        with serving(Served("mini", load_encoder("mini"))) as address:
            install_for(client, "scenes-tiles", address)
            say(f"Installed the plugin: the cluster itself now encodes texts, at {address}")
            asked = list(ask(client, questions(SEED, QUESTIONS)))
        took = time.monotonic() - started
        show(asked)
        if sys.stdin.isatty() and sys.stdout.isatty():
            look(client, asked[0].question)
    say(f"\nPictures: {PICTURES.resolve()} (one folder per question; sheet.jpg shows the boxes enlarged)")
    say(f"All of it took {took:.0f} s, and nothing is left running.\n{WHAT_NEXT}")


def look(client: OpenSearch, question: Question) -> None:
    """Shows the page until a key is pressed."""
    encoder = load_encoder("mini")
    with tempfile.TemporaryDirectory() as cache:
        settings = PageSettings([FOLDER], cache=Path(cache))
        found = find_index(client, SHOWN)
        setup = PageSetup(settings, client, [found], lambda _: encoder, lambda _: client)
        with serving(Served("mini", encoder, page=setup)) as address:
            click.pause(f"\nLook for yourself: {address}/?q={quote_plus(question.text)}\nPress any key to end.")


@contextmanager
def serving(served: Served) -> Iterator[str]:
    """Runs `sorce serve` here in a thread, and yields its address."""
    socket = listen("127.0.0.1", 0, None)
    service = server(application(served))
    thread = threading.Thread(target=service.run, kwargs={"sockets": [socket]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        service.should_exit = True
        thread.join()


def install_for(client: OpenSearch, index: str, address: str) -> None:
    recipe = recipe_of(client, index)
    install(client, index, parse(address, recipe.model, None), load_encoder(recipe))


def ask(client: OpenSearch, about: Sequence[Question]) -> Iterator[Asked]:
    whole, clusters, tiles = (ClientSearch(client, f"scenes-{regions}", load_encoder) for regions in METHODS)
    by_cluster = ServerSearch(client, "scenes-tiles")
    for number, question in enumerate(about, 1):
        found, found_there = everything(tiles, question), everything(by_cluster, question)
        save(found[:3], PICTURES / f"{number:02} {question.text}", None, [question.text])
        place = rank(found, question)
        shown, thing = found[place - 1].box, question.box
        x, y = (thing.x1 + thing.x2) / 2, (thing.y1 + thing.y2) / 2
        on_it = shown.x1 <= x < shown.x2 and shown.y1 <= y < shown.y2
        same = [(hit.photo_id, hit.box) for hit in found] == [(hit.photo_id, hit.box) for hit in found_there]
        by_whole, by_clusters = (rank(everything(searcher, question), question) for searcher in (whole, clusters))
        yield Asked(question, by_whole, by_clusters, place, on_it, same)


def everything(searcher: Searcher, question: Question) -> Sequence[Hit]:
    return searcher.search(SearchRequest([question.text], size=40, fold=None))


def rank(found: Sequence[Hit], question: Question) -> int:
    return 1 + next(place for place, hit in enumerate(found) if hit.file_name == question.image)


def show(asked: Sequence[Asked]) -> None:
    click.echo(
        f"\n{'question':<28} {'in':<10} {'whole':>6} {'clusters':>9} {'tiles':>6} {'box on it':>9} {'same hits':>11}"
    )
    click.echo(f"{'':<28} {'':<10} {'rank of 40':>23} {'':>9} {'by cluster':>11}")
    for row in asked:
        click.echo(str(row))
    first = {name: sum(getattr(row, name) == 1 for row in asked) for name in METHODS}
    on_it = sum(row.on_it and row.tiles == 1 for row in asked)
    click.echo(
        f"\nThe right photo came first {first['whole']} times of {len(asked)} with one vector per photo, "
        f"{first['clusters']} times with clusters, and {first['tiles']} times with tiles, "
        f"{on_it} of them with the box on the thing."
    )


def say(sentence: str) -> None:
    click.echo(sentence, err=True)


def _yes(answer: bool) -> str:
    return "yes" if answer else "no"


if __name__ == "__main__":
    run(demo, "demo")
