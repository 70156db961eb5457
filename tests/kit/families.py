"""Tiny checkpoints of newer families, with random weights, in the layouts that they publish."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    EmbeddingGemma2Config,
    EmbeddingGemma2Model,
    EmbeddingGemma2Processor,
    Gemma4AudioFeatureExtractor,
    Gemma4ImageProcessor,
    GemmaTokenizer,
    MetaClip2Config,
    MetaClip2Model,
    PreTrainedTokenizerFast,
    Qwen3VLModel,
    Siglip2Processor,
    Tipsv2Config,
    Tipsv2ImageProcessor,
    Tipsv2Model,
    Tipsv2Processor,
    Tipsv2Tokenizer,
)
from transformers.models.embedding_gemma2.video_processing_embedding_gemma2 import EmbeddingGemma2VideoProcessor

from tests.kit import chat, tiny

SIDE = 28
LETTERS = "abcdefghijklmnopqrstuvwxyz"
QUERY = "task: search result | query: "
"""The prompt that EmbeddingGemma 2 publishes for the texts of a search."""


def tipsv2(folder: Path) -> Path:
    """The layout of google/tipsv2-b14: vectors of 32 numbers, input of 28 x 28 pixels, not normalised."""
    words = ["<pad>", "<unk>", *_bytes(), "▁", *LETTERS, *LETTERS.upper()]
    tokenizer = Tipsv2Tokenizer(vocab=_numbered(words), merges=[])
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": SIDE, "patch_size": 14}
    config = Tipsv2Config(text_config=text | {"vocab_size": len(words)}, vision_config=vision)
    images = Tipsv2ImageProcessor(size={"height": SIDE, "width": SIDE})
    return tiny.save(folder, Tipsv2Model, config, Tipsv2Processor(images, tokenizer))


def metaclip2(folder: Path) -> Path:
    """The layout of facebook/metaclip-2-worldwide-b16: a CLIP with the tokenizer of XLM-V, which keeps capitals."""
    words = ["<s>", "<pad>", "</s>", "<unk>", "▁", *LETTERS, *LETTERS.upper()]
    core = Tokenizer(models.Unigram([(word, 0.0 if number < 4 else -1.0) for number, word in enumerate(words)], 3))
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )
    text = tiny.TOWER | {"vocab_size": len(words), "max_position_embeddings": 24}
    marks = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
    vision = tiny.TOWER | {"image_size": SIDE, "patch_size": 14}
    config = MetaClip2Config(text_config=text | marks, vision_config=vision, projection_dim=16)
    return tiny.save(folder, MetaClip2Model, config, CLIPProcessor(_clip_images(), tokenizer))


def openclip(folder: Path) -> Path:
    """The layout of laion/CLIP-ViT-B-32-laion2B-s34B-b79K: GELU, and a text ends at its largest token."""
    processor = tiny.clip_processor(_clip_images(), end_is_largest=True)
    text = tiny.TOWER | {"vocab_size": len(processor.tokenizer), "max_position_embeddings": 24, "hidden_act": "gelu"}
    # OpenCLIP's converted files all say 2 here: transformers then takes the largest token for the end.
    text |= {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}
    vision = tiny.TOWER | {"image_size": SIDE, "patch_size": 14, "hidden_act": "gelu"}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)
    return tiny.save(folder, CLIPModel, config, processor)


def embedding_gemma2(folder: Path) -> Path:
    """The layout of google/embeddinggemma-2: a prompt for texts, none for pictures, the mean of all tokens."""
    marks = ["<pad>", "<eos>", "<bos>", "<unk>"]
    extra = {"image": "<|image|>", "boi": "<|image>", "eoi": "<image|>", "audio": "<|audio|>", "boa": "<|audio>"}
    extra |= {"eoa": "<audio|>"}
    words = [*marks, *extra.values(), "<|video|>", *_bytes(), "▁", *LETTERS, *LETTERS.upper(), *":|"]
    tokenizer = GemmaTokenizer(
        vocab=_numbered(words), merges=[], extra_special_tokens={f"{name}_token": word for name, word in extra.items()}
    )
    processor = EmbeddingGemma2Processor(
        Gemma4AudioFeatureExtractor(),
        Gemma4ImageProcessor(max_soft_tokens=70),
        tokenizer,
        EmbeddingGemma2VideoProcessor(),
        chat_template=GEMMA_TURNS,
    )
    ids = {
        "boi_token_id": words.index("<|image>"),
        "eoi_token_id": words.index("<image|>"),
        "image_token_id": words.index("<|image|>"),
        "boa_token_id": words.index("<|audio>"),
        "eoa_token_index": words.index("<audio|>"),
        "audio_token_id": words.index("<|audio|>"),
        "video_token_id": tokenizer.convert_tokens_to_ids("<|video|>"),
    }
    text = {"vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    text |= {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "global_head_dim": 32}
    text |= {"num_global_key_value_heads": 1, "hidden_size_per_layer_input": 16, "embedding_dim": 256}
    vision = {"model_type": "gemma4_vision", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    vision |= {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16, "position_embedding_size": 256}
    config = EmbeddingGemma2Config(
        text_config=text | {"sliding_window_pattern": 2}, vision_config=vision, audio_config=None, **ids
    )
    tiny.save(folder, EmbeddingGemma2Model, config, processor)
    return _for_sentence_transformers(folder, "mean", {"query": QUERY, "document": "title: none | text: "})


GEMMA_TURNS = (
    "{%- for message in messages %}{% if message.role == 'system' %}{% for part in message.content %}{{ part.text }}"
    "{%- endfor %}{% endif %}{% endfor %}"
    "{%- for message in messages %}{% if message.role != 'system' %}{% for part in message.content %}"
    "{%- if part.type == 'image' %}<|image|>{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}{% endfor %}"
)
"""The system's turn, which holds the prompt, and then the others, without a word between them."""


