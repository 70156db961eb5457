"""Known checkpoints, with their size in an index and their licences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sorce.models.methods import Method

NUMBER = 4
"""Bytes of a number of a vector (float32)."""
GRAPH = 50
"""Bytes of a region in the graph (m 16), as measured: 35 to 62."""
FIELDS = 80
"""Bytes of a region's other fields on the disk, as measured: 40 to 110."""
PHOTO = 100
"""Bytes of a photo's own fields on the disk."""


@dataclass(frozen=True, slots=True)
class KnownCheckpoint:
    """A published checkpoint for some methods: one row of `sorce models list` and of the documentation.

    `dimension` is that of its vectors, `gigabytes` the approximate size of its files, `needs` says what it runs on,
    `good_for` what to choose it for, and `cuts` whether it was trained to have its vectors cut.
    """

    name: str
    regions: Sequence[str]
    dimension: int
    gigabytes: float
    licence: str
    needs: str
    good_for: str
    cuts: bool = False

    def bytes_per_photo(self, method: Method) -> int:
        """Approximate size of a photo in the index."""
        return stored_bytes(self.dimension, method.per_photo)


def stored_bytes(dimension: int, regions: int) -> int:
    """The bytes of a photo in an index of float32 vectors, within a twentieth of each size that was measured."""
    return regions * (NUMBER * dimension + GRAPH + FIELDS) + PHOTO


def duration(hours: float) -> str:
    """In words."""
    if hours >= 48:
        return f"{hours / 24:,.0f} days"
    return f"{hours:,.1f} hours" if hours >= 1 else f"{hours * 60:,.0f} minutes"


CROPS = ("tiles", "whole", "clusters", "objects")
WITHOUT_CLUSTERS = ("tiles", "whole", "objects")
CPU, GPU, LARGE = "CPU, better a GPU", "GPU", "GPU of 20 GB"
KNOWN: Sequence[KnownCheckpoint] = tuple(
    KnownCheckpoint(*row)
    for row in (
        (
            "mini",
            CROPS[:3],
            128,
            0.02,
            "Apache-2.0; drawings CC-BY and others",
            "comes along; any CPU",
            "a first look without a download; drawn pictograms only",
        ),
        ("google/siglip2-base-patch16-256", CROPS, 768, 1.5, "Apache-2.0", CPU, "the default: photographs"),
        ("google/siglip2-so400m-patch14-384", CROPS, 1152, 4.5, "Apache-2.0", GPU, "photographs, more exact"),
        (
            "google/siglip2-base-patch16-naflex",
            WITHOUT_CLUSTERS,
            768,
            1.5,
            "Apache-2.0",
            CPU,
            "long and narrow regions, which it does not squash",
        ),
        (
            "google/siglip2-so400m-patch16-naflex",
            WITHOUT_CLUSTERS,
            1152,
            4.5,
            "Apache-2.0",
            GPU,
            "the same, more exact",
        ),
        ("google/tipsv2-b14", CROPS, 768, 0.8, "Apache-2.0", CPU, "clusters: its patches were trained to match texts"),
        ("google/tipsv2-l14", CROPS, 1024, 1.9, "Apache-2.0", GPU, "the same, more exact"),
        ("google/tipsv2-so400m14", CROPS, 1152, 3.4, "Apache-2.0", GPU, "the same, larger"),
        ("google/tipsv2-g14", CROPS, 1536, 6.0, "Apache-2.0", GPU, "the same, the largest"),
        (
            "google/embeddinggemma-2",
            WITHOUT_CLUSTERS,
            768,
            1.5,
            "Apache-2.0",
            GPU,
            "texts in 100 languages; shorter vectors by --dimension",
            True,
        ),
        (
            "facebook/metaclip-2-worldwide-b16",
            WITHOUT_CLUSTERS,
            512,
            2.4,
            "CC-BY-NC-4.0",
            CPU,
            "texts in 300 languages; not for commercial use",
        ),
        (
            "facebook/metaclip-2-worldwide-huge-quickgelu",
            WITHOUT_CLUSTERS,
            1024,
            7.4,
            "CC-BY-NC-4.0",
            GPU,
            "the same, more exact",
        ),
        (
            "qihoo360/fg-clip2-base",
            WITHOUT_CLUSTERS,
            768,
            1.5,
            "Apache-2.0",
            CPU + "; --trust-remote-code",
            "fine differences, in English and Chinese",
        ),
        ("openai/clip-vit-base-patch16", CROPS, 512, 0.6, "MIT (code)", CPU, "comparing with published results"),
        ("openai/clip-vit-large-patch14", CROPS, 768, 1.7, "MIT (code)", GPU, "comparing with published results"),
        ("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", CROPS, 512, 0.6, "MIT", CPU, "OpenCLIP, quick"),
        ("laion/CLIP-ViT-H-14-laion2B-s32B-b79K", CROPS, 1024, 3.9, "MIT", GPU, "OpenCLIP, exact"),
        (
            "wkcn/TinyCLIP-ViT-8M-16-Text-3M-YFCC15M",
            CROPS,
            512,
            0.1,
            "MIT",
            "any CPU",
            "photographs on a small machine",
        ),
        (
            "Qwen/Qwen3-VL-Embedding-2B",
            WITHOUT_CLUSTERS,
            2048,
            4.3,
            "Apache-2.0",
            "GPU of 8 GB",
            "long questions; shorter vectors by --dimension",
            True,
        ),
        ("Qwen/Qwen3-VL-Embedding-8B", WITHOUT_CLUSTERS, 4096, 16.3, "Apache-2.0", LARGE, "the same, more exact", True),
        (
            "google/owlv2-base-patch16-ensemble",
            ("objects",),
            512,
            0.6,
            "Apache-2.0",
            "GPU; --parameter vectors=owl",
            "boxes and vectors in one pass",
        ),
        (
            "google/owlv2-large-patch14-ensemble",
            ("objects",),
            768,
            1.7,
            "Apache-2.0",
            "GPU; --parameter vectors=owl",
            "boxes and vectors in one pass, more exact",
        ),
        (
            "lcxrocks/e5-v-ReP",
            ("prompts",),
            4096,
            16.7,
            "not stated; Llama 3's for its base",
            "GPU for 8 B parameters",
            "long captions, by regional prompts",
        ),
        (
            "royokong/e5-v",
            ("prompts",),
            4096,
            16.7,
            "not stated; Llama 3's for its base",
            "GPU for 8 B parameters",
            "comparing with e5-v-ReP",
        ),
        (
            "Qwen/Qwen2-VL-2B-Instruct",
            ("prompts",),
            1536,
            4.4,
            "see its card",
            "GPU for 2 B parameters",
            "regional prompts on a small GPU",
        ),
        (
            "Qwen/Qwen2-VL-7B-Instruct",
            ("prompts",),
            3584,
            16.6,
            "see its card",
            "GPU for 7 B parameters",
            "regional prompts, more exact",
        ),
        (
            "fushh7/ObjEmbed-2B",
            ("objembed",),
            2048,
            4.5,
            "Apache-2.0",
            "GPU for 2 B parameters, and a detector",
            "long captions of single objects",
        ),
        (
            "fushh7/ObjEmbed-4B",
            ("objembed",),
            2560,
            9.0,
            "Apache-2.0",
            "GPU for 4 B parameters, and a detector",
            "the same, more exact",
        ),
    )
)

NOT_INCLUDED = (
    "Not in this sorce: WeDetect (GPL-3.0) and jina-embeddings-v4 (Qwen Research License), for their licences."
)
