"""The families of encoders that sorce knows by name: what their files do not say. A new family is one entry.

The rules for texts are those of the families' own papers and cards: with other rules the vectors would differ.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace

import torch

from sorce.errors import ModelError
from sorce.models.checkpoint import Checkpoint
from sorce.models.loading import settings_of


@dataclass(frozen=True, slots=True)
class EncoderFamily:
    """A family of encoders, by transformers' `model_type`. `since` is the first transformers with its class.

    Texts are padded to `tokens` (None: to the longest of a batch), in lower case if `lower`, and the network sees which
    tokens are padding if `masked`. `half` is the number format on a GPU. `dimensions` are the lengths that a vector may
    be cut to, since the network was trained for them (Matryoshka, arXiv 2205.13147). `auto_class` is the class of
    transformers that opens the family's own code; None if transformers itself has the family. `nested` says that the
    family's processor takes a plain list of pictures for one input with several pictures. `separate` says that texts
    and pictures have a network each, so that texts can be encoded without the other one. `outdated` says that
    checkpoints of the hub also bring code of their own, older than transformers' class, which is taken in any case.
    """

    name: str
    since: str
    tokens: int | None = None
    lower: bool = False
    masked: bool = True
    half: str = "float16"
    dimensions: Container[int] = ()
    auto_class: str | None = None
    nested: bool = False
    separate: bool = False
    outdated: bool = False

    def number_format(self, device: torch.device, half: bool = True) -> torch.dtype:
        """That of the weights on this device."""
        found: torch.dtype = getattr(torch, self.half) if half and device.type != "cpu" else torch.float32
        return found

    def trusted(self, checkpoint: Checkpoint) -> Checkpoint:
        """The checkpoint, whose own code does not run if it is outdated, whatever the user allows."""
        return replace(checkpoint, trust_remote_code=checkpoint.trust_remote_code and not self.outdated)


FAMILIES: Mapping[str, EncoderFamily] = {
    "clip": EncoderFamily("CLIP", "4.6", separate=True),
    "metaclip_2": EncoderFamily("MetaCLIP 2", "4.56", separate=True),
    "siglip": EncoderFamily("SigLIP", "4.37", tokens=64, lower=True, masked=False, separate=True),
    "siglip2": EncoderFamily("SigLIP 2 NaFlex", "4.49", tokens=64, lower=True, masked=False, separate=True),
    "tipsv2": EncoderFamily("TIPSv2", "5.14", tokens=64, lower=True, separate=True, outdated=True),
    # In float16 its vectors are not-a-number.
    "embedding_gemma2": EncoderFamily(
        "EmbeddingGemma 2", "5.19", half="bfloat16", dimensions=(512, 256, 128), nested=True
    ),
    "qwen3_vl": EncoderFamily("Qwen3-VL", "4.57", half="bfloat16", dimensions=range(64, 4096)),
    "fgclip2": EncoderFamily(
        "FG-CLIP 2", "4.57", tokens=64, lower=True, masked=False, auto_class="AutoModelForCausalLM"
    ),
}
OTHER = EncoderFamily("another family", "")


def family_of(checkpoint: Checkpoint) -> EncoderFamily:
    """The checkpoint's family. Raises ModelError if only another transformers has it."""
    import transformers

    settings = settings_of(checkpoint)
    kind, has = str(settings.get("model_type", "")), transformers.__version__
    family = FAMILIES.get(kind, OTHER)
    if kind in transformers.CONFIG_MAPPING or "auto_map" in settings or not kind:
        return family
    if family is OTHER:
        raise ModelError(
            f"model '{checkpoint.name}' is of the family '{kind}', which transformers {has} does not have; install the "
            "newest one: pip install --upgrade transformers."
        )
    raise ModelError(
        f"model '{checkpoint.name}' is of the family {family.name}, which transformers has from version {family.since} "
        f"on, and {has} is installed: pip install 'transformers>={family.since}'."
    )
