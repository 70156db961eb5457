"""From the released (mmdet) names of weights to the public names of transformers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

BACKBONE = "model.backbone.conv_encoder.model"
LAYER = r"model.encoder.layers.\1"
PROJECTION = r"(weight|bias)"

UNUSED = re.compile(
    r"dn_query_generator\.|.*\.relative_position_index$|.*\.embeddings\.position_ids$|.*\.box_encoder\.transformer_layer\."
    r"|.*\.num_batches_tracked$"
)
"""For training only, computed again by transformers, or a template that was copied."""

Rule = tuple[re.Pattern[str], str]


def _rules(table: Mapping[str, str]) -> tuple[Rule, ...]:
    return tuple((re.compile(pattern), name) for pattern, name in table.items())


RULES = _rules(
    {
        # The image's backbone (Swin).
        r"backbone\.patch_embed\.projection\.": rf"{BACKBONE}.embeddings.patch_embeddings.projection.",
        r"backbone\.patch_embed\.norm\.": rf"{BACKBONE}.embeddings.norm.",
        r"backbone\.stages\.(\d+)\.downsample\.": rf"{BACKBONE}.encoder.layers.\1.downsample.",
        r"backbone\.stages\.(\d+)\.blocks\.(\d+)\.": rf"{BACKBONE}.encoder.layers.\1.blocks.\2.",
        # The text's backbone (BERT).
        r"language_model\.language_backbone\.body\.model\.": "model.text_backbone.",
        r"text_feat_map\.": "model.text_projection.",
        # The encoder: fusion, text and image.
        r"encoder\.fusion_layers\.(\d+)\.": rf"{LAYER}.fusion_layer.",
        r"encoder\.text_layers\.(\d+)\.(?!adapter)": rf"{LAYER}.text_enhancer_layer.",
        r"encoder\.layers\.(\d+)\.(?!adapter)": rf"{LAYER}.deformable_layer.",
        # Two stages, and the decoder.
        r"query_embedding\.weight$": "model.query_position_embeddings.weight",
        r"level_embed$": "model.level_embed",
        r"memory_trans_fc\.": "model.enc_output.",
        r"memory_trans_norm\.": "model.enc_output_norm.",
        r"decoder\.layers\.(\d+)\.": r"model.decoder.layers.\1.",
        r"decoder\.norm\.": "model.decoder.layer_norm.",
        r"decoder\.ref_point_head\.": "model.decoder.reference_points_head.",
        # PIZA's own parts.
        r"encoder\.(layers|text_layers)\.(\d+)\.(adapter[12])\.": r"adapters.\1.\2.\3.",
        r"(?:bbox2eos_zoom_model|bbox_encoder)\.": "history_encoder.",
        r"zoom_embedding\.temb\.": "zoom_embedding.",
    }
)
"""By the beginning of the name."""

INNER = {
    BACKBONE: _rules(
        {
            r"\.norm1\.": ".layernorm_before.",
            r"\.norm2\.": ".layernorm_after.",
            r"\.attn\.w_msa\.relative_position_bias_table$": ".attention.self.relative_position_bias_table",
            r"\.attn\.w_msa\.qkv\.": ".attention.self.{}.",
            r"\.attn\.w_msa\.proj\.": ".attention.output.dense.",
            r"\.ffn\.layers\.0\.0\.": ".intermediate.dense.",
            r"\.ffn\.layers\.1\.": ".output.dense.",
        }
    ),
    "model.encoder.": _rules(
        {
            r"fusion_layer\.layer_norm_v\.": "fusion_layer.layer_norm_vision.",
            r"fusion_layer\.layer_norm_l\.": "fusion_layer.layer_norm_text.",
            r"fusion_layer\.gamma_v$": "fusion_layer.vision_param",
            r"fusion_layer\.gamma_l$": "fusion_layer.text_param",
            r"fusion_layer\.attn\.(out_|values_|)v_proj\.": r"fusion_layer.attn.\1vision_proj.",
            r"fusion_layer\.attn\.(out_|values_|)l_proj\.": r"fusion_layer.attn.\1text_proj.",
            r"self_attn\.attn\.in_proj_": "self_attn.{}.",
            r"self_attn\.attn\.": "self_attn.",
            r"text_enhancer_layer\.norms\.0\.": "text_enhancer_layer.layer_norm_before.",
            r"text_enhancer_layer\.norms\.1\.": "text_enhancer_layer.layer_norm_after.",
            r"deformable_layer\.norms\.0\.": "deformable_layer.self_attn_layer_norm.",
            r"deformable_layer\.norms\.1\.": "deformable_layer.final_layer_norm.",
            r"ffn\.layers\.0\.0\.": "fc1.",
            r"ffn\.layers\.1\.": "fc2.",
        }
    ),
    "model.decoder.": _rules(
        {
            r"self_attn\.attn\.in_proj_": "self_attn.{}.",
            r"cross_attn_text\.attn\.in_proj_": "encoder_attn_text.{}.",
            r"self_attn\.attn\.": "self_attn.",
            r"cross_attn_text\.attn\.": "encoder_attn_text.",
            r"cross_attn\.": "encoder_attn.",
            r"norms\.0\.": "self_attn_layer_norm.",
            r"norms\.1\.": "encoder_attn_text_layer_norm.",
            r"norms\.2\.": "encoder_attn_layer_norm.",
            r"norms\.3\.": "final_layer_norm.",
            r"ffn\.layers\.0\.0\.": "fc1.",
            r"ffn\.layers\.1\.": "fc2.",
        }
    ),
}
"""For names that now begin so: replacements inside them. `{}` stands for query, key and value."""

QUARTERS = (0, 2, 1, 3)
"""The order in which transformers joins the four quarters of a Swin stage; mmdet's order is 0, 1, 2, 3."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Numbers that some names depend on."""

    neck_levels: int
    decoder_layers: int


