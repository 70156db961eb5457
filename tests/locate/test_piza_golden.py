"""PIZA compared with the released code: every array of the golden sets, and what breaking a rule does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from piza import BARS, deviation, kind
from piza_golden import Parts, Whole

from sorce.locate.piza import adapters, detector, naming, network, preprocessing
from tests.kit.piza import GOLDEN, PARTS, one_thread

PART_CASES, CASES = Parts(PARTS).cases, Whole.cases_of(GOLDEN)
DETECTOR_CASES = [case for case in CASES if case.startswith(("base/", "embed/", "plain/"))]


@pytest.fixture(scope="module", autouse=True)
def threads() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def whole() -> Whole:
    return Whole(GOLDEN)


def refuse_deviations(found: dict[str, Any], expected: dict[str, Any]) -> None:
    off = {name: deviation(found[name], array) for name, array in expected.items()}
    assert {name: far for name, far in off.items() if not far <= BARS[kind(name, expected[name])]} == {}


@pytest.mark.parametrize("case", PART_CASES)
def test_history_encoder_zoom_embedding_and_adapters_are_the_released_ones(case: str) -> None:
    parts = Parts(PARTS)
    expected = parts.of(case)
    assert expected
    refuse_deviations(parts.found(case), expected)


@pytest.mark.parametrize("case", CASES)
def test_every_array_is_the_released_codes(whole: Whole, case: str) -> None:
    expected = whole.of(case)
    assert expected
    refuse_deviations(whole.found(case), expected)


@pytest.mark.parametrize("number", range(len(Whole.prompts_of(GOLDEN))))
@pytest.mark.parametrize("variant", ["evaluation", "demo"])
def test_prompts_and_tokens_are_the_released_ones(whole: Whole, variant: Any, number: int) -> None:
    expected = whole.prompts[number]
    assert preprocessing.prompt(expected["expression"], variant) == expected[f"{variant}_prompt"]
    assert whole.detectors[variant].tokens(expected["expression"]).tolist() == [expected[f"{variant}_ids"]]


# What breaks a rule, and the case that shows it. Each moves boxes or scores by more than the bar of 1e-5.
class Patch:
    """Sets attributes and puts them back; pytest's own would remove parameters of a module."""

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, Any]] = []

    def setattr(self, owner: Any, name: str, value: Any) -> None:
        self._before.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    def undo(self) -> None:
        for owner, name, value in reversed(self._before):
            setattr(owner, name, value)


Break = Callable[[Whole, Patch], None]


@pytest.fixture
def patch() -> Iterator[Patch]:
    patch = Patch()
    yield patch
    patch.undo()


def of_evaluation(whole: Whole) -> Any:
    return whole.detectors["evaluation"].network


def set_data(patch: Patch, tensor: Any, value: Any) -> None:
    patch.setattr(tensor, "data", value)


def other_mean(whole: Whole, patch: Patch) -> None:
    settings = of_evaluation(whole).settings
    patch.setattr(
        of_evaluation(whole), "settings", type(settings).of(settings.as_json() | {"mean": settings.mean[::-1]})
    )


def shared_heads(whole: Whole, patch: Patch) -> None:
    first, *others = of_evaluation(whole).bbox_embed
    for other in others:
        for own, of_first in zip(other.parameters(), first.parameters(), strict=True):
            set_data(patch, own, of_first.data)


def no_bias(whole: Whole, patch: Patch) -> None:
    for head in of_evaluation(whole).class_embed:
        set_data(patch, head.bias, torch.zeros(()))


def no_text_adapters(whole: Whole, patch: Patch) -> None:
    for layer in of_evaluation(whole).adapters["text_layers"]:
        for adapter in (layer.adapter1, layer.adapter2):
            set_data(patch, adapter.scaling, torch.zeros_like(adapter.scaling))


def zoom_by(change: Callable[[torch.Tensor], torch.Tensor]) -> Break:
    def broken(whole: Whole, patch: Patch) -> None:
        embed = of_evaluation(whole).zoom_embedding.forward
        patch.setattr(of_evaluation(whole).zoom_embedding, "forward", lambda zooms: embed(change(zooms)))

    return broken


def adapters_after_the_norm(whole: Whole, patch: Patch) -> None:
    net = of_evaluation(whole)
    patch.setattr(net, "adapted", False)
    for layer, own in zip(net.model.encoder.layers, net.adapters["layers"], strict=True):
        norm = layer.deformable_layer.self_attn_layer_norm
        before = norm.forward
        patch.setattr(norm, "forward", lambda x, before=before, own=own: own.adapter1(before(x), net._embedding))


BROKEN: dict[str, tuple[str, Break]] = {
    "decoder epsilon of transformers": (
        "base_small_references",
        lambda _whole, patch: patch.setattr(network, "DECODER_EPSILON", network.LIBRARY_EPSILON),
    ),
    "position temperature 10000": (
        "base",
        lambda whole, patch: patch.setattr(
            of_evaluation(whole).model.backbone.position_embedding, "temperature", 10_000
        ),
    ),
    "contrastive bias 0": ("base", no_bias),
    "stops are no delimiters": (
        "base",
        lambda whole, patch: patch.setattr(of_evaluation(whole).model, "special_tokens", torch.tensor([101, 102])),
    ),
    "no final stop": (
        "base",
        lambda _whole, patch: patch.setattr(detector, "prompt", lambda text, _variant: text.rstrip(". ")),
    ),
    "mean in BGR order": ("base", other_mean),
    "box heads shared": ("base", shared_heads),
    "padded": (
        "base",
        lambda _whole, patch: patch.setattr(
            detector,
            "with_enough_tokens",
            lambda pixels, _levels, _queries: torch.nn.functional.pad(pixels, (0, 64, 0, 40)),
        ),
    ),
    "no embedding term": ("embed", lambda whole, patch: patch.setattr(of_evaluation(whole), "zoom_embedding", None)),
    "zoom value + 0.05": ("embed", zoom_by(lambda zooms: zooms + 0.05)),
    "zoom value x 1000": ("embed", zoom_by(lambda zooms: zooms * 1000)),
    "adapters after the norm": ("embed", adapters_after_the_norm),
    "no text adapters": ("embed", no_text_adapters),
    "tanh GELU": (
        "embed",
        lambda _whole, patch: patch.setattr(
            adapters, "gelu", lambda states: torch.nn.functional.gelu(states, approximate="tanh")
        ),
    ),
    "no SiLU": ("embed", lambda _whole, patch: patch.setattr(adapters, "silu", lambda states: states)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_breaking_a_rule_moves_the_boxes_or_scores(whole: Whole, name: str, patch: Patch) -> None:
    start, broken = BROKEN[name]
    # Of the zoom values, the last one is not 0.
    [*_, case] = (case for case in CASES if case.split("/")[0] == start)
    expected = whole.of(case)
    broken(whole, patch)
    found = whole.found(case)
    shapes = found["class_logits"].shape == expected["class_logits"].shape
    moved = [deviation(found[array], expected[array]) for array in ("pred_boxes", "top5_scores")]
    assert not shapes or max(moved) > BARS["boxes and scores"]


def test_merge_weights_of_the_image_must_be_reordered(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "QUARTERS", (0, 1, 2, 3))
    case = DETECTOR_CASES[0]
    assert deviation(Whole(GOLDEN).found(case)["pred_boxes"], whole.of(case)["pred_boxes"]) > 1e-2
