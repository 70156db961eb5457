"""Passes through a chat model: hidden states at the last token of texts, and of the prompts about a photo.

A photo's prompts differ only after its image, and attention is causal. So keys and values of the image are computed
once. The endings then run as one sequence in which none sees another, so keys and values are not stored five times.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

from sorce.models.prompts.families import EncodedPhoto, Pixels

Ids = Sequence[int]


@dataclass(frozen=True, slots=True)
class Split:
    """Prompts as tokens: the shared start, with a single image token, and the ending of each prompt."""

    start: tuple[int, ...]
    endings: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, prompts: Sequence[Ids]) -> Split:
        shared = 0
        # A prompt's vector is read at its last token, so that always belongs to an ending.
        most = min(len(prompt) for prompt in prompts) - 1
        while shared < most and len({prompt[shared] for prompt in prompts}) == 1:
            shared += 1
        return cls(tuple(prompts[0][:shared]), tuple(tuple(prompt[shared:]) for prompt in prompts))

    def start_with(self, image_token: int, count: int) -> list[int]:
        """The start, with as many image tokens as a photo has."""
        at = self.start.index(image_token)
        return [*self.start[:at], *[image_token] * count, *self.start[at + 1 :]]


@torch.inference_mode()
def text_states(network: Any, texts: Sequence[Ids]) -> torch.Tensor:
    """Final hidden states at the last token of each text: (texts, dimension)."""
    ids, mask = left_padded(texts, network.device)
    states = network.language_model(
        inputs_embeds=network.get_input_embeddings()(ids),
        attention_mask=mask,
        position_ids=counted(mask),
        use_cache=False,
    )
    last: torch.Tensor = states.last_hidden_state[:, -1]
    return last


@torch.inference_mode()
def photo_states(network: Any, split: Split, photos: Sequence[EncodedPhoto]) -> torch.Tensor:
    """Final hidden states at the last token of each ending: (photos, endings, dimension)."""
    starts = [split.start_with(network.config.image_token_id, photo.image_tokens) for photo in photos]
    ids, mask = left_padded(starts, network.device)
    pixels = joined(photos, network)
    positions = _positions(network, ids, mask, pixels)
    # A plain cache: no published checkpoint has a sliding window shorter than its photos.
    cache = DynamicCache()
    network(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        **keeping(network, cache),
        **pixels,
    )
    # Positions in time, height and width may differ. Text continues after the largest.
    furthest = positions if positions.ndim == 2 else positions.amax(0)
    return _ending_states(network, split.endings, cache, mask, furthest.amax(1) + 1)


def _ending_states(
    network: Any, endings: Sequence[Ids], cache: DynamicCache, mask: torch.Tensor, following: torch.Tensor
) -> torch.Tensor:
    """`mask` is that of the photos' starts, (photos, tokens). `following` is the position after each, (photos,)."""
    device, photos = mask.device, len(mask)
    ids = torch.tensor([token for ending in endings for token in ending], device=device)
    steps = torch.tensor([step for ending in endings for step in range(len(ending))], device=device)
    owners = torch.tensor([owner for owner, ending in enumerate(endings) for _ in ending], device=device)
    own = (owners[:, None] == owners) & (steps[:, None] >= steps)
    # (photos, 1, ending tokens, start tokens + ending tokens)
    visible = torch.cat([mask.bool()[:, None].expand(-1, len(ids), -1), own.expand(photos, -1, -1)], 2)[:, None]
    states = network.language_model(
        inputs_embeds=network.get_input_embeddings()(ids.expand(photos, -1)),
        attention_mask=visible,
        position_ids=following[:, None] + steps,
        **keeping(network.language_model, cache),
    )
    last = torch.tensor([len(ending) for ending in endings], device=device).cumsum(0) - 1
    chosen: torch.Tensor = states.last_hidden_state[:, last]
    return chosen


def keeping(network: Any, cache: DynamicCache) -> dict[str, Any]:
    """The arguments that let a network read and extend keys and values.

    transformers 5.24 renamed `past_key_values` to `cache`, and 5.40 will refuse the old name.
    """
    takes_cache = "cache" in inspect.signature(network.forward).parameters
    return {"cache" if takes_cache else "past_key_values": cache, "use_cache": True}


def left_padded(rows: Sequence[Ids], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and mask (0 at padding), both (rows, longest). Padding is on the left: the last token is read."""
    longest = max(len(row) for row in rows)
    ids = torch.tensor([[0] * (longest - len(row)) + list(row) for row in rows], device=device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=device)
    return ids, mask


def counted(mask: torch.Tensor) -> torch.Tensor:
    """Positions (rows, tokens); each row counts from 0 at its first token after the padding."""
    return (mask.cumsum(1) - 1).clamp(min=0)


def _positions(network: Any, ids: torch.Tensor, mask: torch.Tensor, pixels: Pixels) -> torch.Tensor:
    """Positions for rotary embedding: (rows, tokens), or (3, rows, tokens) for time, height and width."""
    grids = pixels.get("image_grid_thw")
    if grids is None:
        return counted(mask)
    # In Qwen-VL an image advances the position only by its height or width in tokens.
    kinds = (ids == network.config.image_token_id).int()
    positions: torch.Tensor
    positions, _ = network.get_rope_index(ids, mm_token_type_ids=kinds, image_grid_thw=grids, attention_mask=mask)
    return positions


def joined(photos: Sequence[EncodedPhoto], network: Any) -> Pixels:
    """Pixel values of all photos, on the network's device and in its number format."""
    together = {name: torch.cat([photo.pixels[name] for photo in photos]) for name in photos[0].pixels}
    return {
        name: value.to(network.device, network.dtype if value.is_floating_point() else value.dtype)
        for name, value in together.items()
    }


def batches(lengths: Sequence[int], most_tokens: int, most_items: int) -> Iterator[list[int]]:
    """Indices of items to run together: of similar length, and at most `most_tokens` tokens, padding included.

    An item that exceeds this alone is a separate batch.
    """
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lengths.__getitem__):
        # Items are sorted, so the newest is the longest.
        if batch and (len(batch) == most_items or (len(batch) + 1) * lengths[number] > most_tokens):
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch
