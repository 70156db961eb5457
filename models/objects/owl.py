"""OWLv2 (arXiv 2306.09683): finds objects without a query, and embeds them in the space of its texts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.ops import box_convert  # type: ignore[import-untyped]

from sorce.errors import ModelError
from sorce.mappings import Vector
from sorce.models.batches import Batches
from sorce.models.checkpoint import Checkpoint
from sorce.models.image_processor import REDUCING_GAP, View
from sorce.models.model import TextEncoder
from sorce.models.normalise import normalised, refuse_nan
from sorce.models.objects.loading import OWL, config_of, named, open_images, open_network, open_tokenizer
from sorce.models.objects.proposals import Detector, Found
from sorce.models.objects.settings import USUAL_DETECTOR
from sorce.models.objects.windows import Look, Window, windows

# A view has 3,600 patches or more: a few views fill a GPU, and one fills a CPU core.
VIEWS_AT_ONCE = 4
BATCH_SIZE = 64
Head = Callable[[Tensor, Tensor], Tensor]


class Owl(Detector):
    """Boxes with their objectness, and their class embeddings on request.

    A window's longer side is scaled to the network's input, and black padding is added on the right and below, as in
    transformers' processor. Pillow does it in a tenth of the time.
    """

    backend = "pillow-bilinear"

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        """Raises ModelError if the checkpoint is no OWLv2, or is unavailable or incomplete."""
        self.checkpoint, self.name = checkpoint, named(checkpoint)
        self.config = config_of(checkpoint)
        if self.config.model_type != OWL:
            raise ModelError(
                f"model '{checkpoint.name}' is a {self.config.model_type}, and vectors=owl needs an OWLv2; "
                f"choose one such as {USUAL_DETECTOR}, or vectors=crops."
            )
        self.side = int(self.config.vision_config.image_size)
        self.dimension = int(self.config.text_config.hidden_size)
        self._line = _learn_line(open_images(checkpoint), self.side, device)
        self.network = open_network(checkpoint, self.config, device)
        self._batches = Batches(device, 1 if device.type == "cpu" else VIEWS_AT_ONCE)

    def look(self, photo: Image.Image) -> Look:
        places = windows(photo.width, photo.height, self.side)
        return Look(photo.width, photo.height, places, [see(photo, window, self.side) for window in places])

    def found(self, look: Look) -> Found:
        return self._found(look, self._boxes)

    def found_with_vectors(self, look: Look) -> Found:
        """What `found` returns, with the normalised class embedding of each box."""
        return self._found(look, self._boxes_and_vectors)

    def _found(self, look: Look, head: Head) -> Found:
        rows = torch.cat(self._batches.run(lambda views: self._forward(views, head), look.views))
        patches = len(rows) // len(look.windows)
        numbers = torch.arange(len(look.windows)).repeat_interleave(patches)
        boxes = placed(rows[:, :4].cpu(), look.windows, numbers)
        return Found(boxes, rows[:, 4].cpu(), numbers, rows[:, 5:])

    @torch.inference_mode()
    def _forward(self, views: Sequence[View], head: Head) -> Tensor:
        pixels = torch.zeros((len(views), 3, self.side, self.side), dtype=torch.uint8)
        for number, view in enumerate(views):
            pixels[number, :, : view.shape[0], : view.shape[1]] = torch.from_numpy(view).permute(2, 0, 1)
        scale, shift = self._line
        device = scale.device
        values = torch.addcmul(shift, pixels.to(device), scale)
        # The tower is nearly all of the work, and tolerates half precision. The heads stay in float32 for exact boxes.
        with torch.autocast(device.type, torch.float16, enabled=device.type == "cuda"):
            grid, _ = self.network.image_embedder(values)
        grid = grid.float()
        return head(grid.flatten(1, 2), grid)

    def _boxes(self, patches: Tensor, grid: Tensor) -> Tensor:
        """(views * patches, 5): corners as shares of the padded square, and objectness."""
        corners = box_convert(self.network.box_predictor(patches, grid), "cxcywh", "xyxy")
        objectness = self.network.objectness_predictor(patches).sigmoid()
        return torch.cat([corners, objectness[..., None]], 2).flatten(0, 1)

    def _boxes_and_vectors(self, patches: Tensor, grid: Tensor) -> Tensor:
        """(views * patches, 5 + dimension): as `_boxes`, then unit vectors."""
        _, embeddings = self.network.class_predictor(patches)
        unit = normalised(embeddings)
        return torch.cat([self._boxes(patches, grid), unit.flatten(0, 1)], 1)


class OwlTextEncoder(TextEncoder):
    """OWLv2's own text tower. It reads 16 tokens, about a dozen words; longer texts are cut."""

    def __init__(self, owl: Owl, batch_size: int = BATCH_SIZE) -> None:
        """Raises ModelError if the checkpoint has no tokenizer."""
        self._owl = owl
        self._tokenizer = open_tokenizer(owl.checkpoint)
        self._batches = Batches(owl.network.device, batch_size)
        self._one_at_a_time = Lock()

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        if not texts:
            return np.zeros((0, self._owl.dimension), np.float32)
        vectors: Vector = torch.cat(self._batches.run(self._forward, texts)).cpu().numpy()
        refuse_nan(vectors, self._owl.checkpoint.name)
        return vectors

    @torch.inference_mode()
    def _forward(self, texts: Sequence[str]) -> Tensor:
        network: Any = self._owl.network
        features = network.owlv2.get_text_features(**self._tokens(texts).to(network.device)).pooler_output
        return normalised(features)

    def _tokens(self, texts: Sequence[str]) -> Any:
        # Tokenizers refuse half of a surrogate pair.
        plain = [text.encode(errors="replace").decode() for text in texts]
        longest = self._owl.config.text_config.max_position_embeddings
        # A fast tokenizer stores padding and truncation as state, and fails if a second thread uses it.
        with self._one_at_a_time:
            return self._tokenizer(
                plain, padding="max_length", truncation=True, max_length=longest, return_tensors="pt"
            )


def see(photo: Image.Image, window: Window, side: int) -> View:
    """A window with its longer side at `side` pixels, uint8 of shape (up to side, up to side, 3), not yet padded.

    Both sides are scaled by exactly the same factor, so that boxes are exact. A fractional last row is left out.
    """
    scale = side / window.longer
    across, down = (max(1, math.floor(length * scale + 1e-9)) for length in (window.width, window.height))
    right = window.left + min(across / scale, window.width)
    bottom = window.top + min(down / scale, window.height)
    box = (window.left, window.top, right, bottom)
    return np.array(photo.resize((across, down), Image.Resampling.BILINEAR, box, REDUCING_GAP))


def placed(shares: Tensor, places: Sequence[Window], numbers: Tensor) -> Tensor:
    """Converts corners, float32 (n, 4), from shares of the padded squares to pixels of the photo."""
    longer = torch.tensor([window.longer for window in places], dtype=torch.float32)
    corner = torch.tensor([(window.left, window.top) * 2 for window in places], dtype=torch.float32)
    return shares * longer[numbers, None] + corner[numbers]


def _learn_line(processor: Any, side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """How the processor maps a byte, as (scale, shift) for each channel, both (3, 1, 1)."""
    black = np.zeros((side, side, 3), np.uint8)
    values = processor(images=[black, black + 255], size={"height": side, "width": side}, return_tensors="pt")
    low, high = values["pixel_values"][:, :, :1, :1]
    return ((high - low) / 255).to(device), low.to(device)
