"""Tiny checkpoints with random weights, in the layouts that their families publish."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    CLIPTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Siglip2Config,
    Siglip2ImageProcessor,
    Siglip2Model,
    Siglip2Processor,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
    SiglipProcessor,
)

SIDE = 32
MARKS = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


def clip(folder: Path) -> Path:
    """A CLIP of 16 dimensions with input of 32 x 32 pixels. Its processor crops the middle, as OpenAI's does."""
    processor = clip_processor(
        CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    )
    text = TOWER | {
        "vocab_size": len(processor.tokenizer),
        "max_position_embeddings": 24,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
    }
    vision = TOWER | {"image_size": SIDE, "patch_size": 8}
    return save(folder, CLIPModel, CLIPConfig(text_config=text, vision_config=vision, projection_dim=16), processor)


def clip_processor(images: CLIPImageProcessor, *, end_is_largest: bool = False) -> CLIPProcessor:
    """With a tokenizer of letters. In CLIP's own vocabulary, the token that ends a text is the largest."""
    letters, marks = sorted(pre_tokenizers.ByteLevel.alphabet()), ["<|startoftext|>", "<|endoftext|>"]
    words = [*letters, *(letter + "</w>" for letter in letters)]
    words = [*words, *marks] if end_is_largest else [*marks, *words]
    tokenizer = CLIPTokenizer(vocab={word: number for number, word in enumerate(words)}, merges=[], model_max_length=24)
    return CLIPProcessor(images, tokenizer)


def siglip(folder: Path) -> Path:
    """A SigLIP of 32 dimensions with input of 32 x 32 pixels: the layout of google/siglip2-base-patch16-256."""
    tokenizer = _gemma()
    config = SiglipConfig(
        text_config=_siglip_text(tokenizer), vision_config=TOWER | {"image_size": SIDE, "patch_size": 8}
    )
    images = SiglipImageProcessor(size={"height": SIDE, "width": SIDE}, resample=2)
    return save(folder, SiglipModel, config, SiglipProcessor(images, tokenizer))


def siglip2(folder: Path) -> Path:
    """A SigLIP2 for pictures of any shape, as 16 patches: the layout of google/siglip2-base-patch16-naflex."""
    tokenizer = _gemma()
    vision = TOWER | {"num_patches": 16, "patch_size": 16}
    config = Siglip2Config(text_config=_siglip_text(tokenizer), vision_config=vision)
    images = Siglip2ImageProcessor(max_num_patches=16, patch_size=16)
    return save(folder, Siglip2Model, config, Siglip2Processor(images, tokenizer))


def _gemma() -> PreTrainedTokenizerFast:
    marks = ["<pad>", "<eos>", "<bos>", "<unk>"]
    words = [*marks, *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"abcdefghijklmnopqrstuvwxyz0123456789"]
    core = Tokenizer(
        BPE({word: number for number, word in enumerate(words)}, [], unk_token="<unk>", byte_fallback=True)
    )
    core.normalizer = normalizers.Replace(" ", "▁")
    core.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    core.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>", unk_token="<unk>"
    )


def _siglip_text(tokenizer: PreTrainedTokenizerFast) -> dict[str, object]:
    return TOWER | {"vocab_size": len(tokenizer), "max_position_embeddings": 64} | MARKS


def save(folder: Path, family: type[PreTrainedModel], config: object, processor: object) -> Path:
    torch.manual_seed(0)
    model = family(config)
    with torch.no_grad():
        for weights in model.parameters():
            # With the usual initial weights, all texts and all pictures would get nearly the same vector.
            if weights.ndim > 1:
                weights.normal_(std=0.3)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
