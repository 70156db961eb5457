"""The `sorce` command as a person meets it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sorce.cli import COMMANDS

ROOT = Path(__file__).parents[2]


def sorce(*arguments: str, name: str = "main") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"from sorce.cli import {name}; {name}()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_command_has_help_and_a_place_in_the_readme() -> None:
    listed = sorce("--help").stdout
    readme = (ROOT / "README.md").read_text()
    for command in COMMANDS:
        assert re.search(rf"^  {command} +\S", listed, re.MULTILINE)
        assert f"sorce {command}" in readme


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


def test_sorce_ingest_is_sorce_ingest() -> None:
    assert sorce("--help", name="ingest").stdout == sorce("ingest", "--help").stdout.replace(
        "sorce ingest [OPTIONS]", "sorce-ingest [OPTIONS]"
    )


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_models_lists_methods_and_licences(form: list[str]) -> None:
    listed = sorce("models", *form).stdout
    assert "google/owlv2-base-patch16-ensemble" in listed
    assert "Apache-2.0" in listed