def public_weights(released: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """The weights by the public names, in float32. Raises KeyError with the name of a weight that is unknown."""
    return {
        new: tensor.float().contiguous()
        for name, weight in released.items()
        if not UNUSED.match(name)
        for new, tensor in _public(name, weight, layout)
    }


def _public(name: str, weight: Tensor, layout: Layout) -> Iterator[tuple[str, Tensor]]:
    for special in (_norms_of_stages, _neck, _heads):
        if found := special(name, weight, layout):
            yield from found
            return
    new = _renamed(name)
    if ".downsample." in new:
        yield new, _reordered(weight)
    elif "{}" in new:
        for part, own in zip(("query", "key", "value"), weight.chunk(3), strict=True):
            yield new.format(part), own
    else:
        yield new, weight


def _renamed(name: str) -> str:
    for pattern, start in RULES:
        if pattern.match(name):
            new = pattern.sub(start, name, count=1)
            break
    else:
        raise KeyError(name)
    for start, rules in INNER.items():
        if new.startswith(start):
            for pattern, inner in rules:
                new = pattern.sub(inner, new, count=1)
    return new


def _norms_of_stages(name: str, weight: Tensor, _layout: Layout) -> list[tuple[str, Tensor]]:
    found = re.fullmatch(rf"backbone\.norm(\d+)\.{PROJECTION}", name)
    return [(f"{BACKBONE}.hidden_states_norms.stage{int(found[1]) + 1}.{found[2]}", weight)] if found else []


def _neck(name: str, weight: Tensor, layout: Layout) -> list[tuple[str, Tensor]]:
    found = re.fullmatch(rf"neck\.(convs|extra_convs)\.(\d+)\.(conv|gn)\.{PROJECTION}", name)
    if not found:
        return []
    level = int(found[2]) + (layout.neck_levels if found[1] == "extra_convs" else 0)
    return [(f"model.input_proj_vision.{level}.{int(found[3] == 'gn')}.{found[4]}", weight)]


def _heads(name: str, weight: Tensor, layout: Layout) -> list[tuple[str, Tensor]]:
    """The last branch is that of the encoder's output. The others are stored twice: the decoder uses them, too."""
    if found := re.fullmatch(r"bbox_head\.cls_branches\.(\d+)\.bias", name):
        kind, end, weight = "class_embed", "bias", weight.reshape(())
    elif found := re.fullmatch(rf"bbox_head\.reg_branches\.(\d+)\.([024])\.{PROJECTION}", name):
        kind, end = "bbox_embed", f"layers.{int(found[2]) // 2}.{found[3]}"
    else:
        return []
    if int(found[1]) == layout.decoder_layers:
        return [(f"model.encoder_output_{kind}.{end}", weight)]
    return [(f"{place}{kind}.{found[1]}.{end}", weight) for place in ("", "model.decoder.")]


def _reordered(weight: Tensor) -> Tensor:
    """mmdet unfolds channel by channel; transformers joins four maps."""
    channels = weight.shape[-1] // 4
    by_quarter = weight.reshape(*weight.shape[:-1], channels, 4)[..., torch.tensor(QUARTERS)]
    return by_quarter.transpose(-1, -2).reshape(weight.shape)
