"""One thing of a scene at its place: a sprite that is turned, scaled, recoloured and lit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from training.mini import bank
from training.scenes.backdrop import Way
from training.scenes.textures import Rng

_PAINTABLE = {"wardrobe", "workshop", "desk", "playroom", "street", "sport", "bathroom"}
# FxEmoji draws these on a square card, which looks wrong in front of a backdrop.
_CARDED = ("carousel", "ferris wheel", "fountain", "rainbow", "sailboat", "tent", "tower", "volcano")
_CARDS = {("fxemoji", concept) for concept in _CARDED}


@dataclass(frozen=True)
class Piece:
    """A thing at its place. `x`, `y` is the upper left pixel of `rgba`, which is trimmed to the drawing.

    Pieces with a larger `depth` are nearer and are painted later.
    """

    concept: str
    style: str
    rgba: Image.Image
    x: int
    y: int
    way: Way
    depth: float
    planted: bool

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Bool (h, w): where the thing is."""
        return np.asarray(self.rgba.getchannel("A")) > 127


@dataclass(frozen=True)
class Drawings:
    """All sprites of all concepts, and larger files of them for things that are drawn large."""

    concepts: Mapping[str, bank.Concept]
    sprites: Mapping[str, Sequence[bank.Sprite]]
    close_ups: Mapping[str, Mapping[str, Sequence[Path]]]  # style -> concept -> files

    def one(self, rng: Rng, concept: str, styles: Sequence[str], side: float) -> tuple[Image.Image, str]:
        """A drawing of the concept in one of the styles, at least `side` px large where possible, and its style."""
        fitting = [sprite for sprite in self.sprites[concept] if sprite.style in styles]
        offered = sorted({sprite.style for sprite in fitting if (sprite.style, concept) not in _CARDS})
        style = offered[int(rng.integers(len(offered)))]
        mine = [sprite for sprite in fitting if sprite.style == style]
        number = int(rng.integers(len(mine)))
        if side <= bank.SIDE:
            return Image.fromarray(mine[number].rgba), style
        return _opened(self.close_ups[style][concept][number]), style


@lru_cache(maxsize=128)
def _opened(file: Path) -> Image.Image:
    with Image.open(file) as image:
        return image.convert("RGBA")


@lru_cache(maxsize=1)
def drawings() -> Drawings:
    """Loaded once per process. This takes a second and 200 MB."""
    styles = bank.SEEN + bank.UNSEEN
    return Drawings(
        {concept.name: concept for concept in bank.concepts()},
        bank.load(styles),
        {style: bank.close_ups(style) for style in styles},
    )


def varied(rng: Rng, drawing: Image.Image, side: float, turn: float) -> Image.Image:
    """The drawing: mirrored or not, turned by up to `turn` degrees, trimmed, with a longer side of `side` px."""
    if rng.random() < 0.5:
        drawing = drawing.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    stretch = float(np.exp(rng.uniform(-0.08, 0.08)))
    # The cost of turning grows with the pixels, so the drawing is turned at little more than the final size.
    scale = min(1.0, 1.2 * side / max(drawing.size))
    size = (max(1, round(drawing.width * scale * stretch)), max(1, round(drawing.height * scale)))
    turned = drawing.resize(size, Image.Resampling.LANCZOS)
    turned = turned.rotate(float(rng.uniform(-turn, turn)), Image.Resampling.BICUBIC, expand=True)
    turned = turned.crop(turned.getchannel("A").point(lambda alpha: 255 * (alpha > 8)).getbbox())
    scale = side / max(turned.size)
    size = (max(1, round(turned.width * scale)), max(1, round(turned.height * scale)))
    return turned.resize(size, Image.Resampling.LANCZOS)


def recoloured(rng: Rng, drawing: Image.Image, themes: Sequence[str]) -> Image.Image:
    """Hue, saturation, contrast and brightness change a little. Made things sometimes get another hue."""
    repaint = bool(_PAINTABLE & set(themes)) and rng.random() < 0.12
    shift = int(rng.integers(20, 236)) if repaint else int(rng.integers(-6, 7))
    colourful, bright = float(rng.uniform(0.75, 1.15)), float(rng.uniform(0.85, 1.08))
    contrast, level = float(rng.uniform(0.85, 1.1)), np.arange(256)
    bands = ((level + shift) % 256, level * colourful, ((level - 128) * contrast + 128) * bright)
    table = np.clip(np.concatenate(bands), 0, 255).round().astype(int).tolist()
    toned = drawing.convert("RGB").convert("HSV").point(table).convert("RGB")
    toned.putalpha(drawing.getchannel("A"))
    return toned


def lit(drawing: Image.Image, light: tuple[float, float]) -> Image.Image:
    """Darker towards the bottom and away from the light, so that a flat drawing fits into its scene."""
    down = np.linspace(1.04, 0.84, drawing.height, dtype=np.float32)[:, None]
    lean = 0.08 if light[0] > 0 else -0.08
    across = np.linspace(1 + lean, 1 - lean, drawing.width, dtype=np.float32)[None]
    pixels = np.asarray(drawing, np.float32).copy()
    pixels[..., :3] *= (down * across)[..., None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def shadow(piece: Piece, light: tuple[float, float]) -> tuple[Image.Image, tuple[int, int]]:
    """The shadow's mask (L) and its upper left corner in the scene."""
    width, height = piece.rgba.size
    large = max(width, height) / 100
    pad = round(6 + 9 * large)
    # A standing thing throws its shadow on the floor: its outline, flattened, at its foot.
    stands = piece.way is Way.STAND
    flat = max(4, height // 6) if stands else height
    down = height - flat // 2 - 2 * large if stands else light[1] * large
    across = light[0] * large * (1 if stands else 0.5)
    # A quarter of the size, since a soft shadow has no detail.
    mask = Image.new("L", ((width + 2 * pad) // 4, (height + 2 * pad) // 4))
    outline = piece.rgba.getchannel("A").resize((max(1, width // 4), max(1, flat // 4)))
    mask.paste(outline, (round((pad + across) / 4), round((pad + down) / 4)))
    mask = mask.filter(ImageFilter.GaussianBlur(pad / 18)).resize((width + 2 * pad, height + 2 * pad))
    strength = 0.6 if stands else 0.45
    return mask.point((np.arange(256) * strength).astype(int).tolist()), (piece.x - pad, piece.y - pad)
