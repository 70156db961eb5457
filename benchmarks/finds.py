"""300 rendered scenes that were not used in training, indexed by each method: how well texts find photos, at what cost.

The ranking is exact, in memory, over the vectors that were indexed. A line of its own says how far the graph differs
from it. Settings were chosen on other scenes (`CHOOSING`) than those that are reported.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from figures import Line, at_least, at_most
from joblib import cpu_count  # type: ignore[import-untyped]
from opensearchpy import OpenSearch

from sorce.cluster import connect
from sorce.engine import running
from sorce.evaluate.metrics import Ranks, Relevant, best_region_scores, mean_average_precision, ranks, recall_at
from sorce.evaluate.run import merged_size
from sorce.index import Index
from sorce.mappings import Picture, Region, Vector
from sorce.mappings.recipe import Plain
from sorce.models import Model, load_encoder, load_model
from sorce.pictures.loading import open_picture
from sorce.plugin import ClientSearch, SearchRequest
from training.mini.bank import SEEN, UNSEEN
from training.scenes.bundled import FOLDER, questions
from training.scenes.collection import REPORTING, cached, collection

DEFAULT = "tiles"
PLANS: Mapping[str, tuple[str, dict[str, Plain]]] = {
    DEFAULT: ("tiles", {}),
    "whole": ("whole", {}),
    "clusters": ("clusters", {}),
    "tiles, all stored": ("tiles", {"max_stored": 250}),
    "tiles, at most 90": ("tiles", {"max_regions": 90}),
    "tiles, at most 800": ("tiles", {"max_regions": 800, "max_stored": 800}),
}
HALF = 0.48
"""The share of tiles that are encoded in the comparison with all; chosen on other scenes."""
BARS = {"R@1": 0.5, "R@5": 0.7, "retrieval mAP": 0.35}
SIDES = (40, 65, 95, 131)
"""The bounds of small, medium and large objects, in pixels of the longer side."""


@dataclass(frozen=True)
class Scenes:
    """Pictures, queries, the relevant pictures (queries, pictures), and the longest side of each query's object."""

    pictures: tuple[Path, ...]
    queries: tuple[str, ...]
    relevant: Relevant
    sides: tuple[float, ...]


@cache
def scenes(seed: int, styles: tuple[str, ...]) -> Scenes:
    folder = cached(collection(seed, styles=styles))
    pictures = tuple(sorted(folder.glob("*.jpg")))
    answers = json.loads((folder / "queries.json").read_text())
    queries = tuple(answer["text"] for answer in answers)
    relevant = np.array([[picture.name in answer["images"] for picture in pictures] for answer in answers])
    sides = dict.fromkeys(queries, 0.0)
    for line in (folder / "labels.jsonl").read_text().splitlines():
        for thing in json.loads(line)["objects"]:
            if thing["label"] in sides:
                x1, y1, x2, y2 = thing["box"]
                sides[thing["label"]] = max(sides[thing["label"]], x2 - x1, y2 - y1)
    return Scenes(pictures, queries, relevant, tuple(sides.values()))


class Recorder(Model[Any]):
    """A model that keeps the vectors it computes."""

    def __init__(self, model: Model[Any]) -> None:
        self._model, self.recipe = model, model.recipe
        self._found: dict[str, Vector] = {}

    @property
    def photos(self) -> list[Vector]:
        """(regions, dimension) for each photo, in the order of their names: an ingest encodes what is ready."""
        return [self._found[name] for name in sorted(self._found)]

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        return self._model.embed_texts(texts)

    def prepare(self, picture: Picture) -> Any:
        return picture.name, self._model.prepare(picture)

    def pictures(self, prepared: Any) -> int:
        return self._model.pictures(prepared[1])

    def encode(self, prepared: Sequence[Any]) -> list[list[Region]]:
        found = self._model.encode([each for _, each in prepared])
        for (name, _), regions in zip(prepared, found, strict=True):
            self._found[name] = np.stack([region.vec for region in regions])
        return found


def measures() -> Iterator[Line]:
    those = scenes(REPORTING, SEEN)
    with running(heap="2g") as url:
        client = connect(url)
        for name, (regions, parameters) in PLANS.items():
            index = "-".join(["scenes", regions, *(f"{key}{value}" for key, value in parameters.items())])
            yield from _indexed(client, index, name, Recorder(load_model("mini", regions, parameters)), those)
            if name == DEFAULT:
                yield from graph("300 scenes", client, index, those.queries)
        Index(client, "demo", lambda: load_model("mini")).ingest([FOLDER])
        yield from graph("demo index", client, "demo", [question.text for question in questions(0, 1000)])
    yield from _half(those)
    yield from _unseen(scenes(REPORTING, UNSEEN))


