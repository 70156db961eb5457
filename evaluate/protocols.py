"""What is published of each benchmark: what is asked, how it is judged, and what the figures are called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from sorce.evaluate.ask import Ask
from sorce.evaluate.box_metrics import BoxMetrics, SizeMetrics
from sorce.evaluate.figures import Figure, figure
from sorce.evaluate.ground_truth import GroundTruth, LabelledQuery
from sorce.evaluate.metrics import (
    Ranks,
    Scores,
    accuracy,
    alone,
    average_precision,
    found_at,
    mean_accuracy,
    ranks_in,
)
from sorce.evaluate.readers.sorce1k import EASY, FULL, MEDIUM
from sorce.mappings import Hit

KS = (1, 5, 10)
MOST = max(KS)
PHOTOS = 50
"""The papers call it mAP@50. It is always written out: in detection that name means an IoU of 0.5."""

MAP = f"retrieval mAP over the first {PHOTOS} photos"

DRAWN = 3
"""The first hits of a query that are kept to be drawn."""

Progress = Callable[[Sequence[LabelledQuery]], Iterable[LabelledQuery]]


@dataclass(frozen=True, slots=True)
class AskedQuery:
    """A query and what is worth a look: the first hits, and the best right photo where it is not one of them."""

    query: LabelledQuery
    hits: Sequence[Hit]
    right: Sequence[str]
    verdict: str
    is_find: bool
    is_miss: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    figures: list[Figure] = field(default_factory=list)
    asked: list[AskedQuery] = field(default_factory=list)


Protocol = Callable[[GroundTruth, Ask, Progress], Outcome]


def recalls(name: str, found: Sequence[Ranks]) -> list[Figure]:
    return [figure(f"{name}R@{k}", [found_at(k, places) for places in found]) for k in KS]


def sorce_1k(truth: GroundTruth, ask: Ask, progress: Progress) -> Outcome:
    """SORCE-1K in both published forms (arXiv 2505.24441 with its code; ObjEmbed, arXiv 2602.01753, table 4).

    Of 3N pictures each caption asks for one zoom (easy 3x, medium 2x, hard the full picture), the two others of its
    item excluded; and of the N full pictures alone. Forms are named by the number of pictures: as published, 3069 and
    1023.
    """
    forms = [truth.pictures[photo_id].name.split("/")[0] for photo_id in truth.queries[0].answers]
    zoomed = EASY in forms
    full_folder = next(each.source.folder for each in truth.pictures.values() if each.name.startswith(f"{FULL}/"))
    items = [list(query.answers) for query in truth.queries]
    outcome, by_zoom, full_only, similarities = Outcome(), [], [], []
    boxes, sizes = BoxMetrics(), SizeMetrics()
    for query, item in zip(progress(truth.queries), items, strict=True):
        first = ask.ranked(query.text, MOST, full_folder)
        places = ranks_in(_ids(first), item[:1])
        full_only.append(places)
        boxes.add(query, ask.shown(query.text, query.located))
        sizes.add(truth, query, places)
        if zoomed:
            by_zoom.append(alone(ranks_in(_ids(ask.ranked(query.text, MOST + len(item) - 1)), item)))
        similarities.append(
            ask.similarities(query.text, [each for zooms in zip(*items, strict=True) for each in zooms])
        )
        outcome.asked.append(_asked(query, first, item[:1], places))
    scores = np.stack(similarities)
    if zoomed:
        name = f"SORCE-{scores.shape[1]}"
        for level, form in (("easy", EASY), ("medium", MEDIUM), ("hard", FULL)):
            outcome.figures.extend(recalls(f"{name} {level} ", [places[[forms.index(form)]] for places in by_zoom]))
        outcome.figures.extend(recalls(f"{name} image to text ", text_ranks(scores)))
    name = f"SORCE-{len(items)} full-res"
    outcome.figures.extend(recalls(f"{name} ", full_only))
    outcome.figures.extend(recalls(f"{name} image to text ", text_ranks(scores[:, : len(items)])))
    outcome.figures.extend([*boxes.figures(f"{name} "), *sizes.figures(f"{name} ")])
    return outcome


def text_ranks(scores: Scores) -> list[Ranks]:
    """For each picture the rank of its own text among all texts, given (texts N, pictures N or 3N, item by item).

    A picture that is not indexed (not a number) finds none.
    """
    texts = len(scores)
    own = np.arange(scores.shape[1]) % texts
    order = np.argsort(np.argsort(-scores, axis=0, kind="stable"), axis=0, kind="stable") + 1.0
    places = np.where(np.isnan(scores).any(axis=0), np.inf, order[own, np.arange(len(own))])
    return list(places[:, None])


def classes(truth: GroundTruth, ask: Ask, progress: Progress) -> Outcome:
    """mAP over the first 50 photos with class names as queries (Levi et al., arXiv 2309.14999; ObjEmbed's code)."""
    outcome, found = Outcome(), []
    boxes, sizes = BoxMetrics(), SizeMetrics()
    for query in progress(truth.queries):
        right = list(query.answers)
        hits = ask.ranked(query.text, PHOTOS)
        places = ranks_in(_ids(hits), right)
        found.append(places)
        if query.located:
            boxes.add(query, ask.shown(query.text, query.located))
            # Apart: a deeper search would propose more candidates for the first 50, too.
            deep = ask.ranked(query.text, MOST + len(right) - 1)
            sizes.add(truth, query, alone(ranks_in(_ids(deep), right)))
        outcome.asked.append(_asked(query, hits, right, places))
    outcome.figures.extend(recalls("", found))
    of_all = [average_precision(places, PHOTOS) for places in found]
    attainable = [average_precision(places, PHOTOS, attainable=True) for places in found]
    outcome.figures.append(figure(f"{MAP}, of all relevant", of_all))
    outcome.figures.append(figure(f"{MAP}, of min(relevant, {PHOTOS})", attainable))
    outcome.figures.extend([*boxes.figures(), *sizes.figures()])
    return outcome


def sorec(truth: GroundTruth, ask: Ask, progress: Progress) -> Outcome:
    """Acc50, Acc75 and mAcc (SOREC, arXiv 2510.03701) of the box shown in the expression's own picture."""
    outcome, boxes = Outcome(), BoxMetrics()
    for query in progress(truth.queries):
        hits = ask.shown(query.text, query.located)
        boxes.add(query, hits)
        overlap = boxes.overlaps[-1][0]
        verdict = f"IoU {overlap:.2f}"
        outcome.asked.append(AskedQuery(query, hits, (), verdict, bool(overlap >= 0.5), bool(overlap < 0.5)))
    overlaps = np.concatenate(boxes.overlaps)
    outcome.figures.append(figure("Acc50", list(accuracy(overlaps, 0.5))))
    outcome.figures.append(figure("Acc75", list(accuracy(overlaps, 0.75))))
    outcome.figures.append(figure("mAcc", list(mean_accuracy(overlaps))))
    outcome.figures.extend(boxes.figures())
    return outcome


def _ids(hits: Sequence[Hit]) -> list[str]:
    return [hit.photo_id for hit in hits]


def _asked(query: LabelledQuery, hits: Sequence[Hit], right: Sequence[str], places: Ranks) -> AskedQuery:
    best = int(places.argmin())
    rank = places[best]
    verdict = f"first right one at {rank:.0f}" if np.isfinite(rank) else f"no right one in {len(hits)}"
    wanted = [right[best]] if rank > DRAWN else []
    return AskedQuery(query, hits[:DRAWN], wanted, verdict, bool(rank == 1), bool(rank > MOST))
