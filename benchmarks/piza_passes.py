"""What the parts of a PIZA network give in a pass, by the names of the golden arrays."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from sorce.locate.piza.network import LIBRARY_EPSILON, PizaNetwork

Arrays = dict[str, Any]


class Between:
    """Listens to the parts of a network: `arrays` has what they gave in the last pass, by the golden names.

    `rows` are the image tokens at which the golden arrays were sampled. `after` is called at the end of each pass.
    """

    def __init__(self, network: PizaNetwork, rows: Any) -> None:
        self.arrays: Arrays = {}
        self.after: Callable[[], None] = lambda: None
        self._network, self._rows = network, rows
        self._hooks: list[Any] = []

    def __enter__(self) -> Between:
        model = self._network.model
        for part, keep in self._parts(model).items():
            self._hooks.append(part.register_forward_hook(keep))
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for hook in self._hooks:
            hook.remove()

    def _parts(self, model: Any) -> dict[Any, Callable[..., None]]:
        network, first = self._network, model.encoder.layers[0]
        parts: dict[Any, Callable[..., None]] = {
            model.text_backbone: self._bert,
            model.text_projection: lambda _part, _given, out: self._put(text_embedded=out[0]),
            model.backbone.conv_encoder.model: self._swin,
            first.fusion_layer: lambda _part, _given, out: self._put(
                fusion0_vision=self._sampled(out[0][0]), fusion0_text=out[1][0][0]
            ),
            first.text_enhancer_layer: lambda _part, _given, out: self._put(text_layer0=out[0][0]),
            first.deformable_layer: lambda _part, _given, out: self._put(vision_layer0=self._sampled(out[0])),
            network: self._end,
        }
        for number, projection in enumerate(model.input_proj_vision):
            parts[projection] = lambda _part, _given, out, name=f"neck{number}": self._map(name, out)
        for number in range(len(network.bbox_embed)):
            parts[network.class_embed[number]] = self._listed("class_logits")
            parts[network.bbox_embed[number]] = self._listed("deltas")
        for name, kind in (("layers", "img"), ("text_layers", "txt")):
            layer: Any = network.adapters[name]
            for number in (1, 2):
                parts[getattr(layer[0], f"adapter{number}")] = self._adapter(f"a_{kind}{number}")
        return parts

    def _put(self, **arrays: Any) -> None:
        self.arrays |= arrays

    def _sampled(self, states: Tensor) -> Any:
        return None if self._rows is None else states[0, torch.from_numpy(self._rows).long()]

    def _map(self, name: str, features: Tensor) -> None:
        self.arrays[f"{name}_mean"] = features[0].mean((1, 2))
        self.arrays[f"{name}_corner"] = features[0, :, :2, :2]
        if name == "neck0":
            self.arrays["level_shapes"], self.arrays["class_logits"], self.arrays["deltas"] = [], [], []
        if name.startswith("neck"):
            self.arrays["level_shapes"].append(features.shape[-2:])

    def _bert(self, _part: Any, given: Any, out: Any) -> None:
        self._put(bert_last_hidden=out.last_hidden_state[0], text_attention=given[1][0, 0])
        self._put(text_position_ids=given[3][0])

    def _swin(self, _part: Any, _given: Any, out: Any) -> None:
        for number, features in enumerate(out.feature_maps):
            self._map(f"swin{number}", features)

    def _listed(self, name: str) -> Callable[..., None]:
        return lambda _part, _given, out: self.arrays[name].append(out[0])

    def _adapter(self, name: str) -> Callable[..., None]:
        return lambda _part, given, out: self._put(**{f"{name}_in": given[0][0, :4], f"{name}_out": out[0, :4]})

    def _end(self, _part: Any, _given: Any, out: Any) -> None:
        memory, tokens = out.encoder_last_hidden_state_vision, out.encoder_last_hidden_state_text.shape[1]
        best = out.enc_outputs_class[0].max(-1).values.topk(out.pred_boxes.shape[1])
        references = torch.cat([out.init_reference_points, out.intermediate_reference_points[0]])
        deltas = torch.stack(self.arrays.pop("deltas"))
        self._put(
            token_rows=self._rows,
            memory=self._sampled(memory),
            memory_mean=memory[0].mean(0),
            memory_text=out.encoder_last_hidden_state_text[0],
            topk_rows=best.indices,
            topk_logits=best.values,
            initial_references=out.init_reference_points[0],
            decoder_hidden=out.intermediate_hidden_states[0],
            decoder_references=references,
            class_logits=torch.stack(self.arrays["class_logits"])[..., :tokens],
            pred_boxes=(deltas + torch.special.logit(references[:-1], LIBRARY_EPSILON)).sigmoid(),
        )
        self.after()
