"""The concepts that `mini` knows, and their sprites: small cut-out drawings of each in several drawing styles."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sorce.errors import MissingTool

SEEN = ("noto", "fxemoji", "fluent-emoji", "fluent-emoji-flat", "twemoji", "emojione")
UNSEEN = ("openmoji",)
MORE = ("noto-v1", "streamline-emojis", "emojione-monotone", "fluent-emoji-high-contrast", "icon-park", "ph", "tabler")
"""Styles for training only: no scene shows them. So a change here changes no scene."""
UNCOLOURED = ("emojione-monotone", "fluent-emoji-high-contrast", "ph", "tabler")
"""Those of them that have only black strokes or silhouettes. The training colours them."""
SIDE = 128
CLOSE_UP = 400

_HERE = Path(__file__).parent
_OPAQUE = 8  # Pixels with less alpha (of 255) are the drawing's soft glow and are trimmed away.


@dataclass(frozen=True)
class Concept:
    """A thing that can be drawn and asked for. No two concepts share a name or a synonym."""

    name: str
    plural: str
    synonyms: tuple[str, ...]
    themes: tuple[str, ...]
    size: str  # small, medium, large or huge, compared with other things in a scene
    icons: Mapping[str, tuple[str, ...]]  # style -> keys of its drawings


@dataclass(frozen=True)
class Sprite:
    """One drawing of a concept. `rgba` is uint8 (h, w, 4), straight alpha, trimmed, its longer side 128 px."""

    concept: str
    style: str
    rgba: NDArray[np.uint8]


def concepts() -> tuple[Concept, ...]:
    """All concepts, always in the same order."""
    rows = json.loads((_HERE / "concepts.json").read_text(encoding="utf-8"))
    return tuple(
        Concept(
            row["name"],
            row["plural"],
            tuple(row["synonyms"]),
            tuple(row["themes"]),
            row["size"],
            {style: tuple(keys) for style, keys in row["icons"].items()},
        )
        for row in rows
    )


@dataclass(frozen=True)
class _Set:
    """Drawings that are made at once. `list` is a JSON file with the name and the icons of each concept."""

    package: Path
    list: Path
    styles: tuple[str, ...]
    large: bool  # also with a longer side of 400 px

    @property
    def sources(self) -> tuple[Path, ...]:
        return self.package, self.list, _HERE / "icons" / "render.mjs"

    def icons(self) -> dict[str, Mapping[str, Sequence[str]]]:
        """Concept -> style -> keys of its drawings."""
        return {row["name"]: row["icons"] for row in json.loads(self.list.read_text(encoding="utf-8"))}


_SCENES = _Set(_HERE / "icons" / "package.json", _HERE / "concepts.json", SEEN + UNSEEN, large=True)
_TRAINING = _Set(_HERE / "more" / "package.json", _HERE / "more" / "icons.json", MORE, large=False)


def load(styles: Sequence[str] = SEEN) -> dict[str, tuple[Sprite, ...]]:
    """The sprites of each concept in these styles. The first call draws them into the cache (1 to 2 minutes).

    Raises MissingTool where they must be drawn and Node is not installed.
    """
    sprites: dict[str, list[Sprite]] = {concept.name: [] for concept in concepts()}
    for style in styles:
        folder = _built(_TRAINING if style in MORE else _SCENES)
        with np.load(folder / f"{style}.npz", allow_pickle=False) as stored:
            names, shapes, pixels = stored["concepts"], stored["shapes"], stored["pixels"]
        ends = np.cumsum(shapes[:, 0] * shapes[:, 1] * 4)
        for name, shape, end in zip(names, shapes, ends, strict=True):
            height, width = int(shape[0]), int(shape[1])
            rgba = pixels[end - height * width * 4 : end].reshape(height, width, 4)
            sprites[str(name)].append(Sprite(str(name), style, rgba))
    return {name: tuple(drawn) for name, drawn in sprites.items()}


def close_ups(style: str) -> dict[str, tuple[Path, ...]]:
    """The same drawings with a longer side of 400 px, for large things. Each has its own file: few are ever opened.

    Only for styles that scenes show.
    """
    folder = _built(_SCENES) / style
    return {
        concept.name: tuple(file for key in concept.icons.get(style, ()) if (file := folder / f"{key}.png").exists())
        for concept in concepts()
    }


def more_icons() -> dict[str, Mapping[str, Sequence[str]]]:
    """Concept -> style of `MORE` -> keys of its drawings."""
    return _TRAINING.icons()


def cache_folder() -> Path:
    """The folder for files that sorce can make again: $SORCE_CACHE, else ~/.cache/sorce."""
    return Path(os.environ.get("SORCE_CACHE") or Path.home() / ".cache" / "sorce")


def fingerprint() -> str:
    """12 hex digits that change whenever the sprites of the scenes change."""
    return _fingerprint(_SCENES)


def training_fingerprint() -> str:
    """12 hex digits that change whenever the sprites of `MORE` change."""
    return _fingerprint(_TRAINING)


def _fingerprint(those: _Set) -> str:
    digest = hashlib.sha256()
    for source in those.sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def _built(those: _Set) -> Path:
    folder = cache_folder() / f"sprites-{_fingerprint(those)}"
    if not folder.exists():
        _build(those, folder)
    return folder


def _build(those: _Set, folder: Path) -> None:
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            raise MissingTool(
                f"'{tool}' is needed once, to draw the sprites of the rendered scenes: install Node.js 18+."
            )
    print(f"sorce: drawing the sprites into {folder} (once)", file=sys.stderr)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="sprites-") as scratch:
        drawn, packed = Path(scratch, "drawn"), Path(scratch, "packed")
        _draw(those, Path(scratch), drawn)
        for style in those.styles:
            _pack(those, style, drawn / style, packed)
        try:
            packed.rename(folder)
        except OSError:
            # Another process was faster; its folder has the same content.
            if not folder.exists():
                raise


def _draw(those: _Set, scratch: Path, drawn: Path) -> None:
    for source in those.sources:
        shutil.copy(source, scratch)
    quiet = ("--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error")
    for command in (["npm", "install", *quiet], ["node", "render.mjs", those.list.name, str(drawn)]):
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = (done.stderr.strip() or "no message").splitlines()[-1]
            raise MissingTool(f"'{' '.join(command[:2])}' failed, mend this and run again: {last}")


def _pack(those: _Set, style: str, drawn: Path, packed: Path) -> None:
    """Puts small sprites into one file: opening thousands of files takes ten times as long."""
    names: list[str] = []
    arrays: list[NDArray[np.uint8]] = []
    (packed / style).mkdir(parents=True)
    for concept, icons in those.icons().items():
        for key in icons.get(style, ()):
            if (drawn / f"{key}.png").exists():
                drawing = _trimmed(drawn / f"{key}.png")
                if those.large:
                    _fitted(drawing, CLOSE_UP).save(packed / style / f"{key}.png", compress_level=1)
                names.append(concept)
                arrays.append(np.asarray(_fitted(drawing, SIDE)))
    shapes = np.array([rgba.shape[:2] for rgba in arrays])
    pixels = np.concatenate([rgba.ravel() for rgba in arrays])
    np.savez_compressed(packed / f"{style}.npz", concepts=np.array(names), shapes=shapes, pixels=pixels)


def _trimmed(png: Path) -> Image.Image:
    with Image.open(png) as image:
        rgba = image.convert("RGBA")
    return rgba.crop(rgba.getchannel("A").point(lambda alpha: 255 * (alpha > _OPAQUE)).getbbox())


def _fitted(drawing: Image.Image, side: int) -> Image.Image:
    scale = side / max(drawing.size)
    size = (max(1, round(drawing.width * scale)), max(1, round(drawing.height * scale)))
    return drawing.resize(size, Image.Resampling.LANCZOS)
