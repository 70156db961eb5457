"""Stage 2: a tokenizer, and a text tower that learns the vectors of the table.

`python -m training.mini.texts --help`
"""

from __future__ import annotations

import json
import platform
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
import transformers
from joblib import cpu_count  # type: ignore[import-untyped]
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize
from transformers import CLIPModel, CLIPTokenizer

from training.mini import bank
from training.mini.clip import DIMENSION, POSITIONS, config, save
from training.mini.colours import COLOURS
from training.mini.losses import Table
from training.mini.phrases import Phrase, Phrases

_PACKAGE = Path(__file__).parents[2] / "models/mini"
_VOCABULARY = 4096
_BATCH = 256
_MATCH_SCALE = 20.0
_SPREAD = 0.1
"""Chosen on the choosing scenes."""


def tokenizer(phrases: Phrases) -> CLIPTokenizer:
    """CLIP's own lower-casing byte-level tokenizer, trained on these phrases."""
    blank = CLIPTokenizer()
    learner = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix="</w>"))
    learner.normalizer = blank.backend_tokenizer.normalizer
    learner.pre_tokenizer = blank.backend_tokenizer.pre_tokenizer
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY, initial_alphabet=letters, end_of_word_suffix="</w>", show_progress=False
    )
    learner.train_from_iterator(phrases.corpus(), trainer)
    learned = json.loads(learner.to_str())["model"]
    vocabulary = dict(learned["vocab"])
    # Every byte needs a token, also as the last one of a word.
    for token in (*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"):
        vocabulary.setdefault(token, len(vocabulary))
    merges: Any = [tuple(merge) for merge in learned["merges"]]  # typed as strings, but the class needs pairs
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=POSITIONS)


def encode(model: CLIPModel, words: CLIPTokenizer, texts: Sequence[str]) -> Tensor:
    """Unit vectors (n, D)."""
    tokens = words(list(texts), padding=True, truncation=True, return_tensors="pt")
    pooled = model.text_model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).pooler_output
    return normalize(model.text_projection(pooled).float(), dim=1)


def targets(table: Table, phrases: Sequence[Phrase]) -> Tensor:
    """The target of each phrase: unit vectors (n, D)."""
    vectors, found = table.vectors(), []
    for phrase in phrases:
        vector = vectors[list(phrase.concepts)].sum(0)
        found.append(vector + table.colour[phrase.colour] if phrase.colour >= 0 else vector)
    return normalize(torch.stack(found), dim=1)


def train(model: CLIPModel, words: CLIPTokenizer, table: Table, phrases: Phrases, steps: int, seed: int) -> float:
    """Trains the text tower. Returns the last mean cosine between phrases and their targets."""
    parameters = [*model.text_model.parameters(), *model.text_projection.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1.0, betas=(0.9, 0.98), weight_decay=0.02)
    model.set_attn_implementation("eager")  # twice as fast as the fused kernel for short texts on a CPU
    rng, mean, began = np.random.default_rng(seed), 0.0, time.time()
    with torch.no_grad():
        everything = table.vectors()
    for step in range(steps):
        drawn = [phrases.draw(rng) for _ in range(_BATCH)]
        with torch.no_grad():
            wanted = targets(table, drawn)
        with torch.autocast("cpu", torch.bfloat16):
            vectors = encode(model, words, [phrase.text for phrase in drawn])
        cosine = (vectors * wanted).sum(1)
        first = torch.tensor([phrase.concepts[0] for phrase in drawn])
        single = torch.tensor([len(phrase.concepts) == 1 for phrase in drawn])
        match = cross_entropy(_MATCH_SCALE * vectors[single] @ everything.T, first[single])
        (10 * (1 - cosine).mean() + 0.2 * match).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.param_groups[0]["lr"] = 0.0015 * min(1.0, (step + 1) / 100, 2 * (steps - step) / steps)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        mean = 0.98 * mean + 0.02 * float(cosine.detach().mean()) if step else float(cosine.detach().mean())
        if (step + 1) % 100 == 0:
            click.echo(f"text step {step + 1} {time.time() - began:.0f} s cosine {mean:.4f}")
    return mean


def spread(model: CLIPModel, words: CLIPTokenizer, names: Sequence[str], exponent: float = _SPREAD) -> None:
    """Weakens what the vectors of all texts share, since it says little about which photo is meant.

    A vector x becomes C^-exponent x, C being the second moment of the names' vectors; an exponent of .5 whitens them.
    That is linear, so the text projection holds it.
    """
    with torch.no_grad():
        vectors = encode(model, words, names).double()
        strengths, directions = torch.linalg.eigh(vectors.T @ vectors / len(names))
        turned = directions * strengths.clamp(min=1e-6) ** -exponent @ directions.T
        weight = model.text_projection.weight
        weight.copy_(turned.to(weight.dtype) @ weight)


def assembled(words: CLIPTokenizer, vision: dict[str, Tensor], table: Table, seed: int) -> CLIPModel:
    """A `CLIPModel` with the trained picture tower and a new text tower."""
    torch.manual_seed(seed)
    model = CLIPModel(config(words))
    missing, unexpected = model.load_state_dict(vision, strict=False)
    if unexpected or any(name.startswith("vis") for name in missing):
        raise ValueError(f"the saved picture tower has other parts: {unexpected}, {missing}")
    with torch.no_grad():
        model.logit_scale.copy_(table.scale["pair"])
    return model


def load_table(state: dict[str, Tensor]) -> Table:
    """The table from a saved state of stage 1."""
    table = Table(len(state["concept"]), len(COLOURS), DIMENSION)
    table.load_state_dict(state)
    return table


def recorded(saved: dict[str, Any], texts: dict[str, float]) -> dict[str, Any]:
    """What is needed to train this checkpoint again. Its CPU time is the sum over all processes."""
    plan = saved["plan"]
    return {
        "picture_tower": {
            **plan,
            "tiles": saved["step"] * plan["batch"],
            "wall_seconds": round(saved["wall"]),
            "cpu_seconds": round(saved["cpu"] * plan["processes"]),
        },
        "text_tower": texts,
        "sprites": f"{bank.fingerprint()} {bank.training_fingerprint()}",
        "concepts": len(bank.concepts()),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "machine": f"{cpu_count()} x {_processor()}",
    }


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", facts.read_text()) if facts.exists() else None
    return found[1] if found else platform.processor()


@click.command()
@click.option("--steps", default=1200, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--state", type=click.Path(exists=True, path_type=Path), help="Of stage 1. [default: in the cache]")
@click.option("--out", default=_PACKAGE, type=click.Path(path_type=Path), help="[default: the package]")
def main(steps: int, seed: int, state: Path | None, out: Path) -> None:
    """Train the text tower on the table of stage 1 and write the checkpoint."""
    saved = torch.load(state or bank.cache_folder() / "mini-training" / "state.pt", weights_only=True)
    table = load_table(saved["table"])
    phrases = Phrases(bank.concepts())
    words = tokenizer(phrases)
    model = assembled(words, saved["vision"], table, seed)
    cosine = train(model, words, table, phrases, steps, seed)
    spread(model, words, [concept.name for concept in bank.concepts()])
    save(model, words, out)
    record = recorded(saved, {"steps": steps, "seed": seed, "cosine": round(cosine, 4), "tokens": len(words)})
    (out / "training.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    click.echo(f"{out}: {record['picture_tower']}")


if __name__ == "__main__":
    main()
