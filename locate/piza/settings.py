"""What a PIZA checkpoint says besides its weights: the sizes of the added parts, and the constants of the zoom loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any, Literal

Variant = Literal["evaluation", "demo"]
"""The two released classes.

`evaluation` uses the zoom embedding in the adapters of the image, and adds a full stop to a text that ends without one.
`demo` does not use it, removes what stands in brackets from the text, and always adds a full stop.
"""
VARIANTS: tuple[Variant, ...] = ("evaluation", "demo")

AdapterKind = Literal["adapter+", "lora"]
"""The two published ways to adapt the encoder's layers: bottlenecks before the norms, or low ranks beside the weights.

The released weights are of the first. The second needs the package peft.
"""
ADAPTERS: tuple[AdapterKind, ...] = ("adapter+", "lora")


@dataclass(frozen=True, slots=True)
class HistorySizes:
    """Sizes of the history encoder; those of the released code by default.

    `single` and `pair` are the numbers of frequencies for one number and for two, `inner` is the width inside a
    Fourier encoding, `group` its output. A box has four of these groups.
    """

    single: int = 8
    pair: int = 4
    inner: int = 32
    group: int = 8
    feed_forward: int = 2048
    out: int = 16
    hidden: int = 16


@dataclass(frozen=True, slots=True)
class PizaSettings:
    """The key `piza` in a checkpoint's config.json.

    `bottleneck` and `text_bottleneck` are the widths inside the adapters of image and text, or LoRA's ranks. The zoom
    embedding is made from `zoom_channels` sines and cosines and has `zoom_width` numbers; `demo` has none. A crop is
    resized to at most `shorter` and `longer` pixels, and its pixels of 0..255 are normalised with `mean` and `std`
    (RGB). The loop takes at most `steps` steps, and ends earlier if the probability of the end is at least `stop_at`.
    Zoom values are multiples of `zoom_step`. `adapter` says how the encoder's layers are adapted. Raises ValueError.
    """

    variant: Variant
    bottleneck: int
    text_bottleneck: int
    zoom_channels: int = 256
    zoom_width: int = 256
    history: HistorySizes = HistorySizes()
    shorter: int = 800
    longer: int = 1333
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    steps: int = 5
    stop_at: float = 0.95
    zoom_step: float = 0.05
    adapter: AdapterKind = "adapter+"

    def __post_init__(self) -> None:
        for name in ("bottleneck", "text_bottleneck", "zoom_channels", "zoom_width", "shorter", "longer", "steps"):
            if not _is_whole(value := getattr(self, name)):
                raise ValueError(f"{name} is {value!r}, not a whole number from 1")
        for name in ("mean", "std"):
            if len(value := getattr(self, name)) != 3 or not all(map(_is_finite, value)):
                raise ValueError(f"{name} is {value!r}, not three numbers")
        if not (_is_finite(self.stop_at) and self.stop_at >= 0):
            raise ValueError(f"stop_at is {self.stop_at!r}, not a number from 0")
        if not (_is_finite(self.zoom_step) and self.zoom_step > 0):
            raise ValueError(f"zoom_step is {self.zoom_step!r}, not a number above 0")

    @property
    def uses_zoom(self) -> bool:
        """Whether the adapters of the image use the zoom embedding."""
        return self.variant == "evaluation"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> PizaSettings:
        """Raises TypeError or ValueError if a value is missing, unknown, or of another form."""
        values = dict(said)
        if values.get("variant") not in VARIANTS:
            raise ValueError(f"variant is {values.get('variant')!r}, not evaluation or demo")
        if values.get("adapter", ADAPTERS[0]) not in ADAPTERS:
            raise ValueError(f"adapter is {values['adapter']!r}, not {' or '.join(ADAPTERS)}")
        for name in ("mean", "std"):
            if name in values:
                red, green, blue = map(float, values[name])
                values[name] = (red, green, blue)
        history = HistorySizes(**values.pop("history", {}))
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"unknown setting {unknown[0]!r}")
        return cls(**values, history=history)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
