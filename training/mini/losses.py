"""The learned table of vectors that the picture tower is trained against, and the losses of stage 1."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, logsigmoid, normalize

from training.mini.crops import NOTHING, Tiles

_CLEAR_AREA, _CLEAR_SHARE = 0.008, 0.4  # a thing counts as shown from these on: share of the tile, of itself
_TRACE_AREA = 0.002  # below this it counts as not shown; between the two limits the loss ignores it


class Table(nn.Module):
    """One vector per concept and per colour, and the temperatures of the losses."""

    def __init__(self, concepts: int, colours: int, dimension: int) -> None:
        super().__init__()
        self.concept = nn.Parameter(torch.randn(concepts, dimension) / dimension**0.5)
        self.colour = nn.Parameter(0.3 * torch.randn(colours, dimension) / dimension**0.5)
        self.scale = nn.ParameterDict(
            {
                name: nn.Parameter(torch.tensor(12.0).log())
                for name in ("row", "column", "pair", "patch", "spot", "tint")
            }
        )
        self.bias = nn.ParameterDict({name: nn.Parameter(torch.tensor(-7.0)) for name in ("pair", "spot")})

    def vectors(self) -> Tensor:
        """Unit vectors (concepts, D)."""
        return normalize(self.concept, dim=1)

    def tinted(self, concept: Tensor) -> Tensor:
        """Unit vectors (n, colours, D) of n concepts, each in every colour."""
        return normalize(self.vectors()[concept][:, None] + self.colour[None], dim=2)

    def logits(self, name: str, vectors: Tensor) -> Tensor:
        """Cosines (n, concepts) at the temperature of this loss, plus its bias if it has one."""
        cosines: Tensor = vectors @ self.vectors().T * self.scale[name].exp().clamp(max=60)
        return cosines + self.bias[name] if name in self.bias else cosines


class Recent:
    """The vectors of the last tiles, and what these showed: more tiles to tell apart, at no cost for the tower.

    Cross-batch memory (arXiv 1912.06798, section 3.3): the tower changes slowly, so vectors of past batches still hold.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: tuple[Tensor, Tensor, Tensor] | None = None

    def joined(self, vectors: Tensor, shown: Tensor, ignored: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The batch's tiles, then the kept ones. The batch is kept for the next calls, without its gradient."""
        now = (vectors, shown, ignored)
        every = now if self._kept is None else tuple(map(torch.cat, zip(now, self._kept, strict=True)))
        self._kept = tuple(part[: self._most].detach() for part in every)  # type: ignore[assignment]
        return every  # type: ignore[return-value]


def losses(
    table: Table, tiles: Tiles, whole: Tensor, patches: Tensor, recent: Recent | None = None
) -> dict[str, Tensor]:
    """Each loss by name. `whole` (B, D) and `patches` (B, P, D) are unit vectors.

    A row loss asks which concepts a tile shows. A column loss asks which tiles show a concept, of the batch and of
    `recent`, as a search does. A pair loss (SigLIP, arXiv 2303.15343, eq. 1) asks whether this tile shows this concept:
    it makes tiles of different batches comparable. Without columns and pairs, a tile's cosines are right only up to a
    constant per tile.
    """
    shown, ignored = _targets(tiles, len(table.concept))
    every = (whole, shown > 0, ignored)
    vectors, there, unsure = recent.joined(*every) if recent else every
    found = {
        "row": _soft_rows(table.logits("row", whole), shown),
        "column": _soft_rows(table.logits("column", vectors).masked_fill(unsure, -1e4).T, there.float().T),
        "pair": _pairs(table.logits("pair", whole), shown > 0, ignored),
        "tint": _tints(table, tiles, whole),
    }
    return found | _patch_losses(table, tiles, patches)


def total(found: Mapping[str, Tensor]) -> Tensor:
    """The weighted sum that is minimised."""
    weights = {"row": 1.0, "column": 0.5, "pair": 0.25, "tint": 0.2, "patch": 0.5, "spot": 0.1}
    return torch.stack([weights[name] * value for name, value in found.items()]).sum()


def _targets(tiles: Tiles, concepts: int) -> tuple[Tensor, Tensor]:
    """Each concept's weight in each tile (root of its visible area), and where it is uncertain; both (B, concepts)."""
    concept, area = torch.from_numpy(tiles.concept), torch.from_numpy(tiles.area)
    clear = (area >= _CLEAR_AREA) & (torch.from_numpy(tiles.visible) >= _CLEAR_SHARE)
    column = concept.clamp(min=0)
    shown = torch.zeros(len(concept), concepts)
    shown.scatter_reduce_(1, column, area.sqrt() * clear, "amax")
    traces = torch.zeros(len(concept), concepts)
    traces.scatter_reduce_(1, column, ((area > _TRACE_AREA) & (concept >= 0)).float(), "amax")
    return shown, (traces > 0) & (shown == 0)


def _soft_rows(logits: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of each row with a target in proportion to its weights. Rows without weights are left out."""
    sums = weights.sum(1)
    rows = sums > 0
    target = weights[rows] / sums[rows, None]
    return -(target * logits[rows].log_softmax(1)).sum(1).mean()


def _pairs(logits: Tensor, shown: Tensor, ignored: Tensor) -> Tensor:
    sign = torch.where(shown, 1.0, -1.0)
    return -(logsigmoid(sign * logits) * ~ignored).sum(1).mean()


def _tints(table: Table, tiles: Tiles, whole: Tensor) -> Tensor:
    """Which of the eleven colours the single large thing of a tile has. Tiles where this is uncertain are left out."""
    concept, colour = torch.from_numpy(tiles.concept[:, 0]), torch.from_numpy(tiles.colour[:, 0])
    area = torch.from_numpy(tiles.area)
    certain = (colour >= 0) & (area[:, 0] > 0.03) & (area[:, 0] > 2 * area[:, 1])
    if not certain.any():
        return whole.sum() * 0
    cosines = torch.einsum("nd,nkd->nk", whole[certain], table.tinted(concept[certain]))
    return cross_entropy(cosines * table.scale["tint"].exp().clamp(max=60), colour[certain])


def _patch_losses(table: Table, tiles: Tiles, patches: Tensor) -> dict[str, Tensor]:
    """The same for patches, each with the thing that it lies on. Background patches should be near no concept."""
    slot = torch.from_numpy(tiles.patch)
    concept = torch.from_numpy(tiles.concept).gather(1, slot.clamp(min=0))
    on = slot >= 0
    row = cross_entropy(table.logits("patch", patches[on]), concept[on])
    said = on | (slot == NOTHING)
    shown = torch.zeros(int(said.sum()), len(table.concept), dtype=torch.bool)
    shown[on[said], concept[on]] = True
    spot = _pairs(table.logits("spot", patches[said]), shown, torch.zeros_like(shown))
    return {"patch": row, "spot": spot}
