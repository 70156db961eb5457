"""Several crops with their prompts, as one input of the network.

A smaller crop is extended with the mean colour, as one with too few tokens is, and a shorter prompt with words that are
masked. The released code looks at one crop at a time, and so does the search: only training takes several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from sorce.locate.piza.training.phrases import Prompt


@dataclass(frozen=True, slots=True, eq=False)
class CropInput:
    """A crop, (1, 3, height, width), its prompt, and the zoom value, (1,), if any.

    `boxes` are what to find, (boxes, 4): centre and size in pixels.
    """

    pixels: Tensor
    said: Prompt
    boxes: Tensor
    zoom: Tensor | None


@dataclass(frozen=True, slots=True, eq=False)
class Stacked:
    """`pixels` is (n, 3, height, width), `ids` (n, tokens). `words` is 1 where a token belongs to the prompt, else 0.

    `boxes` and `tokens` have a tensor for each crop: what to find as shares of the input, (boxes, 4), and which tokens
    of its own prompt name each box, (boxes, own tokens). `zooms` is (n,).
    """

    pixels: Tensor
    ids: Tensor
    words: Tensor
    boxes: list[Tensor]
    tokens: list[Tensor]
    zooms: Tensor | None


def stacked(several: Sequence[CropInput]) -> Stacked:
    """All have a zoom value, or none has."""
    device = several[0].pixels.device
    tall, wide = (max(seen.pixels.shape[side] for seen in several) for side in (-2, -1))
    pixels = [pad(seen.pixels, (0, wide - seen.pixels.shape[-1], 0, tall - seen.pixels.shape[-2])) for seen in several]
    prompts = [seen.said.ids[0] for seen in several]
    zooms = [seen.zoom for seen in several if seen.zoom is not None]
    return Stacked(
        torch.cat(pixels),
        pad_sequence(prompts, batch_first=True).to(device),
        pad_sequence([torch.ones_like(ids) for ids in prompts], batch_first=True).to(device),
        [(seen.boxes / torch.tensor([wide, tall] * 2)).to(device) for seen in several],
        [seen.said.tokens.to(device) for seen in several],
        torch.cat(zooms).to(device) if zooms else None,
    )
