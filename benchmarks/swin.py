"""MM-Grounding-DINO with random weights: of the size of the public one, and a small one that two cores can train."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import (
    BertConfig,
    BertTokenizer,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    MMGroundingDinoConfig,
    MMGroundingDinoForObjectDetection,
    SwinConfig,
)

MARKS = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: ".", 1029: "?"}
"""Their numbers are in the code of transformers."""
SWIN: Any = SwinConfig


def save_detector(folder: Path) -> Path:
    """Writes one of the size of Swin-T, as `save_pretrained` does."""
    backbone = SWIN(window_size=7, out_features=["stage2", "stage3", "stage4"])
    return _saved(folder, MMGroundingDinoConfig(backbone_config=backbone, text_config=BertConfig()), [])


def save_small_detector(folder: Path, words: Sequence[str]) -> Path:
    """Writes one of 2.3 million parameters that knows these words."""
    backbone = SWIN(
        window_size=7,
        embed_dim=24,
        depths=[1, 1, 2, 1],
        num_heads=[2, 2, 4, 8],
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    text = BertConfig(
        vocab_size=max(MARKS) + 1 + len(words),
        hidden_size=128,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=256,
    )
    config = MMGroundingDinoConfig(
        backbone_config=backbone,
        text_config=text,
        d_model=128,
        num_queries=60,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=256,
        decoder_ffn_dim=256,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        num_feature_levels=4,
        max_text_len=64,
        dropout=0.0,
    )
    return _saved(folder, config, words)


def _saved(folder: Path, config: Any, words: Sequence[str]) -> Path:
    left = iter(words)
    size = config.text_config.vocab_size
    vocabulary = [MARKS.get(number) or next(left, f"[unused{number}]") for number in range(size)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    MMGroundingDinoForObjectDetection(config).save_pretrained(folder)
    processor: Any = GroundingDinoProcessor
    processor(GroundingDinoImageProcessor(), BertTokenizer(str(folder / "vocab.txt"))).save_pretrained(folder)
    return folder
