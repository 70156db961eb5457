"""The `sorce` command: all commands of the rooms, and how errors and exit codes reach the user."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from errno import EIO, ENOSPC, EPIPE
from functools import wraps
from importlib import import_module
from io import TextIOWrapper
from types import FrameType
from typing import Any, NoReturn

import click

from sorce.errors import SorceError
from sorce.terminal import printable


@dataclass(frozen=True, slots=True)
class CommandPlace:
    """The module of a command, and the first sentence of its help: `sorce --help` needs no other import."""

    module: str
    summary: str


COMMANDS = {
    "completion": CommandPlace(
        "sorce.completion", "Prints the script that lets SHELL complete the commands and options of sorce."
    ),
    "dashboards": CommandPlace(
        "sorce.dashboards.commands",
        "Saved objects for OpenSearch Dashboards: photos by a question, and the log of runs.",
    ),
    "delete": CommandPlace("sorce.commands", "Deletes photos from an index, after it said how many."),
    "engine": CommandPlace("sorce.engine.commands", "A local OpenSearch, for the demo, the tests and a first look."),
    "evaluate": CommandPlace(
        "sorce.evaluate.commands",
        "Measure how well photos and boxes are found, by a published protocol, for one or several recipes side by "
        "side.",
    ),
    "index": CommandPlace("sorce.commands", "Lists, describes and deletes the indices that sorce made."),
    "ingest": CommandPlace(
        "sorce.ingest.commands",
        "Bring photos into an index: files, folders with all below them, or - for a list of paths on stdin.",
    ),
    "locate": CommandPlace(
        "sorce.locate.commands",
        "Looks at each PHOTO for what TEXT says, and gives its box and a score, without any index.",
    ),
    "models": CommandPlace(
        "sorce.models.commands",
        "The regions methods with their parameters, and known checkpoints with their price and licence.",
    ),
    "plan": CommandPlace(
        "sorce.planning", "How large an index of so many photos becomes, and what cluster and time it needs."
    ),
    "plugin": CommandPlace("sorce.plugin.cluster.commands", "Lets the cluster itself encode the texts of searches."),
    "search": CommandPlace(
        "sorce.plugin.query.commands", "Finds photos that show what TEXT says, or that look like an example, and where."
    ),
    "serve": CommandPlace(
        "sorce.plugin.service.commands", "Encodes texts over HTTP, in the OpenAI form (POST /v1/embeddings)."
    ),
    "train": CommandPlace("sorce.locate.piza.training.commands", "Train a localiser from box annotations in files."),
}


HELP = ["-h", "--help"]
NEWLINE = "\n"
VERBOSE = "verbose"


class LazyCommands(click.Group):
    """Imports a command only when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        return command(cmd_name) if cmd_name in COMMANDS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from difflib import get_close_matches

        close = get_close_matches(args[0], COMMANDS, 1)
        if close and args[0] not in COMMANDS and not ctx.resilient_parsing:
            ctx.fail(f"there is no command '{args[0]}'; write '{close[0]}'.")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        # Click would import every command to ask for its first sentence.
        room, listed = formatter.width - 6 - max(map(len, COMMANDS)), sorted(COMMANDS.items())
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, click.Command(name, help=place.summary).get_short_help_str(room)) for name, place in listed]
            )


@click.group(cls=LazyCommands, context_settings={"help_option_names": HELP})
@click.version_option(package_name="sorce")
def sorce() -> None:
    """Find small objects in cluttered photos from a text, with OpenSearch.

    Every option of a command can also come from the environment: `sorce search --size` is SORCE_SEARCH_SIZE.
    If an option may be repeated, each line of the variable is a value.
    """


def command(name: str) -> click.Command:
    found: click.Command = getattr(import_module(COMMANDS[name].module), name)
    _complete(found, f"SORCE_{name}".upper())
    return found


def _complete(command: click.Command, prefix: str) -> None:
    """Gives a command and its subcommands `-v`, and each option its variable in the environment."""
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            _complete(each, f"{prefix}_{name.upper()}")
        return
    if any(each.name == VERBOSE for each in command.params):
        return
    command.params.append(
        click.Option(
            ["-v", "--verbose", VERBOSE],
            count=True,
            help="Say on standard error what is done; -vv says more.",
        )
    )
    for option in command.params:
        if isinstance(option, click.Option):
            _add_variable(option, prefix)
    if command.callback is not None:
        command.callback = _logged(command.callback)


class OnePerLine(click.types.StringParamType):
    """Texts of a repeated option: in the environment a value is a line, as it may hold spaces."""

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        return [line for line in rv.splitlines() if line.strip()]


def _add_variable(option: click.Option, prefix: str) -> None:
    """Lets an option come from the environment; a variable that it has already stays beside the new one."""
    longest = max(option.opts, key=len)
    name = f"{prefix}_{longest.lstrip('-').replace('-', '_').upper()}"
    option.envvar = name if option.envvar is None else [name, *_several(option.envvar)]
    if option.multiple and option.type is click.STRING:
        option.type = OnePerLine()


def _several(names: str | Sequence[str]) -> Sequence[str]:
    return [names] if isinstance(names, str) else names


def _logged(callback: Callable[..., Any]) -> Callable[..., Any]:
    """The callback of a command, which shows the log at the terminal only while it runs.

    Not as a resource of click's context: click leaves that open when the command's options are wrong.
    """

    @wraps(callback)
    def run(*values: Any, **options: Any) -> Any:
        from sorce.logs import LEVELS, terminal_log

        with terminal_log(level=LEVELS[min(options.pop(VERBOSE), len(LEVELS) - 1)]):
            return callback(*values, **options)

    return run


def main() -> NoReturn:
    run(sorce, "sorce")


def ingest() -> NoReturn:
    run(command("ingest"), "sorce-ingest")


def run(what: click.Command, name: str) -> NoReturn:
    """Runs a command and exits: 0 done, 1 failed, 2 wrong usage, 3 done with rejects, 130 interrupted."""
    _open_closed_streams()
    _prepare_streams()
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = what.main(prog_name=name, standalone_mode=False, help_option_names=HELP)
        sys.stdout.flush()
    except SorceError as error:
        # A message may quote what an index, a file name or another server says.
        _say(f"{name}: {printable(str(error), keep=NEWLINE)}")
        sys.exit(1)
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        _say(f"{name}: interrupted.")
        sys.exit(130)
    except OSError as error:
        _exit_without_output(name, error)
    sys.exit(code if isinstance(code, int) else 0)


def _say(sentence: str) -> None:
    """On standard error, if it takes the sentence: the exit code says the rest."""
    with suppress(OSError):
        click.echo(sentence, err=True)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001
    """SIGTERM ends a command as Ctrl-C does: it takes away what it made, such as the index of an evaluation."""
    raise KeyboardInterrupt


def _open_closed_streams() -> None:
    """Lets a standard stream that is closed (`2>&-`) lead nowhere.

    Otherwise the next file or connection would get its number, and what is written to the stream.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115


def _prepare_streams() -> None:
    """Escapes what the terminal cannot show, and hides other libraries' warnings from the user."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
        warnings.filterwarnings("default", module="sorce")


def _exit_without_output(name: str, error: OSError) -> NoReturn:
    """Ends the program if standard output fails: a closed pipe, or a full disk. Any other OSError is a bug."""
    if error.errno not in (EPIPE, ENOSPC, EIO) or error.filename is not None:
        raise error
    # Otherwise Python would flush the rest at exit, and fail again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno != EPIPE:
        _say(f"{name}: the results cannot be written ({error.strerror}); make room, or write elsewhere.")
    sys.exit(1)
