"""Tells released weights of PIZA by their files. Importing this is fast."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILES = (".pth", ".pt", ".safetensors")


def is_released(name: str) -> bool:
    """Whether these are weights in the released form: a file of weights, or a folder with sizes and weights."""
    place = Path(name)
    return (place.is_file() and place.suffix in FILES) or released_sizes(place) is not None


def released_sizes(folder: Path) -> Mapping[str, Any] | None:
    """The sizes in a released folder's config.json; None if the folder is one of transformers, or no folder."""
    said = _config(folder)
    return said if "model_type" not in said and "attention_heads" in said else None


def _config(folder: Path) -> Mapping[str, Any]:
    try:
        said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
