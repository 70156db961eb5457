"""The bundled scenes of the demo, and the questions that a seed draws for them."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sorce.mappings import Box
from training.mini import bank
from training.scenes.collection import Collection, collection

FOLDER = Path(__file__).parent / "bundled"

_SEED = 303
_SCENES, _PLANTED = 40, 150
_LARGEST = 130  # px, longer side: the questions ask for small things
_LEAST_VISIBLE = 0.85


@dataclass(frozen=True)
class Question:
    """A text, and the only bundled picture that shows it."""

    text: str
    label: str
    image: str
    box: Box


def bundle() -> Collection:
    """What `python -m training.scenes bundle` renders into FOLDER."""
    return collection(_SEED, _SCENES, _PLANTED)


def questions(seed: int, number: int) -> tuple[Question, ...]:
    """Drawn from all labels that occur once, in exactly one picture, small and in full view. None is picked by hand."""
    places: dict[str, list[tuple[str, Box, float]]] = defaultdict(list)
    for line in (FOLDER / "labels.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for thing in row["objects"]:
            places[thing["label"]].append((row["image"], Box(*thing["box"]), thing["visible"]))
    rng = np.random.default_rng([seed, number])
    concepts = {concept.name: concept for concept in bank.concepts()}
    asked = []
    for label, found in sorted(places.items()):
        image, box, visible = found[0]
        if len(found) == 1 and max(box.x2 - box.x1, box.y2 - box.y1) <= _LARGEST and visible >= _LEAST_VISIBLE:
            asked.append(Question(_phrase(rng, concepts[label]), label, image, box))
    return tuple(asked[index] for index in sorted(rng.permutation(len(asked))[:number]))


def _phrase(rng: np.random.Generator, concept: bank.Concept) -> str:
    """The bare name, the name with an article or with "small" (all of them are small), or a synonym."""
    name = concept.name
    # "a grapes" and "a bread" are wrong English. The plurals show which names these are.
    countable = " of " not in concept.plural and concept.plural != name and not name.endswith("s")
    article = "an" if name[0] in "aeiou" else "a"
    choices = [name, f"small {name}", *concept.synonyms[:1]]
    if countable:
        choices += [f"{article} {name}", f"a small {name}"]
    return choices[int(rng.integers(len(choices)))]
