"""The text tower's last step."""

import numpy as np
import pytest
import torch
from transformers import CLIPModel

from training.mini.clip import config
from training.mini.phrases import Phrases
from training.mini.texts import encode, spread, tokenizer

NAMES = ["kite", "boat", "lamp", "shell", "cup", "red kite", "old boat", "tin"]


def spectrum(vectors: torch.Tensor) -> np.ndarray:
    return np.linalg.svd(vectors.numpy(), compute_uv=False)[: len(NAMES)]


@pytest.mark.parametrize("exponent", [0.0, 0.1, 0.5])
def test_what_all_texts_share_is_weakened_by_the_exponent(exponent):
    torch.manual_seed(1)
    words = tokenizer(Phrases([]))
    model = CLIPModel(config(words)).eval()
    with torch.no_grad():
        before = encode(model, words, NAMES)
        spread(model, words, NAMES, exponent)
        after = encode(model, words, NAMES)
    torch.testing.assert_close(torch.linalg.norm(after, dim=1), torch.ones(len(NAMES)))
    first, then = spectrum(before), spectrum(after)
    if exponent:
        assert then[0] / then[-1] < 0.9 * first[0] / first[-1]
    else:
        torch.testing.assert_close(after, before, atol=1e-5, rtol=0)
    if exponent == 0.5:
        # Whitened: all directions are alike, up to the vectors' lengths.
        assert then[0] / then[-1] < 2
