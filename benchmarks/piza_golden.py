"""The golden arrays of PIZA, and the same arrays by sorce's own code: for the measures and the tests."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from piza_passes import Arrays, Between
from safetensors.torch import load_file
from torch import Tensor

from sorce.locate.piza.adapters import Adapter, ZoomEmbedding
from sorce.locate.piza.detector import PizaDetector
from sorce.locate.piza.history import HistoryEncoder, padded_features, rounded
from sorce.locate.piza.loading import open_released
from sorce.locate.piza.loop import zoom_in
from sorce.locate.piza.network import PizaNetwork
from sorce.locate.piza.preprocessing import normalised_pixels, resized, resized_size
from sorce.locate.piza.released import history_sizes

SMALLER = torch.tensor([0, 0, -6, -6])
"""What the cases `base_small_references` add to a bias."""
TOP = 5


class Files:
    """Inputs and outputs of the released code. A case is the part of an array's name before the last slash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inputs, self._expected = _arrays(folder / "inputs.npz"), _arrays(folder / "expected.npz")
        self.cases = self.cases_of(folder)

    @staticmethod
    def cases_of(folder: Path) -> list[str]:
        return list(dict.fromkeys(name.rpartition("/")[0] for name in _arrays(folder / "expected.npz")))

    def of(self, case: str) -> Arrays:
        return {
            name.rpartition("/")[2]: self._expected[name] for name in self._expected if name.rpartition("/")[0] == case
        }

    def histories(self) -> list[list[list[float]]]:
        names = [name for name in self.inputs if name.startswith("history")]
        return [self.inputs[name].tolist() for name in sorted(names, key=lambda name: int(name[len("history") :]))]


class Parts(Files):
    """History encoder, zoom embedding and adapters, each alone (`piza-tiny`)."""

    @torch.inference_mode()
    def found(self, case: str) -> Arrays:
        if case:
            raise ValueError(f"'{case}' is no case of the parts")
        weights, histories = load_file(self.folder / "model.safetensors"), self.histories()
        unused = "box_encoder.transformer_layer."
        own = {name: weight for name, weight in _under("bbox2eos_zoom_model.", weights).items() if unused not in name}
        encoder = HistoryEncoder(history_sizes(weights)).eval()
        encoder.load_state_dict(own)
        dense = _under("zoom_embedding.temb.", weights)
        embedding = ZoomEmbedding(*dense["dense.0.weight"].T.shape)
        embedding.load_state_dict(dense)
        features, padding = padded_features(histories)
        said = encoder(histories)
        zooms = embedding(rounded(said.zoom, 0.05))
        states = torch.from_numpy(self.inputs["hidden_states"])
        return {
            "eos_probability": said.stop,
            "progress_raw": said.zoom,
            "progress_rounded": rounded(said.zoom, 0.05),
            "eos_at_0.95": said.stop >= 0.95,
            "history_embedding": said.embedding,
            "history_embedding_one_by_one": torch.cat([encoder([history]).embedding for history in histories]),
            "box_features": features,
            "padding_mask": padding,
            "fourier_tokens": encoder.box_encoder.tokens(features),
            "zoom_embedding": zooms,
            "zoom_embedding_of_0_0.5_1": embedding(torch.tensor([0.0, 0.5, 1.0])),
            "adapter_embed": _adapter(_under("adapter_embed.", weights))(states, zooms),
            "adapter_plain": _adapter(_under("adapter_plain.", weights))(states),
        }


def _arrays(file: Path) -> Arrays:
    with np.load(file) as stored:
        return dict(stored)


def _under(start: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(start): weight for name, weight in weights.items() if name.startswith(start)}


def _adapter(weights: Mapping[str, Tensor]) -> Adapter:
    bottleneck, width = weights["linear_down.weight"].shape
    zoom = weights["emb_proj.weight"].shape[1] if "emb_proj.weight" in weights else None
    adapter = Adapter(width, bottleneck, zoom)
    adapter.load_state_dict(weights)
    return adapter


def _evaluating(network: Any) -> PizaNetwork:
    evaluating: PizaNetwork = network.eval()
    return evaluating


