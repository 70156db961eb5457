"""The second stage: what `zoom` adds to an index of rendered scenes, and what localisers cost beside their networks.

The settings of `zoom` were chosen on other scenes (`CHOOSING`).
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from figures import Line, at_least, at_most
from finds import Scenes, scenes
from numpy.typing import ArrayLike
from swin import save_detector

from sorce.evaluate.bootstrap import mean_over_queries
from sorce.evaluate.metrics import Ranks, average_precision, found_at, ranks_in
from sorce.locate import open_localiser
from sorce.locate.detector import DetectorLocaliser
from sorce.locate.zoom import MAX_CROPS, Zoom
from sorce.mappings import Box, Hit, Hits, Located, LocateRequest, Match, Region, Vector
from sorce.models.checkpoint import Checkpoint, find
from sorce.models.encoder import Encoder
from sorce.models.image_processor import View
from sorce.models.methods import Runtime
from sorce.models.tiles import Tiles
from sorce.pictures.files import read
from sorce.pictures.limits import DecodeLimits
from sorce.pictures.loading import open_picture
from sorce.pictures.sandbox import DecoderPool
from sorce.plugin import SearchRequest
from sorce.plugin.query.locating import SecondStage, look_again
from training.mini.bank import SEEN
from training.scenes.collection import REPORTING

FIRST = 20
ROUNDS = 7
MAX_SECONDS = 600
"""A detector looks at the first hits until so much time is over."""
Place = tuple[int, int]
"""The numbers of a query and a picture."""


class Recording(Encoder):
    """An encoder that keeps the views of each call."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.calls: list[Sequence[View]] = []
        super().__init__(checkpoint)

    def embed_views(self, views: Sequence[View]) -> Vector:
        self.calls.append(views)
        return super().embed_views(views)


@dataclass(frozen=True)
class Found:
    """For each query the pictures in order of rank, and the boxes shown, by query and picture."""

    rankings: Sequence[Sequence[int]]
    boxes: Mapping[Place, Box]


def measures() -> Iterator[Line]:
    those = scenes(REPORTING, SEEN)
    encoder = Recording(find("mini"))
    by_index = indexed(Tiles(encoder), those)
    zoom = Zoom(encoder)
    by_zoom, crops = looked_again(zoom, encoder, those, by_index)
    yield from compared(those, truth(those), by_index, by_zoom)
    yield at_most("zoom: crops of a photo, at most", crops, MAX_CROPS)
    yield from zoom_time(zoom, encoder, those, by_index)
    yield from detector_time(those, by_index)


def indexed(model: Tiles, those: Scenes) -> Found:
    """What a full scan of the index gives."""
    texts = model.embed_texts(those.queries)
    scores = np.zeros((len(those.queries), len(those.pictures)))
    boxes: dict[Place, Box] = {}
    for number, picture in enumerate(those.pictures):
        regions: list[Region] = model.embed_photos([open_picture(picture)])[0]
        cosines = texts @ np.stack([region.vec for region in regions]).T
        scores[:, number] = cosines.max(axis=1)
        boxes |= {(query, number): regions[best].box for query, best in enumerate(cosines.argmax(axis=1))}
    return Found(np.argsort(-scores, axis=1, kind="stable").tolist(), boxes)


