"""Held-out collections of scenes: which concepts are asked for, where they are planted, and what fills the rest.

A query's concept is planted in one to three scenes. It is in no other scene, neither planted nor as filler.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from training.mini import bank
from training.scenes.compose import Order, compose
from training.scenes.pieces import drawings
from training.scenes.scene import Scene
from training.scenes.textures import Rng
from training.scenes.themes import THEMES

CHOOSING = 101  # the seed of the scenes on which settings are chosen
REPORTING = 202  # the seed of the scenes on which results are reported

_STREAM = 0x5CE9E  # Makes these random numbers differ from those that training draws with the same seed.
_PLANTED_IN = (1, 3)


@dataclass(frozen=True)
class Collection:
    """The plan of a collection: `queries` are concepts, `orders` one per scene. It depends on the arguments only."""

    seed: int
    styles: tuple[str, ...]
    queries: tuple[str, ...]
    orders: tuple[Order, ...]

    def __len__(self) -> int:
        return len(self.orders)

    def __iter__(self) -> Iterator[Scene]:
        return (self.scene(number) for number in range(len(self)))

    def scene(self, number: int) -> Scene:
        """Renders the scene: the same picture at every call."""
        rng = np.random.default_rng([_STREAM, self.seed, number])
        return compose(rng, self.orders[number], drawings())

    def images(self, query: str) -> tuple[str, ...]:
        """The names of the pictures that show the query's concept."""
        return tuple(image_name(number) for number, order in enumerate(self.orders) if query in order.planted)


def collection(seed: int, scenes: int = 300, queries: int = 300, styles: Sequence[str] = bank.SEEN) -> Collection:
    """Plans `scenes` scenes for `queries` concepts, drawn in `styles`. The filler is always in styles seen in training.

    Raises ValueError where there are not enough concepts.
    """
    rng = np.random.default_rng([_STREAM, seed])
    concepts = bank.concepts()
    shuffled = [concepts[number] for number in rng.permutation(len(concepts))]
    drawn = [concept for concept in shuffled if any(style in concept.icons for style in styles)]
    if queries > len(drawn) // 2 + 80:
        raise ValueError(f"{queries} queries would leave too few of {len(drawn)} concepts as filler")
    asked = drawn[:queries]
    names = {concept.name for concept in asked}
    filler = tuple(concept.name for concept in concepts if concept.name not in names)
    orders = [Order(THEMES[number % len(THEMES)], (), tuple(styles), filler) for number in range(scenes)]
    for concept in asked:
        for number in _homes(rng, orders, concept):
            orders[number] = replace(orders[number], planted=(*orders[number].planted, concept.name))
    return Collection(seed, tuple(styles), tuple(sorted(names)), tuple(orders))


def _homes(rng: Rng, orders: Sequence[Order], concept: bank.Concept) -> list[int]:
    """Scenes for a concept: those of its themes that hold few planted things, else the emptiest scenes."""
    wanted = min(int(rng.integers(_PLANTED_IN[0], _PLANTED_IN[1] + 1)), len(orders))
    crowd = 2 + sum(len(order.planted) for order in orders) / len(orders)
    foreign = rng.permutation(len(orders))

    def strangeness(number: int) -> tuple[bool, bool, int]:
        order = orders[number]
        full = len(order.planted) > crowd
        return full, not set(order.theme.belongs) & set(concept.themes), int(foreign[number])

    return sorted(range(len(orders)), key=strangeness)[:wanted]


def image_name(number: int) -> str:
    return f"{number:04}.jpg"


def write(planned: Collection, folder: Path, quality: int = 88, processes: int = 2) -> None:
    """Renders into a new folder: JPEGs, labels.jsonl (boxes x1, y1, x2, y2 in pixels), queries.json with answers."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    drawings()  # Builds the sprites once, before several processes need them.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="scenes-") as scratch:
        made = Path(scratch, "made")
        made.mkdir()
        render = partial(_render, planned, made, quality)
        numbers = range(len(planned))
        if processes > 1:
            with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
                lines = list(pool.map(render, numbers, chunksize=4))
        else:
            lines = [render(number) for number in numbers]
        (made / "labels.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        answers = [{"text": query, "images": planned.images(query)} for query in planned.queries]
        (made / "queries.json").write_text(json.dumps(answers, indent=1) + "\n", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)


def cached(planned: Collection) -> Path:
    """The folder of the rendered collection in the cache. It is rendered now if it is missing."""
    # What the orders hold, not the orders: their themes hold functions, whose addresses differ in each process.
    content = [(order.theme.belongs, order.planted, order.styles, order.filler) for order in planned.orders]
    decisive = (bank.fingerprint(), planned.seed, planned.queries, content)
    digest = hashlib.sha256(repr(decisive).encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    folder = bank.cache_folder() / f"scenes-{planned.seed}-{digest.hexdigest()[:12]}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="scenes-") as scratch:
            write(planned, made := Path(scratch, "whole"))
            try:
                made.rename(folder)
            except OSError:
                # Another process has rendered the same scenes meanwhile. They stay: they may be in use already.
                if not folder.exists():
                    raise
    return folder


def _render(planned: Collection, folder: Path, quality: int, number: int) -> str:
    scene = planned.scene(number)
    scene.image.save(folder / image_name(number), quality=quality, optimize=True)
    objects = [
        {
            "label": placed.concept,
            "box": [placed.box.x1, placed.box.y1, placed.box.x2, placed.box.y2],
            "visible": round(placed.visible, 3),
            "planted": placed.planted,
        }
        for placed in scene.objects
    ]
    width, height = scene.image.size
    return json.dumps({"image": image_name(number), "width": width, "height": height, "objects": objects})
