"""Memory of an ingest of 10,000 photos compared with one of 1,000: it must not grow with the number of photos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from figures import Line, at_most
from photos import peak
from PIL import Image

from sorce.engine import running

PHOTOS, TIMES = 1000, 10
SIDE = 256


def measures() -> Iterator[Line]:
    with TemporaryDirectory() as folder, running() as url:
        few, many = Path(folder, "few"), Path(folder, "many")
        few.mkdir()
        many.mkdir()
        rng = np.random.default_rng(0)
        for number in range(PHOTOS):
            Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(few / f"{number}.jpg")
        for number in range(TIMES):
            (many / str(number)).symlink_to(few)
        ratio = peak(url, "many", [str(many)]) / peak(url, "few", [str(few)])
    yield at_most(f"memory of {TIMES * PHOTOS:,} photos as a multiple of that of {PHOTOS:,} (whole)", ratio, 1.1)