def _half(those: Scenes) -> Iterator[Line]:
    """All tiles against the half that their pixels choose: what is found, and the encoder's time."""
    recalls, seconds = [], []
    for share in (1.0, HALF):
        model = Recorder(load_model("mini", DEFAULT, {"encoded_share": share}))
        spent = 0.0
        for picture in those.pictures:
            prepared = model.prepare(open_picture(picture))
            started = time.process_time()
            model.encode([prepared])
            spent += time.process_time() - started
        places = ranks(best_region_scores(model.embed_texts(those.queries), model.photos), those.relevant)
        recalls.append(recall_at(5, places))
        seconds.append(spent)
    yield at_least(f"finds, tiles, encoded_share={HALF}: R@5 less that of all", recalls[1] - recalls[0], -0.01)
    yield at_most(f"finds, tiles, encoded_share={HALF}: encoder's CPU time / that of all", seconds[1] / seconds[0], 0.5)


def _indexed(client: OpenSearch, index: str, name: str, model: Recorder, those: Scenes) -> Iterator[Line]:
    cpu, started = processors(client), time.monotonic()
    Index(client, index, lambda: model).ingest(those.pictures)
    took, busy = time.monotonic() - started, processors(client) - cpu
    if name == DEFAULT:
        ratio = took / (busy / (cpu_count()))
        yield at_most("ingest of 300 scenes: wall time / (CPU time of all processes / cores)", ratio, 1.25)
    size = merged_size(client, index)
    places = ranks(best_region_scores(model.embed_texts(those.queries), model.photos), those.relevant)
    yield from judged(name, places, bars=name == DEFAULT)
    for least, most in pairwise(SIDES):
        some = [place for place, side in zip(places, those.sides, strict=True) if least <= side < most]
        yield Line(
            f"finds, {name}: R@5 of things of {least} to {most - 1} px", recall_at(5, some), note=f"{len(some)} things"
        )
    yield Line(f"finds, {name}: regions a photo", float(np.mean([len(vectors) for vectors in model.photos])))
    yield Line(f"finds, {name}: index kB a photo", size / len(those.pictures) / 1000, note="one segment")
    yield Line(f"finds, {name}: ingest seconds a photo", took / len(those.pictures))


def judged(name: str, places: Sequence[Ranks], *, bars: bool) -> Iterator[Line]:
    figures = {
        "R@1": recall_at(1, places),
        "R@5": recall_at(5, places),
        "retrieval mAP": mean_average_precision(places),
    }
    for metric, figure in figures.items():
        what = f"finds, {name}: {metric}"
        yield at_least(what, figure, BARS[metric]) if bars else Line(what, figure)


def _unseen(those: Scenes) -> Iterator[Line]:
    for regions in ("whole", "tiles"):
        yield from judged(f"{regions}, unseen style", in_memory("mini", regions, those), bars=False)


def in_memory(checkpoint: str, regions: str, those: Scenes) -> Sequence[Ranks]:
    """The ranks of the relevant pictures, computed without an index."""
    model = Recorder(load_model(checkpoint, regions))
    for picture in those.pictures:
        model.embed_photos([open_picture(picture)])
    return ranks(best_region_scores(model.embed_texts(those.queries), model.photos), those.relevant)


def processors(client: OpenSearch) -> float:
    """Seconds of CPU time so far: of this process, of its ended child processes, and of the engine."""
    nodes = client.nodes.stats(metric="process")["nodes"].values()
    theirs = float(sum(node["process"]["cpu"]["total_in_millis"] for node in nodes)) / 1000
    mine = os.times()
    return mine.user + mine.system + mine.children_user + mine.children_system + theirs


def graph(name: str, client: OpenSearch, index: str, texts: Sequence[str]) -> Iterator[Line]:
    """How many of the ten photos of a full scan the default search finds, and whether it shows the same box in each."""
    search = ClientSearch(client, index, load_encoder)
    recall, same = [], []
    for text in texts:
        by_graph = {hit.photo_id: hit.box for hit in search.search(SearchRequest([text]))}
        truth = {hit.photo_id: hit.box for hit in search.search(SearchRequest([text], exact=True))}
        both = by_graph.keys() & truth.keys()
        recall.append(len(both) / len(truth))
        same += [by_graph[photo] == truth[photo] for photo in both]
    yield at_least(f"graph against exact, {name}: recall@10 of photos", float(np.mean(recall)), 0.99)
    yield at_least(f"graph against exact, {name}: same best box", float(np.mean(same)), 0.99)
