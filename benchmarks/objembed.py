"""Measures of the regions method `objembed`: agreement with the released code, array by array."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from figures import Line, at_most
from PIL import Image

from sorce.models.checkpoint import find
from sorce.models.objembed.loading import open_objembed
from sorce.models.objembed.method import read
from sorce.models.objembed.network import States
from sorce.models.objembed.preprocessing import FEWEST_TOKENS, fitted, scaled
from sorce.models.objembed.prompts import GLOBAL_TEXT, LOCAL_TEXT
from sorce.models.prompts.passes import text_states

GOLDEN = Path(__file__).parents[1] / "tests/golden/objembed-tiny"
PARITY = 1e-4
# For each case: the photo, the smallest number of tokens, and which of its boxes in which order.
CASES: Mapping[str, tuple[int, int, slice]] = {
    "small0": (0, 4, slice(None)),
    "small1": (1, 4, slice(None)),
    "full0": (0, FEWEST_TOKENS, slice(None)),
    "full1": (1, FEWEST_TOKENS, slice(None)),
    "detect1": (1, 4, slice(None)),
    "reversed0": (0, 4, slice(None, None, -1)),
    "imagequery0": (0, 4, slice(0)),
}
SCORED = ("small0", "full0")


def measures() -> Iterator[Line]:
    """The largest deviation of each array from the released code's array over all cases, in float32 on the CPU."""
    parity = Parity()
    for name in CASES:
        parity.take(name)
    parity.take_texts()
    for array, worst in parity.worst.items():
        yield at_most(f"objembed: deviation of {array}", worst, PARITY, f"{parity.cases[array]} cases")


class Parity:
    """The largest deviation of each array so far, and the number of cases in which it was compared."""

    def __init__(self) -> None:
        self.worst: dict[str, float] = defaultdict(float)
        self.cases: dict[str, int] = defaultdict(int)
        self._opened = open_objembed(find(str(GOLDEN)), torch.device("cpu"))
        self._inputs, self._expected = np.load(GOLDEN / "inputs.npz"), np.load(GOLDEN / "expected.npz")
        self._prompts = json.loads((GOLDEN / "prompts.json").read_text())["prompts"]
        self._states: dict[str, States] = {}
        self._between: dict[str, Any] = {}
        self._listen()

    def take(self, name: str) -> None:
        """Compares all arrays of one photo."""
        photo, fewest, order = CASES[name]
        picture, boxes = Image.fromarray(self._inputs[f"image{photo}"]), self._inputs[f"boxes{photo}"][order].copy()
        view = fitted(picture, self._opened.network.model.token_side, fewest)
        states = read(self._opened, self._prompts[name][0], view, scaled(boxes, *picture.size, view))
        self._states[name] = states
        self._compare(name, "object_embeddings", states.objects)
        self._compare(name, "iou_logits", states.iou_logits)
        self._compare(name, "global_embeddings", states.globals[None])
        for array, found in self._between_arrays(name).items():
            if f"{name}/{array}" in self._expected:
                self._compare(name, array, found)

    def take_texts(self) -> None:
        """Compares the texts, and the scores of photos for them."""
        unit = torch.nn.functional.normalize
        network, texts = self._opened.network, {}
        for kind, token in (("text_local", LOCAL_TEXT), ("text_global", GLOBAL_TEXT)):
            end = self._opened.tokenizer.get_vocab()[token]
            rows = [self._opened.tokenizer(prompt)["input_ids"] for prompt in self._prompts[kind]]
            states = text_states(network.model, [row[: row.index(end) + 1] for row in rows])
            self._compare(kind, "embeddings", states, kind)
            self._compare(kind, "embeddings_batched", states, kind)
            texts[kind] = unit(states)
        matching = network.matching()
        image_scale, image_bias = network.logit_image_log_scale.exp().item(), network.logit_image_bias.item()
        for name in SCORED:
            seen, case = self._states[name], f"score/{name}"
            logits = matching["scale"] * texts["text_local"] @ unit(seen.objects).T + matching["bias"]
            whole = image_scale * texts["text_global"] @ unit(seen.globals).T + image_bias
            self._compare(case, "local_logits", logits)
            self._compare(case, "retrieval_max_sigmoid", logits.sigmoid().amax(1))
            self._compare(case, "rec_sigmoid_times_iou", logits.sigmoid() * seen.iou_logits.sigmoid())
            self._compare(case, "image_logits", whole)

    def _compare(self, case: str, array: str, found: Any, prefix: str = "") -> None:
        expected = self._expected[f"{case}/{array}"]
        if tuple(found.shape) != expected.shape:
            raise ValueError(f"{case}/{array} has shape {tuple(found.shape)}, not {expected.shape}")
        name = f"{prefix} {array}".strip()
        deviation = float(np.abs(np.asarray(found) - expected).max(initial=0))
        # Written this way, a NaN is kept.
        self.worst[name] = deviation if not deviation <= self.worst[name] else self.worst[name]
        self.cases[name] += 1

    def _listen(self) -> None:
        """Keeps the outputs of the network's parts."""
        network = self._opened.network.model
        for name, part in {
            "visual": network.visual,
            "merged": network.merge,
            "roi": network.object_vision_projector,
            "box": network.object_pos_projector,
            "image": network.image_pos_projector,
            "language": network.language_model,
        }.items():
            part.register_forward_hook(lambda _part, _given, output, name=name: self._keep(name, output))
        network.language_model.register_forward_pre_hook(
            lambda _part, _positional, given: self._keep("given", given), with_kwargs=True
        )

    def _keep(self, name: str, value: Any) -> None:
        self._between[name] = value

    def _between_arrays(self, name: str) -> Mapping[str, Any]:
        """The intermediate arrays, by the names of the fixture."""
        between, ids = self._between, torch.from_numpy(self._expected[f"{name}/input_ids"][0])
        images = ids == self._opened.config.image_token_id
        objects = ids == self._opened.tokenizer.get_vocab()["<object>"]
        [final], deepstack = between["visual"].pooler_output, [each for [each] in between["visual"].deepstack_features]
        embeds = between["given"]["inputs_embeds"][0]
        return {
            "position_ids": between["given"]["position_ids"],
            "vision_final_first4": final[:4],
            "vision_final_mean": final.mean(0),
            "deepstack_m1_first4": deepstack[-1][:4],
            "deepstack_m2_first4": deepstack[-2][:4],
            "roi_merged_mean": between["merged"].flatten(1, 2).mean(1),
            "roi_vector": between["roi"],
            "box_position_vector": between["box"],
            "image_position_first8": between["image"][:8],
            "inputs_embeds_at_objects": embeds[objects],
            "inputs_embeds_at_image_first8": embeds[images][:8],
            "last_hidden_first4": between["language"].last_hidden_state[0, :4],
        }


if __name__ == "__main__":
    for line in measures():
        sys.stdout.write(f"{line}\n")
