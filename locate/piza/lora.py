"""PIZA-LoRA (arXiv 2510.03701): W x + B (A x + C e) in place of Adapter+, with A and B by PEFT.

e is the zoom embedding, and C takes it to the rank. The paper's rank is 16. The list of adapted layers is not published
in a form that we have. Here they are the linear layers that both kinds of encoder layer have in attention and
feed-forward.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor, nn

from sorce.errors import ModelError

RANK = 16
NAME = "piza"
IMAGE = r"deformable_layer\.(self_attn\.(value_proj|output_proj)|fc1|fc2)"
TEXT = r"text_enhancer_layer\.(self_attn\.(query|key|value|out_proj)|fc1|fc2)"
PLACE = r"model\.encoder\.layers\."
TARGETS = rf"\d+\.({IMAGE}|{TEXT})"
"""The names of the adapted layers among the encoder's layers."""
OWN = f".lora_A.{NAME}.", f".lora_B.{NAME}."
"""What stands in the names of the weights that LoRA adds."""


class LowRank:
    """The adapted layers among the `layers` of an encoder.

    `terms` has the matrices C, one for each layer of the image, without bias.
    """

    def __init__(self, layers: nn.Module, ranks: tuple[int, int], zoom_width: int | None) -> None:
        """Changes the layers. `ranks` are those of image and text. Raises ModelError if PEFT is not installed."""
        of_image, of_text = ranks
        try:
            from peft import LoraConfig, inject_adapter_in_model
        except ImportError as error:
            raise ModelError("LoRA needs the package peft; install it with `pip install 'sorce[train]'`.") from error
        # With alpha equal to the rank, B A x is added as it is.
        pattern = {TEXT: of_text}
        config = LoraConfig(
            r=of_image, lora_alpha=of_image, rank_pattern=pattern, alpha_pattern=pattern, target_modules=TARGETS
        )
        inject_adapter_in_model(config, layers, NAME)
        adapted = {name: own for name, own in layers.named_modules() if re.fullmatch(TARGETS, name)}
        self.layers: list[Any] = list(adapted.values())
        self.of_image: list[Any] = [own for name, own in adapted.items() if "deformable_layer" in name]
        terms = [] if zoom_width is None else [nn.Linear(zoom_width, of_image, bias=False) for _ in self.of_image]
        self.terms = nn.ModuleList(terms)

    def listen(self, embedding: Any) -> None:
        """Adds C e to A x. `embedding()` gives e, (1, zoom width), or None for no term."""
        for layer, term in zip(self.of_image, self.terms, strict=False):

            def add(_down: nn.Module, _given: Any, output: Tensor, term: nn.Module = term) -> Tensor | None:
                zoom = embedding()
                return None if zoom is None else output + cast(Tensor, term(zoom))[:, None]

            layer.lora_A[NAME].register_forward_hook(add)

    def start(self) -> None:
        """B is zero, so that nothing changes at first. transformers gives all linear layers random weights."""
        for layer in self.layers:
            layer.reset_lora_parameters(NAME, True)

    def switch(self, *, is_on: bool) -> None:
        for layer in self.layers:
            layer.enable_adapters(is_on)


def names_in(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a base by the names that they have in a network with LoRA."""
    place = re.compile(rf"(?P<layer>{PLACE}{TARGETS})\.(?P<kind>weight|bias)")
    return {place.sub(r"\g<layer>.base_layer.\g<kind>", name): own for name, own in weights.items()}
