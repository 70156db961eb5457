"""`sorce completion`: the script that lets a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

VARIABLE = "_SORCE_COMPLETE"
"""Click's name for the variable by which the shell asks `sorce` for completions."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "fish", "zsh"]))
def completion(shell: str) -> None:
    """Prints the script that lets SHELL complete the commands and options of sorce.

    \b
    Examples:
      sorce completion bash >> ~/.bashrc
      sorce completion zsh >> ~/.zshrc
      sorce completion fish > ~/.config/fish/completions/sorce.fish
    """
    script = get_completion_class(shell)
    assert script is not None
    root = click.get_current_context().find_root().command
    click.echo(script(root, {}, "sorce", VARIABLE).source())
