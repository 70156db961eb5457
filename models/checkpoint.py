"""Where a model's files are, and their version: a name on the hub at a commit, or a folder by its content's hash."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from sorce.errors import ModelError
from sorce.mappings import Recipe

MINI = "mini"
FOLDER = "folder"

HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
COMMIT = re.compile(r"[0-9a-f]{40}")
# Types of files that can change a vector. Model cards and notes on the training cannot, and code only if it is run.
CODE = ".py"
DECISIVE = {".bin", ".jinja", ".json", ".model", ".pt", ".safetensors", ".tiktoken", ".txt"}
IDLE = {"training", "training.json"}
NAMING_CODE = (
    "config.json",
    "modules.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
)
"""The files that may name Python code to run."""
ADAPTER = "adapter_config.json"

_NEW_MINI = (
    "ingest its photos with `sorce ingest --alias ALIAS`, which makes a new index and moves the searches to it, or "
    "install the sorce that made this one"
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model's files.

    `model` is the recipe's entry: a name on the hub, `mini` or `folder`. `place` is what transformers opens. `revision`
    is the hub's commit (None: the newest, known after loading) or `sha256:...` of a folder's content.
    `trust_remote_code` allows Python code from the checkpoint to run.
    """

    model: str
    place: str
    revision: str | None
    trust_remote_code: bool = False

    @property
    def name(self) -> str:
        """The name to show to a user."""
        return self.place if self.model == FOLDER else self.model

    @property
    def is_folder(self) -> bool:
        return self.model in (MINI, FOLDER)


def find(name: str) -> Checkpoint:
    """Finds `mini`, a folder, or a name on the hub. Raises ModelError for any other name."""
    if name == MINI:
        return _folder(MINI, Path(str(resources.files("sorce.models.mini"))))
    if name and Path(name).is_dir():
        return _folder(FOLDER, Path(name))
    if not HUB_NAME.fullmatch(name):
        raise ModelError(
            f"there is no folder '{name}'; give a model's folder, a name on the hub (owner/name) or 'mini'."
        )
    return Checkpoint(name, name, None)


def find_again(recipe: Recipe, folder: str | None = None) -> Checkpoint:
    """Finds exactly the files that made an index. Raises ModelError if they are not available.

    `folder` is the model that the user names, if any: its path for a `folder` recipe, else the recipe's own name.
    An index never decides which local files are read: a recipe is data that anybody may have written.
    """
    if recipe.model == MINI:
        found, remedy = find(MINI), _NEW_MINI
    elif recipe.model != FOLDER:
        return _of_hub(recipe, folder)
    elif folder is None:
        raise ModelError(
            "the index was made with a model from a folder, and an index does not know where; name the folder."
        )
    else:
        found, remedy = _folder(FOLDER, Path(folder)), "name the folder whose model made it"
    if recipe.model == MINI and folder not in (None, MINI):
        raise _other(recipe, folder)
    if found.revision != recipe.revision:
        raise ModelError(f"the index was made with another model than '{found.name}' ({recipe.revision}); {remedy}.")
    return found


def _of_hub(recipe: Recipe, named: str | None) -> Checkpoint:
    """The hub's model of a recipe, at its commit."""
    if not HUB_NAME.fullmatch(recipe.model) or not COMMIT.fullmatch(recipe.revision):
        raise ModelError(
            f"the index says that its model is {recipe.model!r} at {recipe.revision!r}, which is no name and commit of "
            "the hub; an index does not decide which local files are read."
        )
    if named not in (None, recipe.model):
        raise _other(recipe, named)
    return at_commit(recipe.model, recipe.revision)


def at_commit(name: str, revision: str) -> Checkpoint:
    """The hub's model of a recipe. Raises ModelError if a folder has its name, which the library would open instead."""
    if Path(name).exists():
        raise ModelError(
            f"there is a folder '{name}' here, which would be read instead of the hub's model of that name; "
            "run the command in another folder."
        )
    return Checkpoint(name, name, revision)


def _other(recipe: Recipe, named: str | None) -> ModelError:
    return ModelError(
        f"the index was made with model {recipe.model!r}, not {named!r}; leave the model out, or name another index."
    )


def refuse_adapter(name: str, settings: Any) -> None:
    """Raises ModelError if a model's adapter_config.json names a base: the libraries take its newest version."""
    if isinstance(settings, dict) and (base := settings.get("base_model_name_or_path")):
        raise ModelError(
            f"model '{name}' is an adapter of '{base}', whose version is not pinned; merge both (merge_and_unload, "
            "save_pretrained) and give that folder."
        )


def _folder(model: str, place: Path) -> Checkpoint:
    refuse_adapter(str(place), _content(place / ADAPTER))
    if not any((place / name).is_file() for name in ("config.json", "modules.json")):
        raise ModelError(f"'{place}' holds no model (no config.json); give a folder that save_pretrained wrote.")
    return Checkpoint(model, str(place), content_hash(place))


def content_hash(place: Path) -> str:
    """`sha256:...` of the names and contents of files that can change vectors. The folder's path does not matter."""
    digest = hashlib.sha256()
    kinds = {*DECISIVE, CODE} if _brings_code(place) else DECISIVE
    files = {file.relative_to(place): file for file in place.rglob("*") if file.suffix in kinds and file.is_file()}
    for name in sorted(files, key=Path.as_posix):
        if not any(part in IDLE or part.startswith(".") for part in name.parts):
            # Each file's digest has a fixed length, so that no content can imitate a name.
            digest.update(f"{name.as_posix()}\0{_digest(files[name])}\n".encode())
    return f"sha256:{digest.hexdigest()}"


def _brings_code(place: Path) -> bool:
    """Whether one of the model's files names Python code of its own."""
    modules = _content(place / "modules.json")
    types = [str(each.get("type")) for each in modules if isinstance(each, dict)] if isinstance(modules, list) else []
    return not all(each.startswith("sentence_transformers.") for each in types) or any(
        b'"auto_map"' in (place / name).read_bytes() for name in NAMING_CODE if (place / name).is_file()
    )


def _content(file: Path) -> Any:
    """A JSON file's content; None if there is none that can be read."""
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
