"""A detector of the size of MM-Grounding-DINO with Swin-T, with random weights."""

from __future__ import annotations

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

VOCABULARY = 30522
MARKS = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: "."}


def save_detector(folder: Path) -> Path:
    """Writes it as `save_pretrained` does."""
    words = [MARKS.get(number, f"word{number}") for number in range(VOCABULARY)]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    swin: Any = SwinConfig
    backbone = swin(window_size=7, out_features=["stage2", "stage3", "stage4"])
    config = MMGroundingDinoConfig(backbone_config=backbone, text_config=BertConfig())
    MMGroundingDinoForObjectDetection(config).save_pretrained(folder)
    tokenizer = BertTokenizer(str(folder / "vocab.txt"))
    processor: Any = GroundingDinoProcessor
    processor(GroundingDinoImageProcessor(), tokenizer).save_pretrained(folder)
    return folder
