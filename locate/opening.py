"""Opens a localiser by its name. Importing this is fast: torch is imported with the first localiser."""

from __future__ import annotations

from collections.abc import Callable

from sorce.errors import ModelError
from sorce.locate.piza.folders import is_released
from sorce.mappings import Localiser
from sorce.models.methods import Runtime
from sorce.models.model import TextEncoder

ZOOM = "zoom"
LoadTexts = Callable[[], TextEncoder]


def open_localiser(
    name: str = ZOOM,
    encoder: LoadTexts | None = None,
    runtime: Runtime | None = None,
    trust_remote_code: bool = False,
) -> Localiser:
    """`zoom`, a PIZA, or an open-vocabulary detector: a folder, or a name on the hub (`owner/name`).

    The saved configuration decides which of the last two it is, in a folder as on the hub. Released weights of PIZA
    are a file, or a folder with sizes.

    `encoder` gives what encodes the index's texts, and is called only for `zoom`. `runtime` is what a detector runs on.
    Raises ModelError if the localiser cannot be loaded, or the index's model is no dual encoder.
    """
    if name == ZOOM:
        if encoder is None:
            raise ModelError("zoom looks with the model of an index; name a model, or a detector as the localiser.")
        from sorce.locate.zoom import Zoom, dual_encoder

        return Zoom(dual_encoder(encoder()))
    device = (runtime or Runtime()).device
    if is_released(name):
        from sorce.locate.piza.loading import open_piza

        return open_piza(name, device)
    from sorce.locate.saved import open_saved_localiser

    return open_saved_localiser(name, device, trust_remote_code)
