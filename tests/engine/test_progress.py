from __future__ import annotations

import threading
from pathlib import Path

import pytest

from sorce.engine.progress import logged, repeated


@pytest.mark.fault("12.4.4")
def test_a_step_that_takes_long_is_told_again_and_again_until_it_ends() -> None:
    said: list[str] = []
    thrice = threading.Event()

    def say(sentence: str) -> None:
        said.append(sentence)
        if len(said) == 3:
            thrice.set()

    with repeated(say, "Waiting", every=0.001):
        assert thrice.wait(60)
    assert all(sentence.startswith("Waiting (") and sentence.endswith(" s so far)") for sentence in said)


@pytest.mark.fault("12.4.4")
def test_what_is_said_is_also_in_a_log_with_the_time(tmp_path: Path) -> None:
    said: list[str] = []
    say = logged(said.append, tmp_path / "start.log")
    say("one")
    say("two")
    assert said == ["one", "two"]
    lines = (tmp_path / "start.log").read_text().splitlines()
    assert [line.partition(" ")[2] for line in lines] == ["one", "two"]
    assert all(line[10] == "T" for line in lines)
