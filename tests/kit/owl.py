"""Tiny detectors with random weights, in the layouts that their families publish."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import pre_tokenizers
from transformers import (
    CLIPTokenizer,
    DetrConfig,
    DetrForObjectDetection,
    DetrImageProcessor,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    Owlv2Processor,
    PreTrainedModel,
    ResNetConfig,
    RTDetrConfig,
    RTDetrForObjectDetection,
    RTDetrImageProcessor,
    RTDetrResNetConfig,
)

SIDE = 32
TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


def owlv2(folder: Path) -> Path:
    """The layout of google/owlv2-base-patch16-ensemble: 64 patches of 32 x 32 pixels, 32 dimensions, 16 tokens."""
    tokenizer = letters(16)
    words = len(tokenizer)
    config = Owlv2Config(
        text_config=TOWER
        | {
            "vocab_size": words,
            "max_position_embeddings": 16,
            "bos_token_id": words - 2,
            "eos_token_id": words - 1,
        },
        vision_config=TOWER | {"image_size": SIDE, "patch_size": 4},
        projection_dim=32,
    )
    images = Owlv2ImageProcessor(size={"height": SIDE, "width": SIDE})
    return _save(folder, Owlv2ForObjectDetection(config), Owlv2Processor(images, tokenizer), 0.2)


def letters(longest: int) -> CLIPTokenizer:
    """CLIP's tokenizer without merges: each letter is a token."""
    known = sorted(pre_tokenizers.ByteLevel.alphabet())
    # "!" is the padding and comes first. The end of text comes last: the model finds it by the largest token id.
    words = ["!", *(letter for letter in known if letter != "!"), *(letter + "</w>" for letter in known)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={word: number for number, word in enumerate(words)}, merges=[], model_max_length=longest, pad_token="!"
    )


def detr(folder: Path) -> Path:
    """The layout of facebook/detr-resnet-50, whose input keeps its aspect ratio: 20 boxes."""
    backbone = ResNetConfig(embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], out_features=["stage4"])
    config = DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=backbone,
        num_queries=20,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        num_labels=3,
    )
    images = DetrImageProcessor(size={"shortest_edge": 64, "longest_edge": 128})
    return _save(folder, DetrForObjectDetection(config), images, 0.3)


def rt_detr(folder: Path) -> Path:
    """The layout of PekingU/rtdetr_r50vd, whose input is a square: 20 boxes."""
    backbone = RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 8, 8, 8],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    config = RTDetrConfig(
        backbone_config=backbone,
        encoder_hidden_dim=32,
        encoder_in_channels=[8, 8, 8],
        encoder_ffn_dim=32,
        encoder_attention_heads=2,
        d_model=32,
        num_queries=20,
        decoder_in_channels=[32, 32, 32],
        decoder_ffn_dim=32,
        decoder_layers=1,
        decoder_attention_heads=2,
        num_labels=3,
        num_denoising=0,
    )
    return _save(folder, RTDetrForObjectDetection(config), RTDetrImageProcessor(size={"height": 64, "width": 64}), 0.3)


def _save(folder: Path, model: PreTrainedModel, processor: object, spread: float) -> Path:
    torch.manual_seed(0)
    with torch.no_grad():
        for weights in model.parameters():
            # With the usual initial weights, all boxes would be nearly the same.
            if weights.ndim > 1:
                weights.normal_(std=spread)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
