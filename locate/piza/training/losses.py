"""What is minimised: the usual losses of a DETR, and those of the history encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, mse_loss, pad
from torchvision.ops import (  # type: ignore[import-untyped]
    box_convert,
    generalized_box_iou,
    generalized_box_iou_loss,
    sigmoid_focal_loss,
)

from sorce.locate.piza.history import ZoomProgress
from sorce.locate.piza.network import LIBRARY_EPSILON, PizaNetwork

OVERLAP, CORNERS = 2.0, 5.0
"""Weights of the losses of a box, as in Grounding DINO."""
TOGETHER = 5
"""Each box is learned by so many of the encoder's outputs, if there are enough: one alone teaches a network of random
weights slowly (H-DETR, arXiv 2207.13080). After 300 steps of a small one, Acc50 in crops of a tenth of the photo was
.38, and .26 with one."""


def detection_loss(
    network: PizaNetwork, output: Any, boxes: Sequence[Tensor], tokens: Sequence[Tensor], *, by_centre: bool = False
) -> Tensor:
    """The sum over images, of every decoder layer and of the encoder's output.

    Each of `boxes` is (n, 4): centre and size as shares of the image. Each of `tokens` says which tokens name each box,
    (n, tokens of the image's own text). With `by_centre` the queries that learn them are those whose centres are near,
    whatever their size.
    """
    encoded = output.enc_outputs_class, output.enc_outputs_coord_logits.sigmoid()
    times = [max(1, min(TOGETHER, encoded[1].shape[1] // len(own))) for own in boxes]
    repeated = [own.repeat(many, 1) for own, many in zip(boxes, times, strict=True)]
    names = [own.repeat(many, 1) for own, many in zip(tokens, times, strict=True)]
    losses = [_one_layer(*encoded, repeated, names, by_centre)]
    losses += [_one_layer(*decoded, boxes, tokens, by_centre) for decoded in _layers(network, output)]
    return torch.stack(losses).sum()


def history_loss(said: ZoomProgress, stops: Tensor, zooms: Tensor) -> Tensor:
    """`stops` is 1 where the history is complete, else 0; `zooms` are the zoom values. Both are (n,)."""
    return binary_cross_entropy(said.stop, stops) + mse_loss(said.zoom, zooms)


def _layers(network: PizaNetwork, output: Any) -> list[tuple[Tensor, Tensor]]:
    """Logits, (images, queries, tokens), and boxes, (images, queries, 4), of each decoder layer.

    The library returns the last.
    """
    references = torch.cat([output.init_reference_points[:, None], output.intermediate_reference_points], 1)
    text = output.encoder_last_hidden_state_text
    mask = torch.ones(text.shape[:2], dtype=torch.bool, device=text.device)
    layers = []
    for number, states in enumerate(output.intermediate_hidden_states.unbind(1)):
        logits = network.class_embed[number](states, text, mask)
        boxes = network.bbox_embed[number](states) + torch.special.logit(references[:, number], LIBRARY_EPSILON)
        layers.append((logits, boxes.sigmoid()))
    return layers


def _one_layer(
    logits: Tensor, found: Tensor, boxes: Sequence[Tensor], tokens: Sequence[Tensor], by_centre: bool = False
) -> Tensor:
    """Each of an image's `boxes` is learned by the one query that fits it best. No query learns two.

    `logits` is (images, queries, tokens), `found` (images, queries, 4).
    """
    rows, wanted, named, shares = list[Tensor](), list[Tensor](), list[Tensor](), list[Tensor]()
    for image, (own, names) in enumerate(zip(boxes, tokens, strict=True)):
        known = names.shape[1]
        queries, places = _matched(logits[image, :, :known], found[image], own, names, by_centre)
        rows.append(queries + image * logits.shape[1])
        wanted.append(own[places])
        shares.append(own.new_full((len(places),), 1 / len(own)))
        named.append(pad(names[places].float(), (0, logits.shape[2] - known)))
    right = torch.zeros_like(logits).flatten(0, 1)
    right[torch.cat(rows)] = torch.cat(named)
    # Tokens beyond an image's own text have a logit of minus infinity.
    numbers = torch.arange(logits.shape[2], device=logits.device)
    own_tokens = torch.stack([numbers < names.shape[1] for names in tokens])[:, None]
    naming = sigmoid_focal_loss(logits.masked_fill(~own_tokens, 0), right.view_as(logits), reduction="none")
    naming = (naming * own_tokens).sum((1, 2)) / torch.stack([names.sum() for names in tokens])
    targets, chosen = torch.cat(wanted), found.flatten(0, 1)[torch.cat(rows)]
    corners = (box_convert(some, "cxcywh", "xyxy") for some in (chosen, targets))
    placing = generalized_box_iou_loss(*corners, reduction="none") @ torch.cat(shares)
    sides = (chosen - targets).abs().sum(1) @ torch.cat(shares)
    loss: Tensor = naming.sum() + OVERLAP * placing + CORNERS * sides
    return loss


@torch.no_grad()
def _matched(logits: Tensor, found: Tensor, boxes: Tensor, tokens: Tensor, by_centre: bool) -> tuple[Tensor, Tensor]:
    """The queries that learn the boxes of an image, and each one's box."""
    named = tokens.float()
    scores = logits.sigmoid() @ (named / named.sum(1, keepdim=True)).T
    if by_centre:
        cost = CORNERS * torch.cdist(found[:, :2], boxes[:, :2], p=1) - scores
    else:
        corners, targets = (box_convert(some, "cxcywh", "xyxy") for some in (found, boxes))
        cost = CORNERS * torch.cdist(found, boxes, p=1) - OVERLAP * generalized_box_iou(corners, targets) - scores
    # A run that diverges is ended by who reads the loss.
    queries, places = linear_sum_assignment(torch.nan_to_num(cost).cpu().numpy())
    return torch.from_numpy(queries).to(found.device), torch.from_numpy(places).to(found.device)
