"""Opens a PIZA: a folder that `sorce locate convert` or `sorce train piza` wrote, or the released weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers import AutoTokenizer, MMGroundingDinoForObjectDetection

from sorce.errors import ModelError
from sorce.locate.piza.convert import USUAL_BASE
from sorce.locate.piza.detector import PizaDetector
from sorce.locate.piza.folders import FILES, is_released, released_sizes
from sorce.locate.piza.localiser import Piza
from sorce.locate.piza.naming import Layout, public_weights
from sorce.locate.piza.network import PizaNetwork
from sorce.locate.piza.released import Weights, read_weights, released_config, settings_of, wanted
from sorce.locate.piza.settings import Variant
from sorce.locate.untied import FAMILY, open_network, untied
from sorce.models.checkpoint import FOLDER, Checkpoint, find
from sorce.models.hub import pinned
from sorce.models.loading import REFUSALS, opening, pick_device, quiet_loading, where
from sorce.models.objects.loading import config_of, open_tokenizer

DELIMITERS = {"[CLS]": 101, "[SEP]": 102, ".": 1012, "?": 1029}
"""transformers has these numbers in its code."""


@dataclass(frozen=True, slots=True, eq=False)
class OpenedPiza:
    """A network in float32 on the CPU, its tokenizer, and the name to show."""

    network: PizaNetwork
    tokenizer: Any
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class PizaBase:
    """A detector without PIZA's parts: configuration, tokenizer, and weights by the library's own names."""

    config: Any
    tokenizer: Any
    weights: Mapping[str, Tensor]


def open_piza(name: str, device: str = "auto", base: str = USUAL_BASE, variant: Variant | None = None) -> Piza:
    """A localiser. `name` is a folder, a name on the hub, or a file of released weights, which need the `base`.

    Raises ModelError if it is no PIZA, or is unavailable or incomplete.
    """
    picked = pick_device(device)
    if is_released(name):
        return localiser_of(open_released(name, base, variant), picked)
    checkpoint = pinned(find(name))
    return localiser_of(open_saved(checkpoint, config_of(checkpoint)), picked)


def localiser_of(opened: OpenedPiza, device: torch.device) -> Piza:
    network: Any = opened.network
    return Piza(PizaDetector(network.to(device).eval(), opened.tokenizer, opened.name))


def is_piza(config: Any) -> bool:
    """Whether a configuration is that of a saved PIZA."""
    return getattr(config, "model_type", None) == FAMILY and isinstance(getattr(config, "piza", None), dict)


def open_saved(checkpoint: Checkpoint, config: Any) -> OpenedPiza:
    """`config` is the checkpoint's. Raises ModelError if it is no saved PIZA, or is incomplete."""
    if not is_piza(config):
        raise ModelError(
            f"model '{checkpoint.name}' is a {config.model_type} without the key 'piza' in its config.json; "
            "give a folder that `sorce locate convert` wrote."
        )
    tokenizer = _tokenizer(checkpoint)
    with opening(checkpoint, "weights"):
        network = _from_pretrained(checkpoint.place, **where(checkpoint))[0]
    return OpenedPiza(network, tokenizer, checkpoint.name)


def open_released(source: str, base: str = USUAL_BASE, variant: Variant | None = None) -> OpenedPiza:
    """The released weights over their base. The two are converted together: PIZA replaces norms of the base, too.

    `source` is a file such as piza_adapter.pth, or a folder with config.json (the sizes), weights and tokenizer, which
    needs no base. A `base` is a detector of transformers by name or folder, or such a folder.
    """
    folder = Path(source) if Path(source).is_dir() else Path(base)
    sizes = released_sizes(folder)
    weights = {} if sizes is None else read_weights(_weights_file(folder))
    if not Path(source).is_dir():
        weights |= read_weights(Path(source))
    try:
        settings = settings_of(weights, variant, sizes or {})
        opened = open_base(base) if sizes is None else _base_of_sizes(folder, sizes)
        opened.config.piza = settings.as_json()
        network = with_weights(opened, wanted(weights, settings.variant), source)
    except (KeyError, TypeError, ValueError, StrictDataclassError) as error:
        raise ModelError(f"'{source}' has another form than the released PIZA ({error}); get it again.") from error
    return OpenedPiza(network, opened.tokenizer, source)


def open_base(name: str) -> PizaBase:
    """A detector of transformers. Raises ModelError if it is of another family, or is unavailable or incomplete."""
    checkpoint = pinned(find(name))
    return base_of(checkpoint, config_of(checkpoint))


def base_of(checkpoint: Checkpoint, config: Any) -> PizaBase:
    """The same, of a checkpoint whose configuration is known."""
    if config.model_type != FAMILY:
        raise ModelError(f"model '{checkpoint.name}' is a {config.model_type}, and PIZA's base is a {FAMILY}.")
    tokenizer = _tokenizer(checkpoint)
    network = open_network(MMGroundingDinoForObjectDetection, checkpoint, config)
    # All heads are among these weights, also where the checkpoint holds one for all layers.
    return PizaBase(untied(config), tokenizer, network.state_dict())


def with_weights(base: PizaBase, released: Weights, source: str) -> PizaNetwork:
    """The network with the base's weights, then the released ones. Raises ModelError unless all are there, and fit."""
    config = base.config
    layout = Layout(len(config.backbone_config.out_features), config.decoder_layers)
    try:
        public = public_weights(released, layout)
    except KeyError as error:
        raise ModelError(f"'{source}' has a weight {error} that PIZA does not know; get it again.") from error
    # The library turns public names into those of its own version.
    with quiet_loading():
        try:
            network, said = _from_pretrained(None, config=config, state_dict=public)
        except REFUSALS as error:
            raise ModelError(
                f"the weights of '{source}' do not fit the base; give the base that it was trained on ({error})."
            ) from error
    if unknown := sorted(said["unexpected_keys"]):
        raise ModelError(f"'{source}' has a weight '{unknown[0]}' that the base has no place for; give its own base.")
    missing = set(said["missing_keys"])
    if lost := sorted(missing - set(base.weights)):
        raise ModelError(f"'{source}' lacks the weight '{lost[0]}'; get it again.")
    network.load_state_dict({name: base.weights[name] for name in missing}, strict=False)
    made: PizaNetwork = network
    return made


def _base_of_sizes(folder: Path, sizes: Mapping[str, Any]) -> PizaBase:
    """Only sizes and tokenizer: all weights come from the folder."""
    checkpoint, config = Checkpoint(FOLDER, str(folder), None), released_config(sizes)
    with opening(checkpoint, "tokenizer"):
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return PizaBase(config, _checked(tokenizer, checkpoint), {})


def _weights_file(folder: Path) -> Path:
    found = sorted(file for file in folder.iterdir() if file.suffix in FILES)
    if not found:
        raise ModelError(f"'{folder}' holds no weights ({', '.join(FILES)}); put them there.")
    return found[0]


def _tokenizer(checkpoint: Checkpoint) -> Any:
    return _checked(open_tokenizer(checkpoint), checkpoint)


def _checked(tokenizer: Any, checkpoint: Checkpoint) -> Any:
    known = tokenizer.get_vocab()
    for token, number in DELIMITERS.items():
        if known.get(token) != number:
            raise ModelError(
                f"the tokenizer of model '{checkpoint.name}' has number {known.get(token)} for '{token}', and the "
                f"network reads {number}; give the tokenizer of bert-base-uncased."
            )
    return tokenizer


def _from_pretrained(place: str | None, **options: Any) -> Any:
    opener: Any = PizaNetwork
    return opener.from_pretrained(place, dtype="float32", output_loading_info=True, **options)
