"""`sorce locate convert`: the released weights of PIZA as a folder that sorce and transformers read."""

from __future__ import annotations

from pathlib import Path

import click

from sorce.errors import ModelError
from sorce.locate.piza.folders import is_released
from sorce.locate.piza.settings import VARIANTS, Variant

USUAL_BASE = "openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg_grit_v3det"
"""The base that the released adapters were trained on."""


@click.command()
@click.argument("weights", type=click.Path(exists=True))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--base", default=USUAL_BASE, show_default=True, metavar="NAME", help="PizaDetector that was adapted.")
@click.option(
    "--variant",
    type=click.Choice(VARIANTS),
    help="Whether the zoom value reaches the adapters (evaluation) or not (demo). By default, as the weights say.",
)
def convert(weights: str, folder: Path, base: str, variant: Variant | None) -> None:
    """Convert the released WEIGHTS of PIZA, and write them to FOLDER, a localiser for `--localiser FOLDER`.

    WEIGHTS is piza_adapter.pth of mmaiLab/sorec. Nothing but weights is read from it. FOLDER then has the whole
    detector: config.json, model.safetensors and the tokenizer.

    \b
        sorce locate convert piza_adapter.pth piza
        sorce locate "a red bicycle" street.jpg --localiser piza
    """
    if not is_released(weights):
        raise ModelError(f"'{weights}' holds no released weights (.pth, .safetensors); name piza_adapter.pth.")
    if folder.exists() and any(folder.iterdir()):
        raise ModelError(f"'{folder}' is not empty; name a new folder.")
    from sorce.locate.piza.loading import open_released
    from sorce.locate.piza.saving import save

    opened = open_released(weights, base, variant)
    save(opened.network, opened.tokenizer, folder)
    settings = opened.network.settings
    click.echo(
        f"{folder}: variant {settings.variant}, adapters of {settings.bottleneck} and {settings.text_bottleneck}"
    )