class Whole(Files):
    """The detector and its loop (`piza-detector-tiny`)."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.prompts = self.prompts_of(folder)
        opened = {variant: open_released(str(folder), variant=variant) for variant in ("evaluation", "demo")}
        self.detectors = {
            name: PizaDetector(_evaluating(one.network), one.tokenizer, name) for name, one in opened.items()
        }

    @staticmethod
    def prompts_of(folder: Path) -> Any:
        return json.loads((folder / "prompts.json").read_text(encoding="utf-8"))

    def photo(self, number: str) -> Image.Image:
        return Image.fromarray(self.inputs[f"image{number}"])

    def found(self, case: str) -> Arrays:
        name = case.partition("/")[0]
        if size := re.fullmatch(r"base_(\d+)x(\d+)", name):
            return self._base_at(case, int(size[1]), int(size[2]))
        return {
            "base": self._base,
            "base_small_references": self._small_references,
            "embed": self._embed,
            "plain": self._plain,
            "loop_embed": lambda case: self._loop("evaluation", case),
            "loop_plain": lambda case: self._loop("demo", case),
            "history": self._history,
            "preprocess": self._preprocess,
            "resize_rule": self._resize_rule,
        }[name](case)

    def _base(self, case: str) -> Arrays:
        network = self.detectors["evaluation"].network
        network.adapted = False
        try:
            return self._step("evaluation", case, case.partition("/")[2], None)
        finally:
            network.adapted = True

    def _small_references(self, case: str) -> Arrays:
        bias = self.detectors["evaluation"].network.model.encoder_output_bbox_embed.layers[-1].bias.data
        before = bias.clone()
        bias += SMALLER
        try:
            return self._base(case)
        finally:
            bias.copy_(before)

    def _base_at(self, case: str, shorter: int, longer: int) -> Arrays:
        network = self.detectors["evaluation"].network
        before, network.settings = network.settings, replace(network.settings, shorter=shorter, longer=longer)
        try:
            return self._base(case)
        finally:
            network.settings = before

    def _embed(self, case: str) -> Arrays:
        number, _, zoom = case.partition("/")[2].partition("_t")
        return self._step("evaluation", case, number, torch.from_numpy(self.inputs["t"])[[int(zoom)]])

    def _plain(self, case: str) -> Arrays:
        return self._step("demo", case, case.partition("/")[2], torch.tensor([0.5]))

    def _step(self, variant: str, case: str, number: str, zoom: Tensor | None) -> Arrays:
        detector = self.detectors[variant]
        rows = self._expected.get(f"{case}/token_rows")
        with Between(detector.network, rows) as between:
            tokens = detector.tokens(self.prompts[int(number)]["expression"])
            found = detector.detect(self.photo(number), tokens, zoom)
        return between.arrays | {"top5_boxes": found.boxes[:TOP], "top5_scores": found.scores[:TOP]}

    def _loop(self, variant: str, case: str) -> Arrays:
        number = case.partition("/")[2]
        detector, photo = self.detectors[variant], self.photo(number)
        passes: list[Arrays] = []
        with Between(detector.network, None) as between:
            between.after = lambda: passes.append(dict(between.arrays))
            trace = zoom_in(detector, photo, self.prompts[int(number)]["expression"])
        views = [resized(photo.crop(step.crop), detector.settings) for step in trace.steps]
        crops = [(x2 - x1, y2 - y1) for x1, y1, x2, y2 in (step.crop for step in trace.steps)]
        sizes = [resized_size(*size, detector.settings) for size in crops]
        return {
            "history": trace.history,
            "eos_probability": trace.stops,
            "z_raw": trace.zooms,
            "z": rounded(torch.tensor(trace.zooms), detector.settings.zoom_step),
            "crop": [step.crop for step in trace.steps],
            "resized_size": sizes,
            "scale_factor": np.array(sizes) / np.array(crops),
            "resized_mean": [view.mean((0, 1)) for view in views],
            "resized_corner": [view[:3, :3] for view in views],
            "top5_boxes": [step.found.boxes[:TOP] for step in trace.steps],
            "top5_scores": [step.found.scores[:TOP] for step in trace.steps],
            "topk_rows": [one["topk_rows"] for one in passes],
            "class_logits": [one["class_logits"][-1] for one in passes],
            "final_box_xyxy": trace.steps[-1].found.boxes[0],
        }

    def _history(self, _case: str) -> Arrays:
        network = self.detectors["evaluation"].network
        assert network.zoom_embedding is not None
        with torch.inference_mode():
            said = network.history_encoder(self.histories())
            embedded = network.zoom_embedding(torch.from_numpy(self.inputs["t"]))
        return {
            "eos_probability": said.stop,
            "z_raw": said.zoom,
            "z": rounded(said.zoom, network.settings.zoom_step),
            "stop": said.stop >= network.settings.stop_at,
            "embedding": said.embedding,
            "zoom_embedding_of_t": embedded,
        }

    def _preprocess(self, case: str) -> Arrays:
        """Names such as `0_resized`, or with a resize rule `2_800x1333_mean`."""
        found, settings = {}, self.detectors["demo"].settings
        for name in self.of(case):
            parts = re.fullmatch(r"(\d+)_(?:(\d+)x(\d+)_)?(.+)", name)
            assert parts is not None, name
            rule = replace(settings, shorter=int(parts[2]), longer=int(parts[3])) if parts[2] else settings
            photo = self.photo(parts[1])
            view = resized(photo, rule)
            pixels = normalised_pixels(view, rule)[0]
            of_view = {
                "resized": view,
                "scale_factor": np.array(view.shape[1::-1]) / np.array(photo.size),
                "pixels_corner": pixels[:, :4, :4],
                "pixels_mean": pixels.mean((1, 2)),
                "mean": view.mean((0, 1)),
            }
            every = parts[4].removeprefix("every")
            found[name] = view[:: int(every), :: int(every)] if every.isdigit() else of_view[parts[4]]
        return found

    def _resize_rule(self, case: str) -> Arrays:
        expected, settings = self.of(case), self.detectors["demo"].settings
        sizes = expected["size_in"].tolist()
        found: Arrays = {"size_in": sizes}
        for name in expected:
            if rule := re.fullmatch(r"size_out_(\d+)x(\d+)", name):
                own = replace(settings, shorter=int(rule[1]), longer=int(rule[2]))
                found[name] = [resized_size(width, height, own) for width, height in sizes]
        return found
