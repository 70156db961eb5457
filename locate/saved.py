"""Opens a localiser that transformers saved: its configuration says whether it is a PIZA or another detector."""

from __future__ import annotations

from dataclasses import replace

from sorce.locate.detector import DetectorLocaliser
from sorce.locate.piza.loading import is_piza, localiser_of, open_saved
from sorce.mappings import Localiser
from sorce.models.loading import pick_device
from sorce.models.objects.loading import config_of, find_detector


def open_saved_localiser(name: str, device: str, trust_remote_code: bool = False) -> Localiser:
    """The localiser of a folder, a name on the hub, or `owner/name@commit`. Raises ModelError."""
    picked = pick_device(device)
    checkpoint = replace(find_detector(name), trust_remote_code=trust_remote_code)
    config = config_of(checkpoint)
    if is_piza(config):
        return localiser_of(open_saved(checkpoint, config), picked)
    return DetectorLocaliser(checkpoint, config, picked)