def qwen3_chat(folder: Path) -> Path:
    """The layout of Qwen/Qwen3-VL-2B-Instruct: the network of an encoder, with turns, not saved as an encoder."""
    chat.patches_of_16(chat.save(folder, Qwen3VLModel(chat.qwen3_config())))
    (folder / "chat_template.jinja").write_text(QWEN_TURNS)
    return folder


def qwen3_embedding(folder: Path) -> Path:
    """The layout of Qwen/Qwen3-VL-Embedding-2B: an instruction as the system's turn, the last token's state."""
    how = {"chat_template": {"add_generation_prompt": True}}
    return _for_sentence_transformers(qwen3_chat(folder), "lasttoken", {}, how)


def fgclip2(folder: Path) -> Path:
    """The layout of qihoo360/fg-clip2-base: code of its own, opened as a causal language model, and no processor."""
    plain = tiny.siglip2(folder / "plain")
    weights, words = plain / "model.safetensors", Siglip2Processor.from_pretrained(plain)
    shutil.move(weights, folder / weights.name)
    words.tokenizer.save_pretrained(folder)
    words.image_processor.save_pretrained(folder)
    settings = json.loads((plain / "config.json").read_text())
    own = {"AutoConfig": "own.Fgclip2Config", "AutoModelForCausalLM": "own.Fgclip2Model"}
    settings |= {"model_type": "fgclip2", "architectures": ["Fgclip2Model"], "auto_map": own}
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "own.py").write_text(FGCLIP2)
    shutil.rmtree(plain)
    return folder


FGCLIP2 = """
from transformers import Siglip2Config, Siglip2Model

class Fgclip2Config(Siglip2Config):
    model_type = "fgclip2"

class Fgclip2Model(Siglip2Model):
    config_class = Fgclip2Config

    def get_text_features(self, input_ids=None, attention_mask=None, walk_type="short"):
        return super().get_text_features(input_ids=input_ids, attention_mask=attention_mask).pooler_output

    def get_image_features(self, pixel_values=None, pixel_attention_mask=None, spatial_shapes=None):
        return super().get_image_features(pixel_values, pixel_attention_mask, spatial_shapes).pooler_output
"""

INSTRUCTION = "Represent the user's input."
QWEN_TURNS = (
    "{%- if messages[0].role != 'system' %}<|im_start|>system\n" + INSTRUCTION + "<|im_end|>\n{% endif %}"
    "{%- for message in messages %}<|im_start|>{{ message.role }}\n"
    "{%- if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{%- if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}"
    "{%- endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def _for_sentence_transformers(
    folder: Path, pooling: str, prompts: dict[str, str], how: dict[str, Any] | None = None
) -> Path:
    """Adds the files that sentence-transformers writes beside those of transformers."""
    network = Transformer(str(folder), processing_kwargs=how)
    width = network.model.config.get_text_config()
    pool = Pooling(getattr(width, "embedding_dim", width.hidden_size), pooling_mode=pooling)
    SentenceTransformer(modules=[network, pool, Normalize()], prompts=prompts).save(
        str(folder), create_model_card=False
    )
    return folder


def _bytes() -> list[str]:
    return [f"<0x{byte:02X}>" for byte in range(256)]


def _numbered(words: list[str]) -> dict[str, int]:
    return {word: number for number, word in enumerate(words)}


def _clip_images() -> CLIPImageProcessor:
    return CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
