"""The hub is asked first, and what it does not have, or does not say, is told soon."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sorce.errors import ModelError
from sorce.mappings import Recipe
from sorce.models import load_encoder, load_model
from sorce.models.checkpoint import Checkpoint, find
from sorce.models.loading import refuse_unpinned
from tests.kit import families

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def silent_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Takes connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_ETAG_TIMEOUT", 0.2)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        yield


def test_a_silent_hub_is_not_waited_for(silent_hub: None) -> None:  # noqa: ARG001
    found: list[Exception] = []

    def load() -> None:
        try:
            load_model("example/none")
        except ModelError as error:
            found.append(error)

    # Without its time-out the library waits without an end.
    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    thread.join(60)
    [error] = found
    assert "model 'example/none' cannot be loaded: the hub cannot be reached" in str(error)


def test_a_model_that_is_not_here_is_told_before_torch_is_imported() -> None:
    code = (
        "import sys\nfrom sorce.models import load_encoder\nfrom sorce.errors import ModelError\n"
        "try: load_encoder('example/none')\nexcept ModelError as error: print(error, 'torch' in sys.modules)"
    )
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": "/nonexistent"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert "the hub cannot be reached" in done.stdout
    assert done.stdout.endswith(" False\n")


def test_what_is_fetched_is_said_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    recipe = Recipe("example/none", COMMIT, "tiles", 8, "numpy")
    with caplog.at_level(logging.WARNING, "sorce"), pytest.raises(ModelError, match="the hub cannot be reached"):
        load_encoder(recipe)
    assert "model 'example/none' is not on this machine yet; it is fetched from https://" in caplog.text


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "modules.json"])
def test_code_of_another_repository_is_refused(tmp_path: Path, file: str) -> None:
    folder, foreign = families.fgclip2(tmp_path / "own"), "example/code--own.Config"
    place = folder / file
    there = json.loads(place.read_text()) if place.exists() else {}
    content = [{"type": foreign}] if file == "modules.json" else there | {"auto_map": {"AutoConfig": [foreign, None]}}
    place.write_text(json.dumps(content))
    with pytest.raises(ModelError) as caught:
        load_model(str(folder), "whole", device="cpu", trust_remote_code=True)
    assert f"runs Python code of another repository ('example/code', by its {file})" in str(caught.value)


def test_code_of_its_own_repository_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"part": {"auto_map": {"AutoModel": "example/own--own.Model"}}}))
    found = find(str(tmp_path))
    refuse_unpinned(Checkpoint("example/own", str(tmp_path), None, trust_remote_code=True))
    with pytest.raises(ModelError, match=r"'example/own', by its config\.json"):
        refuse_unpinned(Checkpoint(found.model, found.place, found.revision, trust_remote_code=True))
