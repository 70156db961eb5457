"""What text finds on rendered scenes that no training saw: recall and mAP, exactly, in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from figures import Line, at_least

from sorce.evaluate.metrics import Relevant, best_region_scores, mean_average_precision, ranks, recall_at
from sorce.evaluate.scenes.collection import REPORTING, cached, collection
from sorce.mappings import Vector
from sorce.mappings.recipe import Plain
from sorce.models import load_model
from sorce.models.mini.training.bank import SEEN, UNSEEN
from sorce.models.upright import open_upright


@dataclass(frozen=True)
class Scenes:
    """Pictures, what is asked of them, and which of them answer; `relevant` is (queries, pictures)."""

    pictures: tuple[Path, ...]
    queries: tuple[str, ...]
    relevant: Relevant


@cache
def scenes(seed: int, styles: tuple[str, ...]) -> Scenes:
    folder = cached(collection(seed, styles=styles))
    pictures = tuple(sorted(folder.glob("*.jpg")))
    answers = json.loads((folder / "queries.json").read_text())
    relevant = np.array([[picture.name in answer["images"] for picture in pictures] for answer in answers])
    return Scenes(pictures, tuple(answer["text"] for answer in answers), relevant)


def found(those: Scenes, regions: str, parameters: Mapping[str, Plain]) -> dict[str, float]:
    """R@1, R@5, mAP and the mean number of regions, by the cosine of a photo's best region."""
    model = load_model("mini", regions, parameters)
    photos: list[Vector] = []
    for picture in those.pictures:
        [each] = model.embed_photos([open_upright(picture)])
        photos.append(np.stack([region.vec for region in each]))
    places = ranks(best_region_scores(model.embed_texts(those.queries), photos), those.relevant)
    return {
        "R@1": recall_at(1, places),
        "R@5": recall_at(5, places),
        "mAP": mean_average_precision(places),
        "regions": float(np.mean([len(vectors) for vectors in photos])),
    }


def measures() -> Iterator[Line]:
    """On the reporting scenes; settings were chosen on others."""
    plans: list[tuple[str, dict[str, Plain]]] = [("whole", {}), *(("tiles", {"most": most}) for most in (90, 250, 800))]
    for style, styles in (("styles of training", SEEN), ("unseen style", UNSEEN)):
        those = scenes(REPORTING, styles)
        for regions, parameters in plans:
            got = found(those, regions, parameters)
            setting = f"{regions} {parameters.get('most', '')}".strip()
            note = f"{got['regions']:.0f} regions a photo"
            name = f"finds, {style}, {setting}"
            judged = styles == SEEN and parameters.get("most") == 250
            yield Line(f"{name}, R@1", got["R@1"], note=note)
            yield at_least(f"{name}, R@5", got["R@5"], 0.6) if judged else Line(f"{name}, R@5", got["R@5"])
            yield at_least(f"{name}, mAP", got["mAP"], 0.35) if judged else Line(f"{name}, mAP", got["mAP"])
