"""One ingest by Ray with an encoder that does nothing, in a process of its own: prints its peak memory in bytes.

python benchmarks/ray_driver.py URL INDEX FOLDER
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from threading import Event

import numpy as np

from sorce.cluster import connect
from sorce.ingest import Files, Options, Watch
from sorce.ingest.index import TargetIndex
from sorce.ingest.pipeline import Run, default_workers
from sorce.ingest.ray_run import ByRay
from sorce.ingest.ray_session import Team, ray_running
from sorce.mappings import Box, Picture, Recipe, Region, Vector
from sorce.models.model import Model
from sorce.options import Cluster

VECTOR = np.eye(1, 8, dtype=np.float32)[0]


class Constant(Model[tuple[int, int]]):
    """The same vector for the whole of each photo, and for each text."""

    recipe = Recipe("example/constant", 40 * "1", "whole", len(VECTOR), "numpy")

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        return np.tile(VECTOR, (len(texts), 1))

    def prepare(self, picture: Picture) -> tuple[int, int]:
        return picture.size

    def encode(self, prepared: Sequence[tuple[int, int]]) -> list[list[Region]]:
        return [[Region(Box(0, 0, *size), VECTOR, "whole")] for size in prepared]


def main() -> None:
    # By its name, as the workers import it; `__main__` is another module there.
    from ray_driver import Constant

    url, index, folder = sys.argv[1:]
    run = Run(TargetIndex(connect(url), index), Constant.recipe, Options(), Watch())
    run.prepare(Constant(), None)
    started = time.perf_counter()
    by_ray = ByRay(Team(workers=default_workers()), Cluster(url, False), Constant)
    with ray_running(by_ray.team, default_workers(), Event()) as ray:
        report = by_ray.using(ray, run, Files([folder]), None, started)
    # Not before: while Ray runs, standard output is Ray's, and is dropped.
    print(report, file=sys.stderr)
    assert not report.rejected
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))


if __name__ == "__main__":
    main()
