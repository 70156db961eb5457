"""MM-Grounding-DINO of transformers with PIZA's parts: adapters in each encoder layer, history encoder, zoom embedding.

The adapters act on the inputs of four layer norms of each encoder layer. Hooks do that, so no code of the library is
repeated here. With LoRA they act beside the weights of linear layers instead.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import MMGroundingDinoForObjectDetection

from sorce.locate.piza.adapters import Adapter, ZoomEmbedding
from sorce.locate.piza.history import HistoryEncoder
from sorce.locate.piza.lora import LowRank
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
    """`config.piza` holds the settings. Searches give it one image per forward: with padding, results change a little.

    Not for several threads at once: the zoom value and the references of a pass are stored on the network.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.settings = PizaSettings.of(config.piza)
        settings = self.settings
        zoom_width = settings.zoom_width if settings.uses_zoom else None
        self._adapted = True
        self.low_rank: LowRank | None = None
        self.adapters = self._insert_low_rank(zoom_width) if settings.adapter == "lora" else self._insert(zoom_width)
        self.zoom_embedding = ZoomEmbedding(settings.zoom_channels, settings.zoom_width) if settings.uses_zoom else None
        self.history_encoder = HistoryEncoder(settings.history)
        self._embedding: Tensor | None = None
        self._references: Tensor | None = None
        self._use_released_epsilon()
        self.post_init()  # type: ignore[no-untyped-call]

    @property
    def settings(self) -> PizaSettings:
        """Also under `config.piza`, for whoever saves or copies the network."""
        return self._settings

    @settings.setter
    def settings(self, new: PizaSettings) -> None:
        self._settings, self.config.piza = new, new.as_json()

    @property
    def adapted(self) -> bool:
        """Whether the adapters act. Without them the network is its base, with the norms as they are."""
        return self._adapted

    @adapted.setter
    def adapted(self, is_on: bool) -> None:
        self._adapted = is_on
        if self.low_rank is not None:
            self.low_rank.switch(is_on=is_on)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Made anew, because hooks hold the network that they were made for."""
        other: Any = PizaNetwork(deepcopy(self.config))
        other.to(self.device).load_state_dict(self.state_dict())
        other.adapted = self.adapted
        memo[id(self)] = other
        return other

    def detect(self, pixels: Tensor, token_ids: Tensor, zoom: Tensor | None = None, words: Tensor | None = None) -> Any:
        """transformers' output for images, (n, 3, height, width), and a text of each, (n, tokens).

        `zoom`, of shape (n,), has no effect in the variant `demo`. Without it the adapters get no zoom embedding.
        `words`, (n, tokens), is 0 for the tokens that only fill a text up, else 1.
        """
        if zoom is not None and self.zoom_embedding is not None:
            self._embedding = self.zoom_embedding(zoom)
        try:
            return self(pixel_values=pixels, input_ids=token_ids, attention_mask=words)
        finally:
            self._embedding = self._references = None

    def _insert_low_rank(self, zoom_width: int | None) -> nn.ModuleDict:
        ranks = self.settings.bottleneck, self.settings.text_bottleneck
        self.low_rank = LowRank(self.model.encoder.layers, ranks, zoom_width)
        self.low_rank.listen(lambda: self._embedding)
        return nn.ModuleDict({"zoom": self.low_rank.terms})

    def _insert(self, zoom_width: int | None) -> nn.ModuleDict:
        settings, config, layers = self.settings, self.config, self.model.encoder.layers
        image = [LayerAdapters(config.d_model, settings.bottleneck, zoom_width) for _ in layers]
        text = [LayerAdapters(config.d_model, settings.text_bottleneck, None) for _ in layers]
        for layer, of_image, of_text in zip(layers, image, text, strict=True):
            self._adapt(layer.deformable_layer.self_attn_layer_norm, of_image.adapter1)
            self._adapt(layer.deformable_layer.final_layer_norm, of_image.adapter2)
            self._adapt(layer.text_enhancer_layer.layer_norm_before, of_text.adapter1)
            self._adapt(layer.text_enhancer_layer.layer_norm_after, of_text.adapter2)
        return nn.ModuleDict({"layers": nn.ModuleList(image), "text_layers": nn.ModuleList(text)})

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
