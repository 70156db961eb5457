"""The gain by Querybank Normalisation: settings are chosen on some scenes, reported on others and on real photos.

It is computed in memory, over the vectors that ingest would index. `mean` is a simpler method: the query minus the
bank's mean vector.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from figures import Line, not_taken
from finds import scenes

from sorce.evaluate.metrics import Ranks, Relevant, Scores, mean_average_precision, ranks, recall_at
from sorce.mappings import Vector
from sorce.models import Model, load_model
from sorce.models.querybank import TEMPERATURE, hubness, texts
from sorce.pictures.loading import open_picture
from training.mini.bank import SEEN
from training.scenes.collection import CHOOSING, REPORTING

PHOTOS = Path(__file__).parents[2] / "shared/data/photos"
TEMPERATURES = (0.01, 0.02, 0.05, 0.1, 0.2, inf)
WEIGHTS = (0.25, 0.5, 0.75, 1.0)
CANDIDATES = (10, 100)


@dataclass(frozen=True)
class Set:
    """Vectors of queries (queries, dimension) and of each picture's regions, and the relevant pictures."""

    name: str
    queries: Vector
    photos: Sequence[Vector]
    relevant: Relevant

    def scores(self, bank: Vector, temperature: float, weight: float) -> Scores:
        """The score of each query for each picture, (queries, pictures)."""
        best = [
            (self.queries @ regions.T - weight * height(regions, bank, temperature)).max(axis=1)
            for regions in self.photos
        ]
        return np.stack(best, axis=1).astype(np.float64)

    def places(self, bank: Vector, temperature: float, weight: float) -> list[Ranks]:
        return ranks(self.scores(bank, temperature, weight), self.relevant)


def measures() -> Iterator[Line]:
    model = load_model("mini")
    yield from compared(model.embed_texts(texts()), rendered(model, CHOOSING), sets(model))


def sets(model: Model[Any]) -> Iterator[Set]:
    yield rendered(model, REPORTING)
    if PHOTOS.is_dir():
        yield photographed(model)


def compared(bank: Vector, choosing: Set, reporting: Iterator[Set]) -> Iterator[Line]:
    temperature, weight = chosen(choosing, bank)
    ways = {
        "without": (inf, 0.0),
        "mean": (inf, 1.0),
        f"T {TEMPERATURE:g} x 1, shipped": (TEMPERATURE, 1.0),
        f"T {temperature:g} x {weight:g}, chosen": (temperature, weight),
    }
    for those in (choosing, *reporting):
        without = those.places(bank, inf, 0.0)
        for way, (temperature, weight) in ways.items():
            places = those.places(bank, temperature, weight)
            yield from judged(f"{those.name}, {way}", places)
            if weight:
                gain = recall_at(1, places) - recall_at(1, without)
                yield Line(f"querybank, {those.name}, {way}: gain of R@1", gain, note=f"{len(places)} queries")
        for k in CANDIDATES:
            yield missed(those, bank, k)
    if not PHOTOS.is_dir():
        yield not_taken("querybank, photos", f"{PHOTOS} is not on this machine")


def chosen(those: Set, bank: Vector) -> tuple[float, float]:
    """The temperature and weight with the best retrieval mAP."""
    return max(
        ((temperature, weight) for temperature in TEMPERATURES for weight in WEIGHTS),
        key=lambda way: mean_average_precision(those.places(bank, *way)),
    )


def judged(name: str, places: Sequence[Ranks]) -> Iterator[Line]:
    yield Line(f"querybank, {name}: R@1", recall_at(1, places))
    yield Line(f"querybank, {name}: R@5", recall_at(5, places))
    yield Line(f"querybank, {name}: retrieval mAP", mean_average_precision(places))


def missed(those: Set, bank: Vector, k: int) -> Line:
    """Queries whose first picture by the shipped method is not among the first k candidates by cosine."""
    plain = np.argsort(-those.scores(bank, inf, 0.0), axis=1)[:, :k]
    first = those.scores(bank, TEMPERATURE, 1.0).argmax(axis=1)
    share = float(np.mean([best not in row for best, row in zip(first, plain, strict=True)]))
    note = f"share of {len(first)} queries; {len(those.photos)} pictures"
    return Line(f"querybank, {those.name}: firsts that {k} candidates miss", share, note=note)


def height(regions: Vector, bank: Vector, temperature: float) -> Vector:
    """The hubness of each region. At an infinite temperature it is the mean."""
    return regions @ bank.mean(axis=0) if temperature == inf else hubness(regions, bank, temperature)


def rendered(model: Model[Any], seed: int) -> Set:
    those = scenes(seed, SEEN)
    name = "where it was chosen" if seed == CHOOSING else "other scenes"
    return Set(name, model.embed_texts(those.queries), embedded(model, those.pictures), those.relevant)


def photographed(model: Model[Any]) -> Set:
    """128 photos; the queries are the class names of their boxes."""
    lines = [json.loads(line) for line in (PHOTOS / "labels.jsonl").read_text().splitlines()]
    shown = [{thing["label"] for thing in line["objects"]} for line in lines]
    labels = sorted(set().union(*shown))
    relevant = np.array([[label in there for there in shown] for label in labels])
    pictures = [PHOTOS / "images" / line["image"] for line in lines]
    return Set("photos", model.embed_texts(labels), embedded(model, pictures), relevant)


def embedded(model: Model[Any], pictures: Sequence[Path]) -> list[Vector]:
    return [
        np.stack([region.vec for region in regions])
        for picture in pictures
        for regions in model.embed_photos([open_picture(picture)])
    ]
