"""Puts things on a backdrop: first the planted ones, then filler around, behind and partly over them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from training.mini.bank import SEEN
from training.scenes.backdrop import SIZE, Backdrop, Surface, Way
from training.scenes.pieces import Drawings, Piece, lit, recoloured, varied
from training.scenes.scene import Scene, painted
from training.scenes.textures import Rng
from training.scenes.themes import FLIERS, FLOATERS, Theme

PLANTED_SIDES = (40.0, 130.0)  # px, longer side
LEAST_VISIBLE = 0.86

_TRIES = 20
_CROWDED = 0.35  # The taken share of a thing's box above which the thing is put elsewhere.
_GRID = 8  # px of a cell in which taken places are counted
_TURN = {Way.STAND: 7.0, Way.LIE: 25.0, Way.HANG: 12.0, Way.FLY: 15.0, Way.FLOAT: 6.0}


@dataclass(frozen=True)
class Order:
    """The content of a scene: `planted` concepts in `styles`, and others from `filler`, in styles seen in training."""

    theme: Theme
    planted: tuple[str, ...]
    styles: tuple[str, ...]
    filler: tuple[str, ...]


@dataclass(frozen=True)
class _Want:
    """A thing to be placed. `side` is the longer side in px; a thing at the `back` stays upright in the last row."""

    concept: str
    styles: Sequence[str]
    side: float
    planted: bool
    back: bool = False


@dataclass
class _Layout:
    """The pieces so far, the cells that are taken, and the covered part of each planted piece."""

    pieces: list[Piece] = field(default_factory=list)
    taken: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((SIZE[1] // _GRID, SIZE[0] // _GRID), np.bool_))
    covered: dict[int, NDArray[np.bool_]] = field(default_factory=dict)

    def crowded(self, x: float, y: float, width: float, height: float) -> float:
        """The taken share of a box, 0..1. What lies outside the picture counts as free."""
        cells = self.taken[_cells(y, height), _cells(x, width)]
        return float(cells.mean()) if cells.size else 1.0

    def add(self, piece: Piece) -> None:
        if piece.planted:
            self.covered[len(self.pieces)] = np.zeros((piece.rgba.height, piece.rgba.width), np.bool_)
        else:
            for number in self.covered:
                self.covered[number] |= _overlap(self.pieces[number], piece)
        self.taken[_cells(piece.y, piece.rgba.height), _cells(piece.x, piece.rgba.width)] = True
        self.pieces.append(piece)

    def hides(self, piece: Piece) -> bool:
        """Whether the piece would leave too little of a planted piece visible."""
        for number, covered in self.covered.items():
            planted = self.pieces[number]
            over = _overlap(planted, piece)
            if over.any():
                mask = planted.mask
                if 1 - (mask & (covered | over)).sum() / mask.sum() < LEAST_VISIBLE:
                    return True
        return False


def compose(rng: Rng, order: Order, drawings: Drawings) -> Scene:
    """One scene, which depends on the random generator only."""
    backdrop = order.theme.paint(rng)
    layout = _Layout()
    for concept in order.planted:
        low, high = PLANTED_SIDES
        side = round(float(low * (high / low) ** rng.random()))
        _plant(rng, layout, backdrop, drawings, _Want(concept, order.styles, side, planted=True))
    for want in _filler(rng, order, drawings):
        _fill(rng, layout, backdrop, drawings, want)
    return painted(rng, backdrop, layout.pieces)


def _filler(rng: Rng, order: Order, drawings: Drawings) -> list[_Want]:
    """The largest things first: small things find room between large ones, but not the reverse."""
    concepts = [drawings.concepts[name] for name in order.filler]
    pools = [[concept for concept in concepts if theme in concept.themes] for theme in order.theme.belongs]
    anything = [concept for concept in concepts if concept.size in ("small", "medium")]
    wanted = []
    often = Counter[str]()
    for _ in range(int(rng.integers(110, 140))):
        kind = rng.random()
        pool = pools[0] if kind < 0.7 else pools[int(rng.integers(len(pools)))] if kind < 0.88 else anything
        concept = (pool or anything)[int(rng.integers(len(pool or anything)))]
        often[concept.name] += 1
        if often[concept.name] > (1 if concept.size == "huge" else 2):
            continue
        low, high = order.theme.sizes[concept.size]
        # Small things are more frequent, as in a real drawer.
        side = float(low * (high / low) ** rng.beta(1.1, 1.7))
        wanted.append(
            _Want(concept.name, SEEN, side, planted=False, back=order.theme.outside and concept.size == "huge")
        )
    return sorted(wanted, key=lambda want: -want.side)


def _plant(rng: Rng, layout: _Layout, backdrop: Backdrop, drawings: Drawings, want: _Want) -> None:
    for _ in range(400):
        surface = _surface(rng, backdrop, want)
        piece = _piece(rng, drawings, want, (surface, *_spot(rng, surface)), backdrop.light)
        width, height = piece.rgba.size
        inside = 0 <= piece.x <= SIZE[0] - width and 0 <= piece.y <= SIZE[1] - height
        if inside and layout.crowded(piece.x, piece.y, width, height) == 0:
            layout.add(piece)
            return
    raise RuntimeError(f"no free place for '{want.concept}' in a scene with {len(layout.pieces)} planted things")


def _fill(rng: Rng, layout: _Layout, backdrop: Backdrop, drawings: Drawings, want: _Want) -> None:
    for attempt in range(_TRIES):
        surface = _surface(rng, backdrop, want)
        x, y = _spot(rng, surface)
        if want.back:
            y = surface.y1 + (y - surface.y1) * 0.2
        side = want.side * surface.scale(y) * 0.75 ** (attempt // 4)
        side = min(side, surface.room, 400)
        # A cheap check first, with a square of the thing's size: drawing the thing costs fifty times as much.
        top = y - side if surface.way is Way.STAND else y - side / 2
        if layout.crowded(x - side / 2, top, side, side) > _CROWDED:
            continue
        piece = _piece(rng, drawings, replace(want, side=side), (surface, x, y), backdrop.light)
        if not layout.hides(piece):
            layout.add(piece)
            return


def _surface(rng: Rng, backdrop: Backdrop, want: _Want) -> Surface:
    """A random surface where the thing can be, larger ones more often."""
    special = {Way.FLY: want.concept in FLIERS, Way.FLOAT: want.concept in FLOATERS}
    fitting = [surface for surface in backdrop.surfaces if special.get(surface.way, True)]
    preferred = [surface for surface in fitting if surface.way in special]
    if preferred and rng.random() < 0.7:
        return preferred[int(rng.integers(len(preferred)))]
    if want.back:
        return min(fitting, key=lambda surface: (surface.way is not Way.STAND, surface.y1))
    areas = np.array([surface.width * (surface.y2 - surface.y1 + min(surface.room, 200)) for surface in fitting])
    return fitting[int(rng.choice(len(fitting), p=areas / areas.sum()))]


def _spot(rng: Rng, surface: Surface) -> tuple[float, float]:
    return float(rng.uniform(surface.x1, surface.x2)), float(rng.uniform(surface.y1, surface.y2))


def _piece(
    rng: Rng, drawings: Drawings, want: _Want, place: tuple[Surface, float, float], light: tuple[float, float]
) -> Piece:
    """`place`: the surface, and the x, y where the thing stands or has its centre."""
    surface, x, y = place
    drawing, style = drawings.one(rng, want.concept, want.styles, want.side)
    turned = varied(rng, drawing, want.side, 1.5 if want.back else _TURN[surface.way])
    rgba = lit(recoloured(rng, turned, drawings.concepts[want.concept].themes), light)
    top = y - rgba.height if surface.way is Way.STAND else y - rgba.height / 2
    # A standing thing is nearer the lower its foot is. Lying things are painted from large to small.
    depth = y if surface.way is not Way.LIE else 2000 - max(rgba.size)
    return Piece(want.concept, style, rgba, round(x - rgba.width / 2), round(top), surface.way, depth, want.planted)


def _cells(start: float, length: float) -> slice:
    return slice(max(0, int(start // _GRID)), max(0, int((start + length) // _GRID) + 1))


def _overlap(planted: Piece, other: Piece) -> NDArray[np.bool_]:
    """Bool (h, w) of the planted piece: the part that the other piece covers."""
    cover = np.zeros((planted.rgba.height, planted.rgba.width), np.bool_)
    if other.depth < planted.depth:
        return cover
    x1, y1 = max(planted.x, other.x), max(planted.y, other.y)
    x2 = min(planted.x + planted.rgba.width, other.x + other.rgba.width)
    y2 = min(planted.y + planted.rgba.height, other.y + other.rgba.height)
    if x1 < x2 and y1 < y2:
        part = other.mask[y1 - other.y : y2 - other.y, x1 - other.x : x2 - other.x]
        cover[y1 - planted.y : y2 - planted.y, x1 - planted.x : x2 - planted.x] = part
    return cover
