"""Follows a page as a reader would: runs its commands in order, in one folder, with the variables that it sets.

Commands of sorce run in this process, since to import torch takes seconds. All others run in a shell.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, chdir, contextmanager, redirect_stdout
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner

from sorce import cli
from sorce.errors import SorceError
from sorce.options import Cluster
from sorce.plugin.service import app as service
from sorce.plugin.service.opening import served
from tests.docs.pages import Command, Page
from tests.docs.standins import StandIn
from tests.kit.serving import serving


class Reader:
    """One person with one folder. `services` ends when the page ends."""

    def __init__(self, folder: Path, environment: Mapping[str, str], table: tuple[StandIn, ...]) -> None:
        self.folder, self.table = folder, table
        self.base = dict(environment)
        self.environment = dict(environment)
        self.used: dict[str, str] = {}
        self.served: dict[str, str] = {}
        self.services = ExitStack()
        self.names: dict[str, Any] = {}

    def follow(self, page: Page) -> int:
        """How many commands ran. Raises AssertionError for one that fails."""
        self.environment, self.served, self.names = dict(self.base), {}, {}
        ran = 0
        with ExitStack() as self.services, chdir(self.folder):
            for command in page.commands():
                place = f"{page.name}:{command.line}: {command.text.splitlines()[0]}"
                print(f"\n{place}")
                try:
                    said = self._run(command)
                except (AssertionError, SorceError, click.ClickException) as error:
                    raise AssertionError(f"{place}\n{error}") from error
                print(said[:2000])
                for line in command.shown:
                    assert plain(line) in plain(said), f"{place}\nis shown to print\n{line}\nbut printed\n{said}"
                ran += 1
        return ran

    def _run(self, command: Command) -> str:
        text = self._stood_in(command.text)
        if command.language == "python":
            return self._python(text)
        if text.endswith(" &"):
            return self._in_background(text.removesuffix(" &"))
        for pattern, stand_in in COMMANDS.items():
            if re.match(pattern, text):
                self.used[pattern] = stand_in.__doc__ or ""
                return stand_in(self, text)
        if text.startswith("export "):
            return self._export(text)
        given = ""
        for stage in stages(text):
            run = self._sorce if stage.startswith("sorce ") else self._shell
            given = run(stage, given)
        return given

    def _stood_in(self, text: str) -> str:
        for row in self.table:
            after = row.applied(text)
            if after != text:
                self.used[f"{row.pattern}  ->  {row.replacement}"] = row.why
            text = after
        for address, real in self.served.items():
            text = text.replace(address, real)
        return text

    def _shell(self, text: str, given: str = "") -> str:
        done = subprocess.run(
            ["bash", "-c", text], input=given, capture_output=True, text=True, check=False, env=self.environment
        )
        assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert '"error"' not in done.stdout, done.stdout
        return done.stdout + done.stderr

    def _export(self, text: str) -> str:
        after = self._shell(f"{text}\nenv -0")
        self.environment = dict(each.split("=", 1) for each in after.split("\0") if "=" in each)
        return ""

    def arguments(self, text: str) -> list[str]:
        """The words of a command, as the shell splits and expands them."""
        words = text.split(" ", 1)[1]
        return self._shell(f'for word in {words}; do printf "%s\\0" "$word"; done').split("\0")[:-1]

    def _sorce(self, text: str, given: str = "") -> str:
        done = CliRunner(env=self._variables()).invoke(cli.sorce, self.arguments(text), input=given)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, f"exit code {done.exit_code}\n{done.output}"
        # A pipe gets what goes to standard output only.
        return done.stdout if " role " in text or "--json" in text else done.output

    def _variables(self) -> dict[str, str | None]:
        """What a command of this process sees of the shell's variables; the others of this kind are taken away."""
        mine = re.compile(r"(OPENSEARCH|SORCE)_|XDG_CACHE_HOME$")
        gone: dict[str, str | None] = {name: None for name in os.environ if mine.match(name)}
        return {**gone, **{name: value for name, value in self.environment.items() if mine.match(name)}}

    @contextmanager
    def _in_environment(self) -> Iterator[None]:
        """This process has the variables of the reader's shell meanwhile."""
        before = dict(os.environ)
        for name, value in self._variables().items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def _python(self, text: str) -> str:
        out = io.StringIO()
        with self._in_environment(), redirect_stdout(out):
            exec(compile(text, "block", "exec"), self.names)
        return out.getvalue()

    def _in_background(self, text: str) -> str:
        """`sorce serve` in a thread of this process, at a free port."""
        self.used["sorce serve ... &"] = "in a thread of the test, at a free port"
        arguments = self.arguments(text)
        assert arguments[0] == "serve", text
        given = parsed(arguments)
        port, files = given.pop("port"), (given.pop("tls_cert"), given.pop("tls_key"))
        cluster = Cluster(given.pop("url"), given.pop("insecure"))
        del given["host"]
        with self._in_environment():
            app = service.application(served(cluster=cluster, **given))
        shown = None if None in files else service.Certificate(*files)
        self.served[f"http://127.0.0.1:{port}"] = self.services.enter_context(serving(app, shown))
        return ""


