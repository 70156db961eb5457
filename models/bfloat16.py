"""Decides whether a CPU computes images in bfloat16. No other module decides this."""

from __future__ import annotations

import os

import torch

from sorce.errors import ModelError

SWITCH = "SORCE_BFLOAT16"
"""Environment variable for tests: `on`, `off`, or `auto` (the default: on if the CPU has instructions for it)."""

LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Environment variables that limit the CPU instructions of oneDNN, the library that torch computes with."""
WITHOUT_BFLOAT16 = (
    "SSE41",
    "AVX",
    "AVX2",
    "AVX2_VNNI",
    "AVX2_VNNI_2",
    "AVX512_CORE",
    "AVX512_CORE_VNNI",
)
INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")


def computes_bfloat16(device: torch.device) -> bool:
    """Whether sorce computes images in bfloat16 on this device. A CPU without instructions for it is slow at that.

    Raises ModelError if SORCE_BFLOAT16 holds another word.
    """
    switch = os.environ.get(SWITCH, "auto").strip().lower() or "auto"
    if switch not in ("on", "off", "auto"):
        raise ModelError(f"{SWITCH}='{switch}' is not understood; set it to on, off or auto.")
    if device.type != "cpu" or switch == "off":
        return False
    return switch == "on" or _has_instructions()


def _has_instructions() -> bool:
    limit = next((value for name in LIMITS if (value := os.environ.get(name))), "")
    if limit.strip().upper() in WITHOUT_BFLOAT16:
        return False
    able = torch.cpu.get_capabilities()
    return any(able.get(name) for name in INSTRUCTIONS)
