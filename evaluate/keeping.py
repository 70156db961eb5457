"""Writes the results of an evaluation into the cluster, for the dashboard "Quality" (`sorce dashboards`)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import orjson
from opensearchpy import OpenSearch, exceptions

from sorce.errors import ClusterError
from sorce.evaluate.box_metrics import BOUNDS, SIZES
from sorce.evaluate.ground_truth import GroundTruth, LabelledQuery
from sorce.evaluate.run import RecipeResult
from sorce.mappings.quality_log import METRIC, QUALITY, QUESTION, quality_body
from sorce.mappings.run_log import Json, monthly

AT_ONCE = 1000


@dataclass(frozen=True)
class Evaluation:
    """What was evaluated, and how: its results are found again by `evaluation`."""

    benchmark: str
    how: str
    evaluation: str = field(default_factory=lambda: uuid.uuid4().hex)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


def keep_results(
    client: OpenSearch, evaluation: Evaluation, truth: GroundTruth, results: Mapping[str, RecipeResult]
) -> str:
    """Writes a document for each question and each metric of each recipe. Returns the index. Raises ClusterError."""
    index = monthly(QUALITY, evaluation.at)
    try:
        client.indices.create(index=index, body=quality_body())
    except exceptions.RequestError as error:
        if error.error != "resource_already_exists_exception":
            raise
    bodies = [body for name, result in results.items() for body in _bodies(evaluation, truth, name, result)]
    for start in range(0, len(bodies), AT_ONCE):
        lines = b"".join(b'{"create":{}}\n%s\n' % orjson.dumps(body) for body in bodies[start : start + AT_ONCE])
        answer = client.bulk(index=index, body=lines, params={"refresh": "true"})
        if answer["errors"]:
            reasons = [item["create"]["error"]["reason"] for item in answer["items"] if "error" in item["create"]]
            raise ClusterError(f"index '{index}' does not take the results ({reasons[0]}); delete it, and run again.")
    return index


def _bodies(evaluation: Evaluation, truth: GroundTruth, name: str, result: RecipeResult) -> Iterator[Json]:
    shared = {
        "evaluation": evaluation.evaluation,
        "at": evaluation.at.isoformat(),
        "benchmark": evaluation.benchmark,
        "how": evaluation.how,
        "recipe": name,
        "recipe_hash": result.recipe.hash,
    }
    for answer in result.answers:
        ranked = {} if answer.rank is None else {"rank": answer.rank}
        size = size_of(truth, answer.query)
        sized = {} if size is None else {"size": size}
        yield {
            **shared,
            "kind": QUESTION,
            "question": answer.query.text,
            "relevant": len(answer.query.answers),
            "summary": answer.summary,
            "found": float(answer.is_found),
            **ranked,
            **sized,
        }
    for metric in result.metrics:
        if metric.value is not None:
            values = {"value": metric.value, "low": metric.low, "high": metric.high, "over": metric.over}
            yield {**shared, "kind": METRIC, "metric": metric.name, **values}


def size_of(truth: GroundTruth, query: LabelledQuery) -> str | None:
    """The size class of the largest object that the question asks for; None if the ground truth has no boxes."""
    shares = [share for photo_id in query.answers if (share := truth.share(query, photo_id)) is not None]
    return SIZES[int(np.searchsorted(BOUNDS, max(shares), side="right"))] if shares else None
