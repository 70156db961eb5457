"""What is minimised: the usual losses of a DETR, and those of the history encoder."""

from __future__ import annotations

from typing import Any

import torch
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, l1_loss, mse_loss
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
    network: PizaNetwork, output: Any, boxes: Tensor, tokens: Tensor, *, by_centre: bool = False
) -> Tensor:
    """Of every decoder layer and of the encoder's output. `boxes` are (n, 4): centre and size as shares of the crop.

    `tokens` says which tokens name each box, (n, tokens). With `by_centre` the queries that learn them are those whose
    centres are near, whatever their size.
    """
    known = tokens.shape[1]
    logits, found = output.enc_outputs_class[0][:, :known], output.enc_outputs_coord_logits[0].sigmoid()
    times = max(1, min(TOGETHER, len(found) // len(boxes)))
    losses = [_one_layer(logits, found, boxes.repeat(times, 1), tokens.repeat(times, 1), by_centre)]
    losses += [
        _one_layer(logits[:, :known], found, boxes, tokens, by_centre) for logits, found in _layers(network, output)
    ]
    return torch.stack(losses).sum()


def history_loss(said: ZoomProgress, stops: Tensor, zooms: Tensor) -> Tensor:
    """`stops` is 1 where the history is complete, else 0; `zooms` are the zoom values. Both are (n,)."""
    return binary_cross_entropy(said.stop, stops) + mse_loss(said.zoom, zooms)


def _layers(network: PizaNetwork, output: Any) -> list[tuple[Tensor, Tensor]]:
    """Logits, (queries, tokens), and boxes, (queries, 4), of each decoder layer; the library returns the last."""
    references = torch.cat([output.init_reference_points[:, None], output.intermediate_reference_points], 1)
    text = output.encoder_last_hidden_state_text
    mask = torch.ones(text.shape[:2], dtype=torch.bool, device=text.device)
    layers = []
    for number, states in enumerate(output.intermediate_hidden_states.unbind(1)):
        logits = network.class_embed[number](states, text, mask)
        boxes = network.bbox_embed[number](states) + torch.special.logit(references[:, number], LIBRARY_EPSILON)
        layers.append((logits[0], boxes[0].sigmoid()))
    return layers


def _one_layer(logits: Tensor, found: Tensor, boxes: Tensor, tokens: Tensor, by_centre: bool = False) -> Tensor:
    """Each of `boxes` is learned by the one query that fits it best. No query learns two."""
    corners, targets = box_convert(found, "cxcywh", "xyxy"), box_convert(boxes, "cxcywh", "xyxy")
    with torch.no_grad():
        named = tokens.float()
        scores = logits.sigmoid() @ (named / named.sum(1, keepdim=True)).T
        if by_centre:
            cost = CORNERS * torch.cdist(found[:, :2], boxes[:, :2], p=1) - scores
        else:
            cost = CORNERS * torch.cdist(found, boxes, p=1) - OVERLAP * generalized_box_iou(corners, targets) - scores
        # A run that diverges is ended by who reads the loss.
        cost = torch.nan_to_num(cost)
        queries, places = (torch.from_numpy(each) for each in linear_sum_assignment(cost.cpu().numpy()))
    wanted = torch.zeros_like(logits)
    wanted[queries] = named[places]
    naming: Tensor = sigmoid_focal_loss(logits, wanted, reduction="sum") / named.sum()
    placing: Tensor = generalized_box_iou_loss(corners[queries], targets[places], reduction="sum") / len(boxes)
    sides: Tensor = l1_loss(found[queries], boxes[places], reduction="sum") / len(boxes)
    return naming + OVERLAP * placing + CORNERS * sides
