"""`sorce models`."""

from __future__ import annotations

import json

import click

from sorce.models.catalogue import KNOWN, NOT_INCLUDED
from sorce.models.methods import METHODS


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def models(as_json: bool) -> None:
    """The regions methods with their parameters, and known checkpoints with their price and licence.

    Any other dual encoder of sentence-transformers (CLIP, SigLIP ...) can be named, too, by its name on the hub or as a
    folder.
    """
    methods = [
        {"method": each.name, "makes": each.summary, "regions": each.per_photo, "parameters": dict(each.parameters)}
        for each in METHODS.values()
    ]
    checkpoints = [
        {
            "model": known.name,
            "regions": name,
            "dimension": known.dimension,
            "regions_per_photo": METHODS[name].per_photo,
            "bytes_per_photo": known.bytes_per_photo(METHODS[name]),
            "licence": known.licence,
            "needs": known.needs,
        }
        for known in KNOWN
        for name in known.regions
        if name in METHODS
    ]
    if as_json:
        click.echo(json.dumps({"methods": methods, "checkpoints": checkpoints}))
        return
    click.echo("METHOD (--regions)  REGIONS  MAKES")
    for each in METHODS.values():
        click.echo(f"{each.name:<18}  {each.per_photo:>7}  {each.summary}")
        if each.parameters:
            click.echo(f"{'':<29}{', '.join(f'{name}={value}' for name, value in each.parameters.items())}")
    click.echo(f"\n{'MODEL (--model)':<40}  {'REGIONS':<9} {'NUMBERS':>7} {'KB/PHOTO':>8}  LICENCE; NEEDS")
    for row in checkpoints:
        kilobytes = f"{int(str(row['bytes_per_photo'])) / 1000:,.0f}"
        words = f"{row['licence']}; {row['needs']}"
        click.echo(f"{row['model']:<40}  {row['regions']:<9} {row['dimension']:>7} {kilobytes:>8}  {words}")
    click.echo(f"\nKB/PHOTO: vectors and graph at the method's defaults. {NOT_INCLUDED}")
