"""Tiny checkpoints of each family, made once per run."""

import numpy as np
import pytest
from PIL import Image

from sorce.models.checkpoint import find
from sorce.models.encoder import Encoder
from tests.kit import tiny

FAMILIES = {"clip": tiny.clip, "siglip": tiny.siglip, "siglip2": tiny.siglip2}


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """The folder of each family's checkpoint."""
    return {name: make(tmp_path_factory.mktemp(name)) for name, make in FAMILIES.items()}


@pytest.fixture(scope="session")
def encoders(checkpoints):
    """Each family's encoder, on the CPU."""
    return {name: Encoder(find(str(folder)), "cpu", half=False) for name, folder in checkpoints.items()}


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture
def encoder(encoders, family):
    return encoders[family]


@pytest.fixture(scope="session")
def photo():
    """320 x 200 pixels: smooth colours, noise, and a bar at the left edge that a centre crop would lose."""
    rng = np.random.default_rng(0)
    down, across = np.mgrid[0:200, 0:320]
    pixels = np.stack([across * 255 / 319, down * 255 / 199, 255 - across * 255 / 319], axis=-1)
    pixels = pixels + rng.normal(scale=20, size=pixels.shape)
    pixels[:, :20] = (255, 0, 0)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
