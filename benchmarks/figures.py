"""One line of the measures, and facts about the machine on which it was measured."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from joblib import cpu_count  # type: ignore[import-untyped]


@dataclass(frozen=True)
class Line:
    """A figure with its bar, and whether the bar is reached.

    `holds` is None where there is no bar; `figure` is None where it could not be measured.
    """

    name: str
    figure: float | None
    bar: str = ""
    holds: bool | None = None
    note: str = ""

    def __str__(self) -> str:
        verdict = {None: "", True: "holds", False: "falls short"}[self.holds]
        figure = "not taken" if self.figure is None else f"{self.figure:.4g}"
        return f"{self.name:<58} {figure:>12}  {self.bar:<10} {verdict:<12} {self.note}".rstrip()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def not_taken(name: str, why: str) -> Line:
    return Line(name, None, note=why)


def at_least(name: str, figure: float, bar: float, note: str = "") -> Line:
    return Line(name, figure, f">= {bar:g}", bool(figure >= bar), note)


def at_most(name: str, figure: float, bar: float, note: str = "") -> Line:
    return Line(name, figure, f"<= {bar:g}", bool(figure <= bar), note)


def exactly(name: str, figure: float, bar: float, note: str = "") -> Line:
    return Line(name, figure, f"= {bar:g}", bool(figure == bar), note)


def machine() -> dict[str, Any]:
    """What a reader must know to compare the figures with those of another machine."""
    packages = ("torch", "torchvision", "transformers", "sentence-transformers", "opensearch-py", "numpy", "pillow")
    return {
        "cpu": _cpu(),
        "cores": cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
    }


def _cpu() -> str:
    try:
        with Path("/proc/cpuinfo").open() as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
