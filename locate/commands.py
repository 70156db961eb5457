"""`sorce locate`. Importing this is fast: torch is imported with the localiser."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from sorce.locate.opening import ZOOM
from sorce.models.methods import DEFAULT_MODEL
from sorce.terminal import printable

DONE_WITH_REJECTS = 3
"""The exit code if some photos could not be opened."""

SUBCOMMANDS = {"convert": "sorce.locate.piza.convert"}


class _WithSubcommands(click.Command):
    """A command that also has subcommands. A text that is a subcommand's name is written after `--`."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> click.Context:
        if args and args[0] in SUBCOMMANDS:
            found: click.Command = getattr(import_module(SUBCOMMANDS[args[0]]), args[0])
            return found.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        return super().invoke(ctx) if ctx.command is self else ctx.command.invoke(ctx)


@click.command(cls=_WithSubcommands)
@click.argument("text")
@click.argument("photos", nargs=-1, required=True, metavar="PHOTO...")
@click.option(
    "--localiser",
    default=ZOOM,
    show_default=True,
    metavar="zoom|NAME|FOLDER",
    help="zoom, a detector on the hub or in a folder, or a folder of PIZA.",
)
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="What zoom looks with: mini, a name, a folder.")
@click.option("--boxes", type=click.IntRange(1, 100), default=1, show_default=True, help="At most so many things.")
@click.option(
    "--min-located-score",
    "least",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Least score of each thing after the first.",
)
@click.option(
    "--save", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Draw the boxes into the photos."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@click.option("--trust-remote-code", is_flag=True, help="Let Python code that the model brings along run.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def locate(text: str, photos: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Looks at each PHOTO for what TEXT says, and gives its box and a score, without any index.

    The score is 0 to 1. That of zoom is not calibrated: it says which of two photos shows the thing better, not whether
    it is there. --boxes finds several things of a kind, and the table says how many. `sorce locate convert --help`
    tells how the released weights of PIZA become a folder for --localiser. PHOTO is a path, or a URI: that of a hit,
    or of a photo in a store, such as s3://bucket/a.jpg.

    \b
    Examples:
      sorce locate "a red umbrella" beach.jpg street.jpg --model mini --save found
      sorce locate "a bottle" shelf.jpg --boxes 50 --localiser google/owlv2-base-patch16-ensemble
    """
    from sorce.locate.photos import look_at

    looked = look_at(text, photos, given)
    if as_json:
        click.echo(json.dumps(looked.as_dict()))
    else:
        click.echo(looked.table())
    for photo in looked.rejected:
        click.echo(printable(f"{photo.path} {photo.reason}"), err=True)
    if given["save"] is not None and looked.found:
        click.echo(f"drawn: {given['save']}", err=as_json)
    if looked.rejected:
        click.get_current_context().exit(DONE_WITH_REJECTS if looked.found else 1)
