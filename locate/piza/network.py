"""MM-Grounding-DINO of transformers with PIZA's parts: adapters in each encoder layer, history encoder, zoom embedding.

The adapters act on the inputs of four layer norms of each encoder layer. Hooks do that, so no code of the library is
repeated here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import MMGroundingDinoForObjectDetection

from sorce.locate.piza.adapters import Adapter, ZoomEmbedding
from sorce.locate.piza.history import HistoryEncoder
from sorce.locate.piza.settings import PizaSettings

DECODER_EPSILON = 1e-3
"""The least reference that the released decoder tells apart from 0, and 1 less it."""
LIBRARY_EPSILON = 1e-5
"""The same in transformers."""


class LayerAdapters(nn.Module):
    """The two adapters of a layer, before its two norms."""

    def __init__(self, width: int, bottleneck: int, zoom_width: int | None) -> None:
        super().__init__()
        self.adapter1 = Adapter(width, bottleneck, zoom_width)
        self.adapter2 = Adapter(width, bottleneck, zoom_width)


class PizaNetwork(MMGroundingDinoForObjectDetection):  # type: ignore[no-untyped-call]
    """`config.piza` holds the settings. Takes one image per forward: with padding, results change a little.

    Not for several threads at once: the zoom value and the references of a pass are stored on the network.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.settings = PizaSettings.of(config.piza)
        settings, layers = self.settings, config.encoder_layers
        zoom_width = settings.zoom_width if settings.uses_zoom else None
        image = [LayerAdapters(config.d_model, settings.bottleneck, zoom_width) for _ in range(layers)]
        text = [LayerAdapters(config.d_model, settings.text_bottleneck, None) for _ in range(layers)]
        self.adapters = nn.ModuleDict({"layers": nn.ModuleList(image), "text_layers": nn.ModuleList(text)})
        self.zoom_embedding = ZoomEmbedding(settings.zoom_channels, settings.zoom_width) if settings.uses_zoom else None
        self.history_encoder = HistoryEncoder(settings.history)
        self.adapted = True
        self._embedding: Tensor | None = None
        self._references: Tensor | None = None
        self._insert_adapters(image, text)
        self._use_released_epsilon()
        self.post_init()  # type: ignore[no-untyped-call]

    def detect(self, pixels: Tensor, token_ids: Tensor, zoom: Tensor | None = None) -> Any:
        """transformers' output for one image, (1, 3, height, width), and one text, (1, tokens).

        `zoom`, of shape (1,), has no effect in the variant `demo`. Without it the adapters get no zoom embedding.
        """
        if zoom is not None and self.zoom_embedding is not None:
            self._embedding = self.zoom_embedding(zoom)
        try:
            return self(pixel_values=pixels, input_ids=token_ids)
        finally:
            self._embedding = self._references = None

    def _insert_adapters(self, image: Sequence[LayerAdapters], text: Sequence[LayerAdapters]) -> None:
        for layer, of_image, of_text in zip(self.model.encoder.layers, image, text, strict=True):
            self._adapt(layer.deformable_layer.self_attn_layer_norm, of_image.adapter1)
            self._adapt(layer.deformable_layer.final_layer_norm, of_image.adapter2)
            self._adapt(layer.text_enhancer_layer.layer_norm_before, of_text.adapter1)
            self._adapt(layer.text_enhancer_layer.layer_norm_after, of_text.adapter2)

    def _adapt(self, norm: nn.Module, adapter: Adapter) -> None:
        # Both kinds of layer norm the sum of input and branch, so this is norm(adapter(x + f(x))).
        def before(_norm: nn.Module, given: tuple[Tensor]) -> tuple[Tensor] | None:
            return (adapter(given[0], self._embedding),) if self.adapted else None

        norm.register_forward_pre_hook(before)

    def _use_released_epsilon(self) -> None:
        """transformers adds logit(references, 1e-5) to what a box head of the decoder gives: the hook corrects that."""

        def keep(_layer: nn.Module, _given: Any, named: dict[str, Any]) -> None:
            # The same for all levels, because there is no padding.
            self._references = named["reference_points"][:, :, 0]

        def correct(_head: nn.Module, _given: Any, output: Tensor) -> Tensor | None:
            if self._references is None:
                return None
            corrected: Tensor = output + released_logit(self._references)
            corrected -= torch.special.logit(self._references, LIBRARY_EPSILON)
            return corrected

        def forget(_decoder: nn.Module, _given: Any, _output: Any) -> None:
            # The heads' weights are used again after the decoder, with the library's epsilon in both codes.
            self._references = None

        for layer, head in zip(self.model.decoder.layers, self.model.decoder.bbox_embed, strict=True):
            layer.register_forward_pre_hook(keep, with_kwargs=True)
            head.register_forward_hook(correct)
        self.model.decoder.register_forward_hook(forget)


def released_logit(shares: Tensor) -> Tensor:
    """Inverse sigmoid of the released decoder; both sides are clamped apart."""
    return torch.log(shares.clamp(min=DECODER_EPSILON) / (1 - shares).clamp(min=DECODER_EPSILON))
