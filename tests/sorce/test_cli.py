"""The `sorce` command as a user sees it."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from sorce import cli
from sorce.cli import COMMANDS

ROOT = Path(__file__).parents[2]


def sorce(*arguments: str, name: str = "main") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"from sorce.cli import {name}; {name}()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_command_has_help_and_a_place_in_the_documentation() -> None:
    listed = sorce("--help").stdout
    written = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md"))
    for command in COMMANDS:
        assert re.search(rf"^  {command} +\S", listed, re.MULTILINE)
        assert f"sorce {command}" in written


def test_the_list_of_commands_says_what_each_says_of_itself() -> None:
    assert {name: place.summary for name, place in COMMANDS.items()} == {
        name: cli.command(name).get_short_help_str(limit=1000) for name in COMMANDS
    }


def test_the_list_of_commands_imports_no_command() -> None:
    code = "import sys; from sorce.cli import sorce; sorce(['--help'], standalone_mode=False)\n"
    code += "print(*(name for name in sys.modules if name.startswith(('sorce.', 'opensearchpy', 'numpy'))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.splitlines()[-1].split()) <= {"sorce.cli", "sorce.errors", "sorce.terminal"}


def test_a_cluster_that_is_not_there_is_one_sentence_and_exit_code_1() -> None:
    done = sorce("search", "a cup", "--url", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr == (
        "sorce: no OpenSearch answers at http://127.0.0.1:1; give --url or OPENSEARCH_URL, "
        "or start one with `sorce engine start`.\n"
    )


def test_an_index_that_is_not_there_is_one_sentence_and_exit_code_1(opensearch: str) -> None:
    done = sorce("search", "a cup", "--url", opensearch, "--index", "no-such-index")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "there is no index 'no-such-index'; make it with `sorce ingest --index no-such-index" in done.stderr


def test_wrong_usage_is_exit_code_2() -> None:
    assert sorce("search").returncode == 2


@pytest.mark.fault("12.s.1")
@pytest.mark.parametrize(("typed", "meant"), [("ingst", "ingest"), ("serach", "search"), ("plugins", "plugin")])
def test_a_mistyped_command_is_told_which_it_is_like(typed: str, meant: str) -> None:
    done = sorce(typed, "--index", "photos")
    assert done.returncode == 2
    assert f"there is no command '{typed}'; write '{meant}'." in done.stderr


def test_sorce_ingest_is_sorce_ingest() -> None:
    assert sorce("--help", name="ingest").stdout == sorce("ingest", "--help").stdout.replace(
        "sorce ingest [OPTIONS]", "sorce-ingest [OPTIONS]"
    )


def test_wrong_usage_leaves_no_log_at_the_terminal() -> None:
    before = list(logging.getLogger("sorce").handlers)
    result = CliRunner().invoke(cli.sorce, ["search", "--size", "x"])
    # The result is held: it would keep what click left open.
    assert (result.exit_code, logging.getLogger("sorce").handlers) == (2, before)


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_models_lists_methods_and_licences(form: list[str]) -> None:
    listed = sorce("models", *form).stdout
    assert "google/owlv2-base-patch16-ensemble" in listed
    assert "Apache-2.0" in listed


FULL = Path("/dev/full")


@pytest.mark.fault("7.2.2")
@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full, which stands for a full disk")
def test_results_that_cannot_be_written_are_one_sentence_and_exit_code_1() -> None:
    command = [sys.executable, "-c", "from sorce.cli import main; main()", "models"]
    with FULL.open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "sorce: the results cannot be written (No space left on device); make room, or write elsewhere.\n",
    )


@pytest.mark.fault("7.2.3")
def test_a_name_that_the_terminal_cannot_show_is_escaped() -> None:
    """A Chinese file name where standard output is latin-1."""
    code = "import click; from sorce.cli import run\n"
    code += "@click.command()\ndef tell(): click.echo('\u4e0a\u6d77.jpg')\nrun(tell, 'tell')"
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"\\u4e0a\\u6d77.jpg\n", b"")


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    command = f"{sys.executable} -c 'from sorce.cli import main; main()' models | head -c 1 >/dev/null"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.parametrize("given", [[], ["-W", "always"]])
def test_warnings_of_other_libraries_reach_a_person_only_who_asks_for_them(given: list[str]) -> None:
    code = "import click, warnings; from sorce.cli import run\n"
    code += "@click.command()\ndef tell(): warnings.warn('old', DeprecationWarning)\nrun(tell, 'tell')"
    done = subprocess.run([sys.executable, *given, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, "old" in done.stderr) == (0, bool(given))


TELL = "import click, time; from sorce.cli import run\n@click.command()\ndef tell():\n"


@pytest.mark.fault("7.s.5")
@pytest.mark.parametrize(
    ("closed", "out"), [("<&-", "a\nFalse\n"), (">&-", ""), ("2>&-", "a\nFalse\n"), ("<&- >&- 2>&-", "")]
)
def test_a_standard_stream_that_is_closed_leads_nowhere(closed: str, out: str) -> None:
    """A file that is opened next gets no message of the command."""
    code = TELL + "    with open('told', 'w+') as file:\n"
    code += "        click.echo('a'); click.echo('b', err=True); click.echo(__import__('sys').stdin.isatty())\n"
    code += "        file.seek(0); assert file.read() == ''\nrun(tell, 'tell')"
    with tempfile.TemporaryDirectory() as folder:
        command = ["bash", "-c", f'"$0" -c "$1" {closed}', sys.executable, code]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, out, "b\n" if closed == "<&-" or closed == ">&-" else "")


@pytest.mark.fault("7.s.6")
@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full, which stands for a full disk")
@pytest.mark.parametrize(
    ("arguments", "code"), [(["search"], 2), (["search", "a cup", "--url", "http://127.0.0.1:1"], 1)]
)
def test_the_exit_code_is_right_where_standard_error_is_full(arguments: list[str], code: int) -> None:
    command = [sys.executable, "-c", "from sorce.cli import main; main()", *arguments]
    with FULL.open("w") as full:
        assert subprocess.run(command, stderr=full, check=False).returncode == code


@pytest.mark.fault("7.s.7")
def test_sigterm_ends_a_command_as_ctrl_c_does() -> None:
    """It takes away what it made."""
    code = (
        TELL + "    try:\n        click.echo('here'); time.sleep(60)\n    finally:\n        click.echo('taken away')\n"
    )
    command = [sys.executable, "-u", "-c", code + "run(tell, 'tell')"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "taken away\n", "\ntell: interrupted.\n")
