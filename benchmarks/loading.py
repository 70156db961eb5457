"""300 scenes into a real OpenSearch: how long, against the processors and a plain loop; and what its graph finds."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from figures import Line, at_least, at_most
from finds import scenes
from opensearchpy import OpenSearch
from photos import command

from sorce.cluster import connect
from sorce.engine import running
from sorce.evaluate.scenes.bundled import FOLDER, questions
from sorce.evaluate.scenes.collection import REPORTING
from sorce.index import Index
from sorce.models import load_encoder, load_model
from sorce.models.mini.training.bank import SEEN
from sorce.plugin.search import ClientSearch, SearchRequest

PLAIN_LOOP = Path(__file__).with_name("plain_loop.py")


def measures() -> Iterator[Line]:
    those = scenes(REPORTING, SEEN)
    folder = those.pictures[0].parent
    with running(heap="2g") as url:
        client = connect(url)
        before, started = processors(client), time.monotonic()
        subprocess.run(command(url, "scenes", [str(folder)]), check=True, capture_output=True)
        took = time.monotonic() - started
        busy = (processors(client) - before) / (os.cpu_count() or 1)
        note = f"{took:.0f} s for {len(those.pictures)} scenes"
        yield at_most("ingest: wall time / (CPU time of all processes / cores)", took / busy, 1.25, note)
        started = time.monotonic()
        plain = [sys.executable, str(PLAIN_LOOP), "--index", "plain", "--url", url, str(folder)]
        subprocess.run(plain, check=True, capture_output=True)
        yield at_least("ingest: times faster than the plain loop", (time.monotonic() - started) / took, 2)
        yield from graph("300 scenes", client, "scenes", those.queries)
        Index(client, "demo", lambda: load_model("mini")).ingest([FOLDER])
        yield from graph("demo index", client, "demo", [question.text for question in questions(0, 1000)])


def processors(client: OpenSearch) -> float:
    """Seconds of processor time so far, of the engine and of all processes that this one has waited for."""
    nodes = client.nodes.stats(metric="process")["nodes"].values()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    engine = sum(node["process"]["cpu"]["total_in_millis"] for node in nodes) / 1000
    return float(engine + children.ru_utime + children.ru_stime)


def graph(name: str, client: OpenSearch, index: str, texts: Sequence[str]) -> Iterator[Line]:
    """What the default search finds of a full scan's ten photos, and whether it shows the same box of each."""
    search = ClientSearch(client, index, load_encoder)
    recall, same = [], []
    for text in texts:
        by_graph = {hit.photo_id: hit.box for hit in search.search(SearchRequest([text]))}
        truth = {hit.photo_id: hit.box for hit in search.search(SearchRequest([text], exact=True))}
        recall.append(len(by_graph.keys() & truth.keys()) / len(truth))
        same += [by_graph[photo] == truth[photo] for photo in by_graph.keys() & truth.keys()]
    yield at_least(f"graph against exact, {name}: recall@10 of photos", float(np.mean(recall)), 0.99)
    yield at_least(f"graph against exact, {name}: same best box", float(np.mean(same)), 0.99)