def found(words: Sequence[str]) -> click.Command:
    """The command that these words begin with. Raises click.UsageError for one that does not exist."""
    command: click.Command = cli.sorce
    for word in words:
        if not isinstance(command, click.Group):
            break
        within = command.get_command(click.Context(command), word)
        if within is None:
            raise click.UsageError(f"there is no command '{word}'")
        command = within
    return command


def parsed(arguments: Sequence[str]) -> dict[str, Any]:
    """The values of a command's options. Raises click.UsageError for a wrong one."""
    command = found(arguments)
    rest = arguments[1:] if arguments[0] == command.name else arguments[2:]
    return command.make_context(command.name, list(rest)).params


def stages(text: str) -> list[str]:
    """The commands of a pipe. A line of the shell alone stays whole."""
    if not re.search(r"^sorce |\| sorce ", text):
        return [text]
    found, quote = [""], ""
    for character in text:
        if character in "'\"" and quote in ("", character):
            quote = "" if quote else character
        if character == "|" and not quote:
            found.append("")
        else:
            found[-1] += character
    return [each.strip() for each in found]


def plain(text: str) -> str:
    """Without what differs between two runs: ids, numbers, and how many blanks fill a column."""
    return re.sub(r"\s+", " ", re.sub(r"\b[0-9a-f]{8}\b|\d+", "0", text))


def parse_only(reader: Reader, text: str) -> str:
    """The options are checked; the tests of the engine start and stop one."""
    parsed(reader.arguments(text))
    return ""


def without_dashboards(reader: Reader, text: str) -> str:
    """The options are checked; the tests of dashboards install into recorded ones."""
    return parse_only(reader, text)


def check_extras(_: Reader, text: str) -> str:
    """Nothing is installed; the extras must exist."""
    named = re.search(r"\[([\w,]+)\]", text)
    wanted = set() if named is None else set(named[1].split(","))
    there = set(metadata("sorce").get_all("Provides-Extra") or ())
    assert wanted <= there, f"{wanted - there} are no extras"
    return ""


COMMANDS: dict[str, Callable[[Reader, str], str]] = {
    r"sorce engine (start|stop)": parse_only,
    r"sorce dashboards (install|status|uninstall)": without_dashboards,
    r"pip install ": check_extras,
}
"""Commands that are run by something else. The first line of its docstring says what."""

PYTHON = Path(sys.executable).parent


def without_secrets() -> dict[str, str]:
    """The variables of a reader's shell before the first page."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(("OPENSEARCH_", "SORCE_"))}
    return {**others, "PATH": f"{PYTHON}{os.pathsep}{others['PATH']}"}
