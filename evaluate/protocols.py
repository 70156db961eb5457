"""The published evaluation protocols: the queries, what counts as found, and the names of the metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sorce.evaluate.bootstrap import Metric, mean_over_queries
from sorce.evaluate.box_metrics import BoxMetrics, SizeMetrics
from sorce.evaluate.ground_truth import GroundTruth, LabelledQuery
from sorce.evaluate.metrics import (
    Ranks,
    Scores,
    alone,
    average_precision,
    found_at,
    ranks_in,
)
from sorce.evaluate.readers.sorce1k import EASY, FULL, MEDIUM
from sorce.evaluate.retrievers import Retriever
from sorce.evaluate.second_look import SecondLook, located_box
from sorce.mappings import Hit

KS = (1, 5, 10)
"""The k of recall at k (R@k)."""

MAX_K = max(KS)
PHOTOS = 50
"""The papers call it mAP@50. The name is always written out: in detection, mAP@50 means an IoU of 0.5."""

MAP = f"retrieval mAP over the first {PHOTOS} photos"

LOCATED = "located "
"""Prefix of a metric of the second stage's boxes. A metric without it is of the index's boxes."""

DRAWN = 3
"""The number of first hits of a query that are kept for drawing."""

QueryProgress = Callable[[Sequence[LabelledQuery]], Iterable[LabelledQuery]]
"""Passes the queries on one by one, and may show the progress."""


@dataclass(frozen=True, slots=True)
class QueryResult:
    """A query and its photos to draw: its first hits, and the best relevant photo if it is not among them.

    `summary` says in words how good the result is. Some queries are neither found nor missed. `rank` is that of the
    first relevant photo, if there is one and the protocol ranks photos.
    """

    query: LabelledQuery
    hits: Sequence[Hit]
    not_among_hits: Sequence[str]
    summary: str
    is_found: bool
    is_missed: bool
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class ProtocolResult:
    """The metrics of a benchmark, and each query's result."""

    metrics: list[Metric] = field(default_factory=list)
    queries: list[QueryResult] = field(default_factory=list)


EvaluationProtocol = Callable[[GroundTruth, Retriever, QueryProgress], ProtocolResult]


def silent(queries: Sequence[LabelledQuery]) -> Sequence[LabelledQuery]:
    """Shows no progress."""
    return queries


def recalls(name: str, found: Sequence[Ranks]) -> list[Metric]:
    """R@1, R@5 and R@10, given the ranks of each query's relevant photos."""
    return [mean_over_queries(f"{name}R@{k}", [found_at(k, ranks) for ranks in found]) for k in KS]


def sorce_1k(truth: GroundTruth, retriever: Retriever, progress: QueryProgress) -> ProtocolResult:
    """SORCE-1K in both published forms (arXiv 2505.24441 with its code; ObjEmbed, arXiv 2602.01753, table 4).

    In the first form, each caption asks for one zoom among 3N pictures (easy 3x, medium 2x, hard the full picture). The
    two other zooms of its item are excluded. In the second form, it asks among the N full pictures only. Forms are
    named by the number of pictures: as published, 3069 and 1023.
    """
    forms = [truth.pictures[photo_id].name.split("/")[0] for photo_id in truth.queries[0].answers]
    zoomed = EASY in forms
    full_folder = next(each.source.folder for each in truth.pictures.values() if each.name.startswith(f"{FULL}/"))
    items = [list(query.answers) for query in truth.queries]
    # All pictures, form after form, in the order of the captions.
    columns = [photo_id for zooms in zip(*items, strict=True) for photo_id in zooms]
    result, by_zoom, full_only, similarities = ProtocolResult(), [], [], []
    boxes, sizes = BoxMetrics(), SizeMetrics()
    for query, item in zip(progress(truth.queries), items, strict=True):
        first = retriever.rank(query.text, MAX_K, full_folder)
        ranks = ranks_in(_ids(first), item[:1])
        full_only.append(ranks)
        boxes.add(query, retriever.locate(query.text, query.located))
        sizes.add(truth, query, ranks)
        if zoomed:
            by_zoom.append(alone(ranks_in(_ids(retriever.rank(query.text, MAX_K + len(item) - 1)), item)))
        similarities.append(retriever.similarities(query.text, columns))
        result.queries.append(_query_result(query, first, item[:1], ranks))
    scores = np.stack(similarities)
    if zoomed:
        name = f"SORCE-{scores.shape[1]}"
        for level, form in (("easy", EASY), ("medium", MEDIUM), ("hard", FULL)):
            result.metrics.extend(recalls(f"{name} {level} ", [ranks[[forms.index(form)]] for ranks in by_zoom]))
        result.metrics.extend(recalls(f"{name} image to text ", text_ranks(scores)))
    name = f"SORCE-{len(items)} full-res"
    result.metrics.extend(recalls(f"{name} ", full_only))
    result.metrics.extend(recalls(f"{name} image to text ", text_ranks(scores[:, : len(items)])))
    result.metrics.extend([*boxes.metrics(f"{name} "), *sizes.metrics(f"{name} ")])
    return result


