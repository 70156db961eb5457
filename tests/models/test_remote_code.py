"""Code that comes with a model runs only if the user allows it."""

from __future__ import annotations

import json
import shutil
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForCausalLM, AutoTokenizer
from transformers import __version__ as transformers_version

from sorce.errors import ModelError
from sorce.models import load_encoder, load_model
from sorce.models.checkpoint import content_hash
from tests.kit import families, objembed, owl, tiny

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


def test_a_family_with_its_own_code_is_that_of_its_own_classes(tmp_path, monkeypatch):
    monkeypatch.setenv("SORCE_BFLOAT16", "off")
    folder, texts = families.fgclip2(tmp_path / "own"), ["A Red Cup", "two dogs"]
    with pytest.raises(ModelError, match="--trust-remote-code"):
        load_model(str(folder), "whole", device="cpu")
    model = load_model(str(folder), "whole", device="cpu", trust_remote_code=True)
    own = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True, dtype=torch.float32).eval()
    tokens = AutoTokenizer.from_pretrained(folder)(
        [text.lower() for text in texts], padding="max_length", max_length=64, return_tensors="pt"
    )
    picture = Image.effect_noise((90, 40), 80).convert("RGB")
    pixels = AutoImageProcessor.from_pretrained(folder)(picture, max_num_patches=16, return_tensors="pt")
    with torch.inference_mode():
        expected = own.get_text_features(tokens["input_ids"]), own.get_image_features(**pixels)
    words, seen = (torch.nn.functional.normalize(each, dim=-1).numpy() for each in expected)
    np.testing.assert_allclose(model.embed_texts(texts), words, atol=1e-5)
    np.testing.assert_allclose(model.embed_images([picture]), seen, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", {"auto_map": {"AutoModel": "own.Model"}}),
        ("modules.json", [{"idx": 0, "name": "0", "path": "", "type": "own.Transformer"}]),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["own.Words", None]}}),
        ("preprocessor_config.json", {"auto_map": {"AutoImageProcessor": "own.Images"}}),
        ("processor_config.json", {"auto_map": {"AutoProcessor": "own.Both"}}),
    ],
)
def test_own_code_is_part_of_the_recipe(name, content, tmp_path):
    folder = tiny.clip(tmp_path / "own")
    (folder / "own.py").touch()
    plain = content_hash(folder)
    (folder / "own.py").write_text("# changed")
    assert content_hash(folder) == plain
    (folder / name).write_text(json.dumps(content))
    before = content_hash(folder)
    (folder / "own.py").write_text("# changed again")
    assert content_hash(folder) != before


@pytest.mark.parametrize("content", ["{", "[3, {}]", '{"type": "own.Transformer"}', "\ud800"])
def test_a_damaged_list_of_modules_still_has_a_hash(content, tmp_path):
    (tmp_path / "modules.json").write_bytes(content.encode(errors="surrogatepass"))
    assert content_hash(tmp_path).startswith("sha256:")


def test_own_code_for_another_transformers_is_told_with_both_versions(tmp_path):
    folder = families.fgclip2(tmp_path / "own")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"transformers_version": "4.49.0"}))
    (folder / "own.py").write_text("from transformers import NoSuchClass\n")
    with pytest.raises(ModelError) as caught:
        load_model(str(folder), "whole", device="cpu", trust_remote_code=True)
    assert f"written for transformers 4.49.0, and {transformers_version} is installed" in str(caught.value)


def refused(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_model(str(folder), "whole", device="cpu", trust_remote_code=True)
    return str(caught.value)


def test_a_package_that_own_code_needs_is_named(tmp_path):
    folder = families.fgclip2(tmp_path / "own")
    (folder / "own.py").write_text("import no_such_package, another_one\n" + families.FGCLIP2)
    said = refused(folder)
    assert "pip install" in said
    assert "no_such_package" in said.partition("pip install")[2]
    assert "another_one" in said.partition("pip install")[2]


@pytest.mark.parametrize("broken", ["undefined_name", "def (", "[][0]", "assert False"])
def test_own_code_that_fails_when_it_is_read_is_told_with_both_versions(broken, tmp_path):
    folder = families.fgclip2(tmp_path / "own")
    (folder / "own.py").write_text(f"{broken}\n{families.FGCLIP2}")
    assert f"and {transformers_version} is installed" in refused(folder)


@pytest.mark.parametrize("error", ["AttributeError('gone')", "IndexError('gone')"])
def test_own_code_that_fails_when_it_encodes_is_told_with_both_versions(error, tmp_path):
    folder = families.fgclip2(tmp_path / "own")
    code = families.FGCLIP2.replace("return super().get_text_features", f"raise {error}; super().get_text_features")
    (folder / "own.py").write_text(code)
    said = refused(folder)
    assert f"and {transformers_version} is installed" in said
    assert "cannot encode: gone; its own Python code was written for transformers" in said


def test_a_transformers_that_is_older_than_own_code_is_refused(tmp_path, monkeypatch):
    folder = families.fgclip2(tmp_path / "own")
    monkeypatch.setattr("sorce.models.own_code.transformers_version", "4.56.2")
    assert "needs transformers 4.57 or newer, and 4.56.2 is installed" in refused(folder)
