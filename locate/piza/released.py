"""Reads weights in the released (mmdet) form, and what their shapes say about PIZA's parts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import BertConfig, MMGroundingDinoConfig, SwinConfig

from sorce.errors import ModelError
from sorce.locate.piza.settings import HistorySizes, PizaSettings, Variant

HISTORY = re.compile(r"(bbox2eos_zoom_model|bbox_encoder)\.")

EMBEDDED = ".emb_proj."

PARALLEL = "module."
"""What torch puts before each name when it trains on several GPUs."""

Weights = dict[str, Tensor]


def read_weights(file: Path) -> Weights:
    """The weights in a .safetensors file, or a .pth file, of which nothing but weights is read. Raises ModelError."""
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        said = torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ModelError(
            f"'{file}' is damaged, or holds more than weights, and anything else could run code; get piza_adapter.pth "
            "of mmaiLab/sorec again, or save only the 'state_dict' of a checkpoint that you trust with torch.save."
        ) from error
    except Exception as error:  # On bytes of another kind, torch fails with almost any error.
        raise ModelError(
            f"'{file}' cannot be read as weights ({type(error).__name__}); get piza_adapter.pth of mmaiLab/sorec again."
        ) from error
    said = said.get("state_dict", said) if isinstance(said, Mapping) else said
    if not isinstance(said, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in said.items()
    ):
        raise ModelError(f"'{file}' holds no weights by name; get piza_adapter.pth of mmaiLab/sorec again.")
    return {name.removeprefix(PARALLEL): weight for name, weight in said.items()}


def settings_of(weights: Weights, variant: Variant | None, said: Mapping[str, Any]) -> PizaSettings:
    """The settings of a released checkpoint. `said` may have the constants of its configuration.

    Without a `variant`: `evaluation` if the adapters of the image have weights for the zoom embedding. Raises
    ModelError if PIZA's parts are missing.
    """
    has_zoom = any(EMBEDDED in name for name in weights)
    if variant == "evaluation" and not has_zoom:
        raise ModelError("the adapters have no weights for the zoom embedding (emb_proj); choose the variant demo.")
    chosen: Variant = variant or ("evaluation" if has_zoom else "demo")
    sizes: dict[str, Any] = {
        "variant": chosen,
        "bottleneck": _rows(weights, "encoder.layers.0.adapter1.linear_down.weight"),
        "text_bottleneck": _rows(weights, "encoder.text_layers.0.adapter1.linear_down.weight"),
        "history": history_sizes(weights),
    }
    if chosen == "evaluation":
        sizes["zoom_width"], sizes["zoom_channels"] = _shape(weights, "zoom_embedding.temb.dense.0.weight")
    if "resize_scale" in said:
        sizes["shorter"], sizes["longer"] = sorted(said["resize_scale"])
    names = {"image_mean": "mean", "image_std": "std", "max_zoom_steps": "steps", "z_step": "zoom_step"}
    names["eos_threshold"] = "stop_at"
    sizes |= {own: said[name] for name, own in names.items() if name in said}
    return PizaSettings(**sizes)


def wanted(weights: Weights, variant: Variant) -> Weights:
    """Without the weights that the variant does not use."""
    if variant == "evaluation":
        return weights
    return {
        name: weight
        for name, weight in weights.items()
        if EMBEDDED not in name and not name.startswith("zoom_embedding.")
    }


def released_config(said: Mapping[str, Any]) -> Any:
    """transformers' configuration for the sizes of a released one. Raises KeyError if one is missing."""
    swin, heads = said["swin"], said["attention_heads"]
    backbone = {name: swin[name] for name in ("embed_dim", "depths", "num_heads", "window_size")}
    swin_config: Any = SwinConfig
    return MMGroundingDinoConfig(
        backbone_config=swin_config(
            **backbone,
            mlp_ratio=swin.get("mlp_ratio", 4),
            patch_size=swin.get("patch_size", 4),
            out_features=[f"stage{number + 1}" for number in swin["out_indices"]],
        ),
        text_config=BertConfig(**said["bert"]),
        d_model=said["hidden"],
        num_queries=said["num_queries"],
        encoder_layers=said["encoder_layers"],
        decoder_layers=said["decoder_layers"],
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=said["ffn_dim"],
        decoder_ffn_dim=said["ffn_dim"],
        num_feature_levels=said["num_feature_levels"],
        encoder_n_points=said["deformable_points"],
        decoder_n_points=said["deformable_points"],
        positional_embedding_temperature=said["position_temperature"],
        max_text_len=said["max_text_len"],
        # The released heads differ from layer to layer; the library would share them.
        decoder_bbox_embed_share=False,
        decoder_cls_embed_share=False,
    )


def history_sizes(weights: Weights) -> HistorySizes:
    """The sizes of the history encoder among released weights. Raises ModelError if it is not there."""
    own = {HISTORY.sub("", name): weight for name, weight in weights.items() if HISTORY.match(name)}
    inner, _ = _shape(own, "box_encoder.lff1.mlp.0.weight")
    return HistorySizes(
        single=_rows(own, "box_encoder.lff1.Wr"),
        pair=_rows(own, "box_encoder.lff2.Wr"),
        inner=inner,
        group=_rows(own, "box_encoder.lff1.mlp.2.weight"),
        feed_forward=_rows(own, "box_encoder.transformer.layers.0.linear1.weight"),
        out=_rows(own, "box_encoder.fc3.weight"),
        hidden=_rows(own, "binary_classifier.0.weight"),
    )


def _shape(weights: Weights, name: str) -> tuple[int, ...]:
    if name not in weights:
        raise ModelError(
            f"the checkpoint lacks '{name}', so it is no PIZA; get piza_adapter.pth of mmaiLab/sorec again."
        )
    return tuple(weights[name].shape)


def _rows(weights: Weights, name: str) -> int:
    return _shape(weights, name)[0]
