"""Code that comes with a model runs only if the user allows it."""

from __future__ import annotations

import json
import shutil
import sys
from io import StringIO
from pathlib import Path

import pytest

from sorce.errors import ModelError
from sorce.models import load_encoder, load_model
from tests.kit import objembed, owl, tiny

GOLDEN = Path(__file__).parents[1] / "golden"
AUTO = ("AutoConfig", "AutoModel", "AutoModelForObjectDetection", "AutoModelForImageTextToText")


@pytest.fixture(autouse=True)
def yes(monkeypatch):
    """A person, or a pipe, that says yes to whatever is asked."""
    monkeypatch.setattr(sys, "stdin", StringIO("y\n" * 100))


def with_code(folder: Path, ran: Path) -> Path:
    """The checkpoint, of a family that only its own code knows; the code leaves a file when it runs."""
    config = json.loads((folder / "config.json").read_text())
    code = f"""
from pathlib import Path
from transformers import PretrainedConfig
Path({str(ran)!r}).touch()
class Config(PretrainedConfig):
    model_type = "own-code"
"""
    (folder / "own.py").write_text(code)
    mapped = dict.fromkeys(AUTO, "own.Config")
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "own-code", "auto_map": mapped}))
    return folder


def chat(folder: Path) -> Path:
    return Path(shutil.copytree(GOLDEN / "rep-tiny/qwen2vl", folder / "chat"))


ASKED = {
    "encoder": (tiny.clip, lambda own, other: load_model(str(own), "tiles", device="cpu")),  # noqa: ARG005
    "encoder of a search": (tiny.clip, lambda own, other: load_encoder(str(own), "cpu")),  # noqa: ARG005
    "chat model": (chat, lambda own, other: load_model(str(own), "prompts", device="cpu")),  # noqa: ARG005
    "ObjEmbed": (
        objembed.objembed,
        lambda own, other: load_model(str(own), "objembed", {"detector": str(other)}, "cpu"),
    ),
    "OWLv2": (owl.owlv2, lambda own, other: load_model(str(own), "objects", {"vectors": "owl"}, "cpu")),  # noqa: ARG005
    "detector": (owl.detr, lambda own, other: load_model(str(other), "objects", {"detector": str(own)}, "cpu")),
}


@pytest.mark.fault("10.4.1")
@pytest.mark.parametrize("asked", ASKED)
def test_a_models_own_code_does_not_run_and_nobody_is_asked(asked, tmp_path, capfd):
    make, load = ASKED[asked]
    ran = tmp_path / "ran"
    own = with_code(make(tmp_path / "own"), ran)
    other = owl.owlv2(tmp_path / "other") if asked == "ObjEmbed" else tiny.clip(tmp_path / "other")
    capfd.readouterr()
    with pytest.raises(ModelError, match="--trust-remote-code") as caught:
        load(own, other)
    assert "trust_remote_code=True" in str(caught.value)
    assert not ran.exists()
    assert capfd.readouterr() == ("", "")


@pytest.mark.fault("10.4.1")
@pytest.mark.parametrize("regions", ["tiles", "objects", "prompts"])
def test_a_models_own_code_runs_for_who_trusts_it(regions, tmp_path):
    ran = tmp_path / "ran"
    own = with_code(tiny.clip(tmp_path / "own"), ran)
    model, parameters = str(own), {}
    if regions == "objects":
        model, parameters = str(tiny.clip(tmp_path / "other")), {"detector": str(own)}
    # The code makes a configuration but no network, so loading fails later.
    with pytest.raises(ModelError):
        load_model(model, regions, parameters, "cpu", trust_remote_code=True)
    assert ran.exists()
