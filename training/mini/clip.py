"""The architecture of `mini`, and its checkpoint folder, which any CLIP loader can open."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer
from transformers.models.clip.configuration_clip import CLIPTextConfig, CLIPVisionConfig

PIXELS = 96  # side of the square input
PATCH = 16
GRID = PIXELS // PATCH
WIDTH = 256
LAYERS = 4
DIMENSION = 128
TEXT_WIDTH = 192
TEXT_LAYERS = 2
POSITIONS = 32
MEAN = (0.5, 0.5, 0.5)
STD = (0.25, 0.25, 0.25)


def vision_config() -> CLIPVisionConfig:
    """The picture tower: 36 patches and a class token."""
    return CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        image_size=PIXELS,
        patch_size=PATCH,
        projection_dim=DIMENSION,
    )


def config(tokenizer: CLIPTokenizer) -> CLIPConfig:
    """Both towers. The text tower pools at the tokenizer's end token."""
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=4 * TEXT_WIDTH,
        num_hidden_layers=TEXT_LAYERS,
        num_attention_heads=3,
        max_position_embeddings=POSITIONS,
        projection_dim=DIMENSION,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPConfig(text_config=text.to_dict(), vision_config=vision_config().to_dict(), projection_dim=DIMENSION)


def processor(tokenizer: CLIPTokenizer) -> CLIPProcessor:
    """Resizes straight to the square, without a crop: the object may be at a tile's border."""
    square = {"height": PIXELS, "width": PIXELS}
    pictures = CLIPImageProcessor(
        size=square, crop_size=square, do_center_crop=False, image_mean=list(MEAN), image_std=list(STD)
    )
    return CLIPProcessor(image_processor=pictures, tokenizer=tokenizer)  # type: ignore[no-untyped-call]


def save(model: CLIPModel, tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Writes weights in half precision, the configuration and the processors into `folder`, each file in one step."""
    draft = folder / ".draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    # The configuration says "float32", so that loaders compute in it: half precision is slow on a CPU.
    model.config.dtype = torch.float32
    model.config.architectures = ["CLIPModel"]
    model.config.save_pretrained(draft)
    # A tokenizer remembers its last padding and length. If they were saved, later calls would warn.
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    processor(tokenizer).save_pretrained(draft)
    weights = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, draft / "model.safetensors", metadata={"format": "pt"})
    for file in draft.iterdir():
        file.chmod(0o644)  # safetensors makes the file readable for its owner only
        file.replace(folder / file.name)
    draft.rmdir()
