"""Tiny open-vocabulary detectors with random weights, in the layouts that their families publish."""

from __future__ import annotations

import json
from pathlib import Path
from string import ascii_lowercase

import torch
from transformers import (
    BertConfig,
    BertTokenizer,
    CLIPTextConfig,
    DetrImageProcessor,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    MMGroundingDinoConfig,
    MMGroundingDinoForObjectDetection,
    OmDetTurboConfig,
    OmDetTurboForObjectDetection,
    OmDetTurboProcessor,
    PreTrainedModel,
    Sam3Config,
    Sam3ImageProcessor,
    Sam3Model,
    Sam3Processor,
    SwinConfig,
)

from tests.kit.owl import letters

SHARES = ("decoder_bbox_embed_share", "decoder_cls_embed_share")
QUERIES = 40
"""More than an elongated photo has tokens, as with 900 queries for a published network."""
MOST = 64
# OmDet-Turbo's texts are wider than its decoder: else the network lacks a projection.
WIDE = 48
TEXT = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
# The networks know the full stop, the question mark and the marks of BERT by their numbers.
BERT = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: ".", 1029: "?"}


def grounding_dino(folder: Path) -> Path:
    """The layout of IDEA-Research/grounding-dino-tiny."""
    return _dino(folder, GroundingDinoForObjectDetection, GroundingDinoConfig)


def mm_grounding_dino(folder: Path) -> Path:
    """The layout of openmmlab-community/mm_grounding_dino_tiny_*, which LLMDet has, too.

    Each decoder layer has its own heads, and config.json does not say so.
    """
    _dino(folder, MMGroundingDinoForObjectDetection, MMGroundingDinoConfig, **dict.fromkeys(SHARES, False))
    return without_shares(folder)


def without_shares(folder: Path) -> Path:
    """The configuration as transformers 4.56 wrote it: without the settings that tie heads."""
    file = folder / "config.json"
    said = json.loads(file.read_text())
    file.write_text(json.dumps({name: value for name, value in said.items() if name not in SHARES}))
    return folder


def omdet_turbo(folder: Path) -> Path:
    """The layout of omlab/omdet-turbo-swin-tiny-hf, with transformers' own Swin instead of timm's."""
    tokenizer = letters(77)
    config = OmDetTurboConfig(
        backbone_config=_swin(),
        text_config=CLIPTextConfig(
            **{**TEXT, "hidden_size": WIDE}, vocab_size=len(tokenizer), max_position_embeddings=77
        ),
        apply_layernorm_after_vision_backbone=False,
        image_size=64,
        text_projection_in_dim=WIDE,
        text_projection_out_dim=WIDE,
        task_encoder_hidden_dim=32,
        class_embed_dim=WIDE,
        num_queries=QUERIES,
        encoder_hidden_dim=32,
        vision_features_channels=[32, 32, 32],
        encoder_in_channels=[16, 32, 64],
        encoder_attention_heads=2,
        encoder_dim_feedforward=32,
        decoder_hidden_dim=32,
        decoder_num_heads=2,
        decoder_num_layers=1,
        decoder_dim_feedforward=32,
        decoder_num_points=2,
    )
    images = DetrImageProcessor(size={"height": 64, "width": 64}, do_pad=False)
    return _save(folder, OmDetTurboForObjectDetection(config), OmDetTurboProcessor(images, tokenizer))


def sam3(folder: Path) -> Path:
    """The layout of facebook/sam3 without its tracker: 16 patches of 14 x 14 pixels."""
    tokenizer = letters(32)
    part = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 32}
    backbone = {**part, "num_hidden_layers": 1, "image_size": 56, "window_size": 4, "pretrain_image_size": 56}
    config = Sam3Config(
        vision_config={
            "backbone_config": {"model_type": "sam3_vit_model", **backbone, "global_attn_indexes": [0]},
            "fpn_hidden_size": 32,
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        },
        text_config={
            "model_type": "clip_text_model",
            **TEXT,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 32,
            "projection_dim": 32,
        },
        geometry_encoder_config={**part, "num_layers": 1},
        detr_encoder_config={**part, "num_layers": 1},
        detr_decoder_config={**part, "num_layers": 1, "num_queries": QUERIES},
        mask_decoder_config={"hidden_size": 32, "num_attention_heads": 2},
    )
    images = Sam3ImageProcessor(size={"height": 56, "width": 56}, mask_size={"height": 16, "width": 16})
    return _save(folder, Sam3Model(config), Sam3Processor(images, tokenizer))


def _dino(folder: Path, family: type[PreTrainedModel], kind: type, **more: bool) -> Path:
    tokenizer = _bert(folder)
    config = kind(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=_swin(),
        text_config=BertConfig(**TEXT, vocab_size=len(tokenizer), max_position_embeddings=256),
        num_queries=QUERIES,
        d_model=64,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        **more,
    )
    images = GroundingDinoImageProcessor(size={"shortest_edge": MOST, "longest_edge": 2 * MOST})
    return _save(folder, family(config), GroundingDinoProcessor(images, tokenizer))


def _swin() -> SwinConfig:
    return SwinConfig(
        image_size=MOST,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=4,
        out_features=["stage2", "stage3", "stage4"],
    )


def _bert(folder: Path) -> BertTokenizer:
    folder.mkdir(parents=True, exist_ok=True)
    words = [BERT.get(number, f"[unused{number}]") for number in range(max(BERT) + 1)]
    words += [*ascii_lowercase, *(f"##{letter}" for letter in ascii_lowercase)]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    return BertTokenizer(str(folder / "vocab.txt"), model_max_length=512)


def _save(folder: Path, model: PreTrainedModel, processor: object) -> Path:
    torch.manual_seed(0)
    with torch.no_grad():
        for weights in model.parameters():
            # With the usual initial weights, all boxes would be nearly the same.
            if weights.ndim > 1:
                weights.normal_(std=0.2)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