def looked_again(zoom: Zoom, encoder: Recording, those: Scenes, found: Found) -> tuple[Found, int]:
    """What `zoom` makes of each query's first hits, and the most crops that it saw of a photo for a query."""
    wanted = defaultdict(list)
    for query, ranking in enumerate(found.rankings):
        for picture in ranking[:FIRST]:
            wanted[picture].append(query)
    located: dict[Place, Located] = {}
    most = 0
    for picture, queries in wanted.items():
        opened = open_picture(those.pictures[picture])
        asked = [LocateRequest(opened, those.queries[query], found.boxes[query, picture]) for query in queries]
        encoder.calls.clear()
        answers = zoom.locate(asked)
        most = max(most, -(-sum(map(len, encoder.calls)) // len(asked)))
        located |= {(query, picture): answer for query, answer in zip(queries, answers, strict=True)}
    rankings = []
    for query, ranking in enumerate(found.rankings):
        places = np.argsort([-located[query, picture].score for picture in ranking[:FIRST]], kind="stable")
        rankings.append([*(ranking[place] for place in places), *ranking[FIRST:]])
    return Found(rankings, {place: each.box for place, each in located.items()}), most


def truth(those: Scenes) -> Mapping[Place, list[Box]]:
    """The boxes of each query's thing in each picture that shows it."""
    boxes = defaultdict(list)
    numbers = {query: number for number, query in enumerate(those.queries)}
    lines = (those.pictures[0].parent / "labels.jsonl").read_text().splitlines()
    places = {picture.name: number for number, picture in enumerate(those.pictures)}
    for said in map(json.loads, lines):
        for thing in said["objects"]:
            if thing["label"] in numbers:
                boxes[numbers[thing["label"]], places[said["image"]]].append(Box(*thing["box"]))
    return boxes


def compared(those: Scenes, right: Mapping[Place, list[Box]], by_index: Found, by_zoom: Found) -> Iterator[Line]:
    """The index's figures, and those of `zoom` with their bars; the notes have 95 % intervals over the queries."""
    figures = {}
    for name, found in (("index", by_index), ("zoom", by_zoom)):
        places = ranked(those, found)
        overlaps = [
            [
                max(found.boxes[query, picture].iou(box) for box in right[query, picture])
                for picture in by_index.rankings[query][:FIRST]
                if (query, picture) in right
            ]
            for query in range(len(those.queries))
        ]
        values: dict[str, Sequence[ArrayLike]] = {
            "R@1": [float(found_at(1, each)) for each in places],
            "mAP": [average_precision(each) for each in places],
            "mean IoU of the right photo's box": overlaps,
            "Acc50": [[overlap >= 0.5 for overlap in each] for each in overlaps],
        }
        for kind, each in values.items():
            metric = mean_over_queries(kind, each)
            assert metric.value is not None
            figures[name, kind] = metric.value
            yield Line(f"locate, {name}: {kind}", metric.value, note=f"{metric.low:.3f} to {metric.high:.3f}")
    for kind, bar in (("R@1", 0.08), ("mAP", 0.05)):
        yield at_least(f"locate, zoom: {kind} above the index's", figures["zoom", kind] - figures["index", kind], bar)
    kind = "mean IoU of the right photo's box"
    yield at_least(f"locate, zoom: {kind} / the index's", figures["zoom", kind] / figures["index", kind], 1.5)


def ranked(those: Scenes, found: Found) -> list[Ranks]:
    return [
        ranks_in([str(place) for place in ranking], [str(place) for place in np.flatnonzero(relevant)])
        for ranking, relevant in zip(found.rankings, those.relevant, strict=True)
    ]


def zoom_time(zoom: Zoom, encoder: Recording, those: Scenes, found: Found, hits: int = FIRST) -> Iterator[Line]:
    """Of a search's second stage, against decoding alone and the network alone, on the same crops."""
    first = first_hits(those, found, hits)
    stage = SecondStage(zoom, hits, [those.pictures[0].parent])
    asked = SearchRequest([those.queries[0]], size=hits)
    assert all(hit.seen and hit.seen.reason is None for hit in look_again(first, asked, stage))
    rounds = [(*stage_round(encoder, first, asked, stage), decoding(those, found, hits)) for _ in range(ROUNDS)]
    ratios = [took / (network + opening) for took, network, opening in rounds]
    took, network, opening = np.median(rounds, axis=0)
    note = f"{ROUNDS} rounds from {min(ratios):.2f} to {max(ratios):.2f}; {took:.2f} s, network {network:.2f} s, "
    note += f"decoding {opening:.2f} s with the start of its process"
    yield at_most(f"zoom of {hits} hits: time / (decoding + network)", float(np.median(ratios)), 1.25, note)


def stage_round(encoder: Recording, first: Hits, asked: SearchRequest, stage: SecondStage) -> tuple[float, float]:
    """Seconds of the second stage, and of the network alone on the same crops."""
    encoder.calls.clear()
    started = time.perf_counter()
    look_again(first, asked, stage)
    took = time.perf_counter() - started
    calls, started = list(encoder.calls), time.perf_counter()
    for views in calls:
        encoder.embed_views(views)
    return took, time.perf_counter() - started


def decoding(those: Scenes, found: Found, hits: int) -> float:
    """Seconds of the sandboxed decoding alone."""
    started = time.perf_counter()
    with closing(DecoderPool(DecodeLimits())) as decoders:
        for picture in first_pictures(those, found, hits):
            decoders.picture(read(picture))
    return time.perf_counter() - started


def first_hits(those: Scenes, found: Found, hits: int) -> Hits:
    """Of the first query, as a search gives them."""
    boxes = [found.boxes[0, place] for place in found.rankings[0][:hits]]
    pictures = first_pictures(those, found, hits)
    return Hits(
        tuple(
            Hit(str(rank), picture.as_uri(), picture.name, "", 1, 1, 1 / rank, ((Match(0, box, "tile", 1, 1, 1),),))
            for rank, (box, picture) in enumerate(zip(boxes, pictures, strict=True), 1)
        )
    )


def detector_time(those: Scenes, found: Found, hits: int = FIRST) -> Iterator[Line]:
    """A detector of the size of Swin-T with random weights: the share of the time that is not its network."""
    with TemporaryDirectory() as folder, closing(DecoderPool(DecodeLimits())) as decoders:
        localiser = open_localiser(str(save_detector(Path(folder))), runtime=Runtime("cpu"))
        assert isinstance(localiser, DetectorLocaliser)
        network, spent = localiser.network.forward, []

        def timed(*args: Any, **inputs: Any) -> Any:
            started = time.perf_counter()
            said = network(*args, **inputs)
            spent.append(time.perf_counter() - started)
            return said

        localiser.network.forward = timed
        pictures, looked, took = first_pictures(those, found, hits), 0, 0.0
        decoders.picture(read(pictures[0]))
        started = time.perf_counter()
        for place, picture in enumerate(pictures):
            opened = decoders.picture(read(picture))
            localiser.locate([LocateRequest(opened, those.queries[0], found.boxes[0, found.rankings[0][place]])])
            looked, took = looked + 1, time.perf_counter() - started
            if took > MAX_SECONDS:
                break
    yield at_most(f"detector (Swin-T) on {looked} hits: share that is not the network", 1 - sum(spent) / took, 0.1)
    yield Line(f"detector (Swin-T) on {looked} hits: seconds", took)


def first_pictures(those: Scenes, found: Found, hits: int) -> list[Path]:
    """The pictures of the first query's first hits."""
    return [those.pictures[place] for place in found.rankings[0][:hits]]