def text_ranks(scores: Scores) -> list[Ranks]:
    """For each picture, the rank of its own text among all texts.

    `scores` are (texts N, pictures N or 3N): the pictures of each form in the order of the texts. A picture that is not
    indexed has NaN in its column, and finds no text.
    """
    texts = len(scores)
    own = np.arange(scores.shape[1]) % texts
    order = np.argsort(np.argsort(-scores, axis=0, kind="stable"), axis=0, kind="stable") + 1.0
    ranks = np.where(np.isnan(scores).any(axis=0), np.inf, order[own, np.arange(len(own))])
    return list(ranks[:, None])


def classes(truth: GroundTruth, retriever: Retriever, progress: QueryProgress) -> ProtocolResult:
    """Retrieval mAP with class names as queries (Levi et al., arXiv 2309.14999; ObjEmbed's code)."""
    result, found = ProtocolResult(), []
    boxes, sizes = BoxMetrics(), SizeMetrics()
    for query in progress(truth.queries):
        relevant = list(query.answers)
        hits = retriever.rank(query.text, PHOTOS)
        ranks = ranks_in(_ids(hits), relevant)
        found.append(ranks)
        if query.located:
            boxes.add(query, retriever.locate(query.text, query.located))
            # A separate search: a deeper one would propose more candidates for the first 50, too.
            deep = retriever.rank(query.text, MAX_K + len(relevant) - 1)
            sizes.add(truth, query, alone(ranks_in(_ids(deep), relevant)))
        result.queries.append(_query_result(query, hits, relevant, ranks))
    result.metrics.extend(recalls("", found))
    of_all = [average_precision(ranks, PHOTOS) for ranks in found]
    attainable = [average_precision(ranks, PHOTOS, attainable=True) for ranks in found]
    result.metrics.append(mean_over_queries(f"{MAP}, of all relevant", of_all))
    result.metrics.append(mean_over_queries(f"{MAP}, of min(relevant, {PHOTOS})", attainable))
    result.metrics.extend([*boxes.metrics(), *sizes.metrics()])
    return result


def sorec(
    truth: GroundTruth,
    retriever: Retriever,
    progress: QueryProgress,
    second: SecondLook | None = None,
) -> ProtocolResult:
    """Acc50, Acc75 and mAcc (SOREC, arXiv 2510.03701) of the box that is shown in the expression's own picture.

    With a second stage, also those of its boxes. An expression may have several pictures: classes of labels do.
    """
    result, own, located = ProtocolResult(), BoxMetrics(), BoxMetrics()
    for query in progress(truth.queries):
        hits = retriever.locate(query.text, query.located)
        own.add(query, hits)
        if second is not None:
            hits = second.look(query.text, hits)
            located.add(query, hits, located_box)
        result.queries.append(_located_result(query, hits, (own if second is None else located).overlaps[-1]))
    if second is not None:
        result.metrics.extend([*located.accuracies(LOCATED), *located.metrics(LOCATED)])
    result.metrics.extend([*own.accuracies(), *own.metrics()])
    return result


def _ids(hits: Sequence[Hit]) -> list[str]:
    return [hit.photo_id for hit in hits]


def _located_result(query: LabelledQuery, hits: Sequence[Hit], overlaps: NDArray[np.float64]) -> QueryResult:
    """The photos whose boxes fit worst are drawn. A class without boxes is neither found nor missed."""
    if not len(overlaps):
        return QueryResult(query, (), (), "no boxes", False, False)
    worst = {photo_id: overlap for overlap, photo_id in zip(overlaps, query.located, strict=True)}
    drawn = sorted(hits, key=lambda hit: worst[hit.photo_id])[:DRAWN]
    mean = float(overlaps.mean())
    summary = f"IoU {mean:.2f}" if len(overlaps) == 1 else f"mean IoU {mean:.2f} of {len(overlaps):,} photos"
    return QueryResult(query, drawn, (), summary, mean >= 0.5, mean < 0.5)


def _query_result(query: LabelledQuery, hits: Sequence[Hit], relevant: Sequence[str], ranks: Ranks) -> QueryResult:
    best = int(ranks.argmin())
    rank = ranks[best]
    summary = f"first right photo at {rank:.0f}" if np.isfinite(rank) else f"no right photo in {len(hits)}"
    place = int(rank) if np.isfinite(rank) else None
    not_among_hits = [relevant[best]] if rank > DRAWN else []
    return QueryResult(query, hits[:DRAWN], not_among_hits, summary, bool(rank == 1), bool(rank > MAX_K), place)
