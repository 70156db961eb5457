"""`sorce models`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from sorce.errors import ModelError
from sorce.models.catalogue import KNOWN, NOT_INCLUDED, KnownCheckpoint, duration
from sorce.models.methods import DEFAULT_REGIONS, METHODS, Method, load_model, parse_parameters

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(invoke_without_command=True)
@as_json
@click.pass_context
def models(context: click.Context, as_json: bool) -> None:
    """The regions methods with their parameters, and known checkpoints with their price and licence.

    Any other dual encoder of transformers or sentence-transformers can be named, too, by its name on the hub or as a
    folder. Without a subcommand this is `sorce models list`.
    """
    if context.invoked_subcommand is None:
        _list(as_json)
    elif as_json:
        raise click.UsageError(f"--json goes behind the subcommand: sorce models {context.invoked_subcommand} --json.")


@models.command("list")
@as_json
def list_(as_json: bool) -> None:
    """Lists the regions methods with their parameters, and known checkpoints."""
    _list(as_json)


def _list(as_json: bool) -> None:
    if as_json:
        methods = [
            {"method": each.name, "makes": each.summary, "regions": each.per_photo, "parameters": dict(each.parameters)}
            for each in METHODS.values()
        ]
        click.echo(json.dumps({"methods": methods, "checkpoints": [_row(*each) for each in _checkpoints()]}))
        return
    click.echo("METHOD (--regions)  REGIONS  MAKES")
    for each in METHODS.values():
        click.echo(f"{each.name:<18}  {each.per_photo:>7}  {each.summary}")
        if each.parameters:
            click.echo(f"{'':<29}{', '.join(f'{name}={value}' for name, value in each.parameters.items())}")
    click.echo(
        f"\n{'MODEL (--model)':<44}  {'REGIONS':<9} {'NUMBERS':>7} {'KB/PHOTO':>8} {'GB':>5}  GOOD FOR; LICENCE; NEEDS"
    )
    for known, method in _checkpoints():
        kilobytes = f"{known.bytes_per_photo(method) / 1000:,.0f}"
        words = f"{known.good_for}; {known.licence}; {known.needs}"
        click.echo(
            f"{known.name:<44}  {method.name:<9} {known.dimension:>7} {kilobytes:>8} {known.gigabytes:>5g}  {words}"
        )
    click.echo(f"\nKB/PHOTO: in the index, at the method's defaults. GB: the model's files, about. {NOT_INCLUDED}")


def _checkpoints() -> Iterator[tuple[KnownCheckpoint, Method]]:
    return ((known, METHODS[name]) for known in KNOWN for name in known.regions if name in METHODS)


def _row(known: KnownCheckpoint, method: Method) -> dict[str, Any]:
    return {
        "model": known.name,
        "regions": method.name,
        "dimension": known.dimension,
        "regions_per_photo": method.per_photo,
        "bytes_per_photo": known.bytes_per_photo(method),
        "gigabytes": known.gigabytes,
        "licence": known.licence,
        "needs": known.needs,
        "good_for": known.good_for,
    }


@models.command()
@click.argument("name")
@click.option("--regions", type=click.Choice(sorted(METHODS)), default=DEFAULT_REGIONS, show_default=True)
@click.option(
    "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter of the regions method."
)
@click.option("--dimension", type=click.IntRange(1), help="Cut the vectors to this many numbers.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 (and so on) or mps.")
@click.option(
    "--trust-remote-code", is_flag=True, help="Let Python code that the model brings along run, with your rights."
)
@as_json
def check(name: str, regions: str, parameters: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Tries the model NAME on this machine: a name on the hub, a folder, or mini.

    It loads the model, encodes a text and drawn photos of 1600 x 1200 pixels, and says what an index would cost. The
    time for 10,000 photos is that of encoding one photo after the other. Opening files and writing are not in it.

    \b
    Examples:
      sorce models check mini
      sorce models check ./my-clip --regions clusters --json
    """
    from sorce.models.check import try_model
    from sorce.models.objects.given import SUFFIX

    chosen = parse_parameters(regions, parameters)
    if str(chosen.get("detector", "")).endswith(SUFFIX):
        raise ModelError("a file of boxes has no boxes for drawn photos; name a detector.")
    found = try_model(lambda: load_model(name, regions, chosen, **given))
    if as_json:
        click.echo(json.dumps(found.as_dict()))
        return
    facts = {
        "model": f"{name}, loaded in {found.seconds_to_load:.1f} s",
        "dimension": f"{found.dimension} numbers",
        "text": f"{1000 * found.seconds_per_text:.1f} ms",
        "photo": f"{found.seconds_per_photo:.3g} s for {found.regions_per_photo} regions ({regions})",
        "index": f"{found.bytes_per_photo / 1000:,.1f} kB per photo",
        "10,000 photos": f"{duration(found.hours)}, {found.bytes_per_photo * 10_000 / 1e9:,.2g} GB in the index",
    }
    for word, fact in facts.items():
        click.echo(f"{word:<15}{fact}")
