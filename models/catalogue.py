"""Known checkpoints, with their size in an index and their licences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sorce.models.methods import Method

LINKS = 16  # parameter m of the index's graph
OVERHEAD = 1.1


@dataclass(frozen=True, slots=True)
class KnownCheckpoint:
    """A published checkpoint for some methods. `dimension` is that of its vectors; `needs` says what it runs on."""

    name: str
    regions: Sequence[str]
    dimension: int
    licence: str
    needs: str

    def bytes_per_photo(self, method: Method) -> int:
        """Approximate size of a photo in the index, by OpenSearch's rule for float32 vectors and their graph."""
        return round(OVERHEAD * (4 * self.dimension + 8 * LINKS) * method.per_photo)


CROPS = ("tiles", "whole", "clusters", "objects")
KNOWN: Sequence[KnownCheckpoint] = (
    KnownCheckpoint(
        "mini", ("tiles", "whole", "clusters"), 128, "Apache-2.0; drawings CC-BY and others", "comes along; any CPU"
    ),
    KnownCheckpoint("google/siglip2-base-patch16-256", CROPS, 768, "Apache-2.0", "CPU, better a GPU"),
    KnownCheckpoint("google/siglip2-so400m-patch14-384", CROPS, 1152, "Apache-2.0", "GPU"),
    KnownCheckpoint("openai/clip-vit-base-patch16", CROPS, 512, "MIT (code)", "CPU, better a GPU"),
    KnownCheckpoint("openai/clip-vit-large-patch14", CROPS, 768, "MIT (code)", "GPU"),
    KnownCheckpoint("wkcn/TinyCLIP-ViT-8M-16-Text-3M-YFCC15M", CROPS, 512, "MIT", "any CPU"),
    KnownCheckpoint(
        "google/owlv2-base-patch16-ensemble", ("objects",), 512, "Apache-2.0", "GPU; --parameter vectors=owl"
    ),
    KnownCheckpoint(
        "google/owlv2-large-patch14-ensemble", ("objects",), 768, "Apache-2.0", "GPU; --parameter vectors=owl"
    ),
    KnownCheckpoint(
        "lcxrocks/e5-v-ReP", ("prompts",), 4096, "not stated; Llama 3's for its base", "GPU for 8 B parameters"
    ),
    KnownCheckpoint(
        "royokong/e5-v", ("prompts",), 4096, "not stated; Llama 3's for its base", "GPU for 8 B parameters"
    ),
    KnownCheckpoint("Qwen/Qwen2-VL-2B-Instruct", ("prompts",), 1536, "see its card", "GPU for 2 B parameters"),
    KnownCheckpoint("Qwen/Qwen2-VL-7B-Instruct", ("prompts",), 3584, "see its card", "GPU for 7 B parameters"),
    KnownCheckpoint("fushh7/ObjEmbed-2B", ("objembed",), 2048, "Apache-2.0", "GPU for 2 B parameters, and a detector"),
    KnownCheckpoint("fushh7/ObjEmbed-4B", ("objembed",), 2560, "Apache-2.0", "GPU for 4 B parameters, and a detector"),
)

NOT_INCLUDED = (
    "Not in this sorce: WeDetect (GPL-3.0) and jina-embeddings-v4 (Qwen Research License), for their licences."
)
