"""`sorce train`: trains a localiser."""

from __future__ import annotations

import json
from pathlib import Path

import click

from sorce.errors import ModelError
from sorce.locate.piza.convert import USUAL_BASE
from sorce.locate.piza.settings import ADAPTERS
from sorce.locate.piza.training.trajectories import USUAL_SHARE

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group()
def train() -> None:
    """Train a localiser from box annotations in files."""


@train.command()
@click.argument("labels", type=FILE)
@click.argument("photos", type=FOLDER)
@click.argument("out", type=FOLDER)
@click.option("--base", default=USUAL_BASE, show_default=True, metavar="NAME", help="Detector to adapt, or a PIZA.")
@click.option("--steps", default=5000, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--train-base", default=0, metavar="STEPS", type=click.IntRange(min=0), help="First train all of the base."
)
@click.option("--batch", default=4, show_default=True, type=click.IntRange(min=1), help="Photos in a step.")
@click.option("--rate", default=2e-4, show_default=True, type=click.FloatRange(min=0, min_open=True))
@click.option("--adapter", type=click.Choice(ADAPTERS), help="How layers are adapted.  [default: adapter+]")
@click.option(
    "--bottleneck", type=click.IntRange(min=1), help="Width in the adapters, 256, or LoRA's rank, 16, by default."
)
@click.option("--longest", type=click.IntRange(min=32), help="Longest side of a crop; 1333, or as in the PIZA.")
@click.option("--looks", type=click.IntRange(min=1), help="Looks at a photo, at most; 5, or as in the PIZA.")
@click.option(
    "--share",
    default=USUAL_SHARE,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Area of each box as a share of the crop before it; a small network needs a larger one.",
)
@click.option(
    "--held-out", default=200, show_default=True, type=click.IntRange(min=0), help="Expressions to measure on."
)
@click.option("--every", default=500, show_default=True, type=click.IntRange(min=1), help="Steps between checkpoints.")
@click.option(
    "--processes",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="On a CPU: processes that share the photos of a step.",
)
@click.option("--seed", default=0, show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def piza(labels: Path, photos: Path, out: Path, as_json: bool, **options: object) -> None:
    """Train PIZA on LABELS and the folder PHOTOS, and write it to OUT, for `--localiser OUT`.

    LABELS is SOREC's JSON (image, bbox, ref), or COCO's; there a category's name is the expression where a photo shows
    one such thing. The adapters, the base's norms and the history encoder learn; with --train-base all of the base
    learns first. A run that was stopped goes on from its last checkpoint in OUT. `--adapter lora` trains low ranks
    beside the weights instead; it needs the extra `train`.

    \b
        sorce train piza train.json photos trained --steps 5000
        sorce train piza train.json photos trained-lora --adapter lora
    """
    from sorce.locate.piza.training.learning import CHECKPOINT
    from sorce.locate.piza.training.training import trained

    # With a checkpoint, a run was stopped while it wrote its result.
    if (out / "config.json").exists() and not (out / CHECKPOINT).exists():
        raise ModelError(f"'{out}' already holds a model; name a new folder.")
    result = trained(labels, photos, out, options)
    if as_json:
        click.echo(json.dumps({"loss": result.loss, "acc50": result.acc50, "held_out": result.held_out}))
    else:
        measured = "not measured" if result.acc50 is None else f"{result.acc50:.3f} on {result.held_out} expressions"
        loss = "not measured" if result.loss is None else f"{result.loss:.3f}"
        click.echo(f"{out}: loss {loss}, Acc50 {measured}")
