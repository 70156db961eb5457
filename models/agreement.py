"""Whether a model encodes texts as it did when an index was made."""

from __future__ import annotations

from sorce.errors import ModelError
from sorce.mappings import probe
from sorce.mappings.found import FoundIndex
from sorce.models.model import TextEncoder

SAME = 0.98
"""The least cosine of a text's vectors by one model on two machines, whatever their number formats."""


def refuse_other_vectors_of(model: TextEncoder, index: FoundIndex) -> None:
    """Raises ModelError if the model gives another vector for the index's probe than the index holds, if it holds one.

    Equal weights are not enough for equal vectors: a checkpoint may bring Python code, which runs only where a user
    allows it, and libraries change.
    """
    if index.probe is None:
        return
    cosine = float(model.embed_texts([probe.TEXT])[0] @ index.probe)
    if not cosine > SAME:
        raise ModelError(
            f"model '{index.recipe.model}' encodes texts differently here than when index '{index.asked}' was made "
            f"(cosine {cosine:.3f}); install the versions of sorce and transformers of the first ingest, and say "
            "--trust-remote-code (in Python trust_remote_code=True) if it did."
        )
