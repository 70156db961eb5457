"""An image by itself has the vector of its region 0 as a photo, by each part of a model that is loaded."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from sorce.mappings import Picture
from sorce.models import load_encoder, load_model


@pytest.mark.parametrize("regions", ["whole", "tiles", "clusters"])
def test_an_image_is_region_0_of_itself(regions: str) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (90, 120, 3), np.uint8)
    image = Image.fromarray(noise)
    model = load_model("mini", regions, {"max_regions": 3} if regions == "tiles" else {})
    [[whole, *_]] = model.embed_photos([Picture(image)])
    # In bfloat16 a vector depends a little on its batch.
    for encoder in (model, load_encoder(model.recipe)):
        assert encoder.embed_images([image])[0] @ whole.vec > 0.9999
