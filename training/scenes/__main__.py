"""`python -m training.scenes`: renders scenes for trials, and the bundled scenes of the demo."""

from pathlib import Path

import click

from sorce.errors import SorceError
from training.mini.bank import SEEN, UNSEEN
from training.scenes.bundled import FOLDER, bundle
from training.scenes.collection import collection, write

_CREDITS = Path(__file__).parent / "credits.md"


@click.group()
def main() -> None:
    """Rendered scenes: full pictures with small things in them, all from a seed."""


@main.command()
@click.option("--seed", required=True, type=int)
@click.option("--scenes", default=300, show_default=True, type=click.IntRange(min=1))
@click.option("--queries", default=300, show_default=True, type=click.IntRange(min=1))
@click.option("--unseen", is_flag=True, help="Draw what is asked for in a style that training never saw.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new folder.")
def render(seed: int, scenes: int, queries: int, unseen: bool, out: Path) -> None:
    """Render a collection: python -m training.scenes render --seed 7 --scenes 20 --queries 40 --out scenes"""
    if out.exists():
        raise click.UsageError(f"{out} exists already: name a new folder, or remove it.")
    try:
        write(collection(seed, scenes, queries, UNSEEN if unseen else SEEN), out)
    except (SorceError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{scenes} scenes in {out}")


@main.command(name="bundle")
def render_bundle() -> None:
    """Render again the scenes of the demo, into training/scenes/bundled."""
    try:
        write(bundle(), FOLDER, quality=80)
    except SorceError as error:
        raise click.ClickException(str(error)) from error
    (FOLDER / "queries.json").unlink()
    (FOLDER / "CREDITS.md").write_bytes(_CREDITS.read_bytes())
    click.echo(f"{len(bundle())} scenes in {FOLDER}")


if __name__ == "__main__":
    main()
