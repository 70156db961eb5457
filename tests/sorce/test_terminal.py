"""Text written by others reaches the terminal as text only."""

from __future__ import annotations

import click
import pytest

from sorce.cli import run
from sorce.errors import PluginError
from sorce.terminal import printable


@pytest.mark.fault("4.4.7")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain \u00e9 \u5b57 \u3000", "plain \u00e9 \u5b57 \u3000"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\r\nb\x7f\x9b", "a\\r\\nb\\x7f\\x9b"),
        ("\u202egpj.exe \u2028", "\\u202egpj.exe \\u2028"),
        ("\udcff", "\\udcff"),
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f468\u200d\U0001f469\u200d\U0001f467"),
    ],
)
def test_characters_that_act_on_a_terminal_are_shown_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


def test_lines_of_a_message_stay_lines() -> None:
    assert printable("a\nb\x1b", keep="\n") == "a\nb\\x1b"


@pytest.mark.fault("4.4.5", "4.4.6")
def test_an_error_that_quotes_another_server_or_an_index_is_shown_escaped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["sorce"])

    @click.command()
    def fails() -> None:
        raise PluginError("the encoder says '\x1b]0;owned\x07'.")

    with pytest.raises(SystemExit) as ended:
        run(fails, "sorce")
    assert ended.value.code == 1
    assert capsys.readouterr().err == "sorce: the encoder says '\\x1b]0;owned\\x07'.\n"
