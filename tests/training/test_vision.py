import numpy as np
import torch
from torch.nn.functional import normalize
from transformers import CLIPModel

from training.mini.clip import PIXELS, config, processor
from training.mini.phrases import Phrases
from training.mini.texts import tokenizer
from training.mini.vision import Vision


def test_the_tower_computes_what_any_clip_loader_computes_from_its_weights():
    torch.manual_seed(1)
    words = tokenizer(Phrases([]))
    model = CLIPModel(config(words)).eval()
    vision = Vision()
    found = vision.load_state_dict(model.state_dict(), strict=False)
    assert found.missing_keys == []
    tiles = np.random.default_rng(1).integers(0, 256, (2, PIXELS, PIXELS, 3), np.uint8)
    pixels = processor(words).image_processor(list(tiles), return_tensors="pt").pixel_values
    with torch.no_grad():
        out = model.vision_model(pixel_values=pixels)
        patches = model.visual_projection(model.vision_model.post_layernorm(out.last_hidden_state[:, 1:]))
        whole = model.visual_projection(out.pooler_output)
        ours = vision(torch.from_numpy(tiles))
    torch.testing.assert_close(ours[0], normalize(whole, dim=1), atol=1e-5, rtol=0)
    torch.testing.assert_close(ours[1], normalize(patches, dim=2), atol=1e-5, rtol=0)
