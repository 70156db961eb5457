"""Opens a checkpoint with sentence-transformers: without log output, and only if it is complete."""

from __future__ import annotations

import json
import pickle
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub.errors import StrictDataclassError
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from safetensors import SafetensorError
from transformers import __version__ as transformers_version
from transformers.utils import logging as progress
from transformers.utils.hub import cached_file

from sorce.errors import ModelError
from sorce.models.checkpoint import ADAPTER, NAMING_CODE, Checkpoint, refuse_adapter
from sorce.models.hub import UNREACHABLE, cache, said_by_hub
from sorce.models.loading_info import recorded
from sorce.models.quiet import quiet

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

REFUSALS = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, ImportError, RuntimeError, SafetensorError),
    # Weights that are a pickle with code in it: torch refuses them.
    pickle.UnpicklingError,
    # A value of another type in config.json.
    StrictDataclassError,
)
MISSING_PART = "it is missing, damaged, or unknown to this version of transformers; fetch or save the model again"


def pick_device(device: str) -> torch.device:
    """`auto` picks the best available device. Raises ModelError for a device that this machine lacks."""
    if device == "auto":
        return torch.device(
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
    try:
        picked = torch.device(device)
    except RuntimeError as error:
        raise ModelError(
            f"there is no device '{device}'; choose auto, cpu, cuda, cuda:1 (and so on) or mps."
        ) from error
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (picked.index or 0) >= there.get(picked.type, 0):
        raise ModelError(f"this machine has no device '{device}' that torch can use; choose auto or cpu.")
    return picked


def open_model(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> SentenceTransformer:
    """Raises ModelError if the checkpoint is unavailable or damaged, or lacks weights."""
    refuse_unpinned(checkpoint)
    with quiet_loading(), _complete(checkpoint):
        # Imported only here: a search by texts needs none of it.
        from sentence_transformers import SentenceTransformer

        try:
            opened = SentenceTransformer(
                checkpoint.place,
                revision=None if checkpoint.is_folder else checkpoint.revision,
                local_files_only=checkpoint.is_folder,
                trust_remote_code=checkpoint.trust_remote_code,
                device=str(device),
                model_kwargs={"dtype": dtype},
            )
        except refusals(checkpoint) as error:
            raise ModelError(f"model '{checkpoint.name}' cannot be loaded: {why(error, checkpoint)}.") from error
    return opened.eval()


def refusals(checkpoint: Checkpoint) -> tuple[type[Exception], ...]:
    """What may be raised while a checkpoint is opened, or first used. Its own code may raise anything."""
    return (Exception,) if checkpoint.trust_remote_code else REFUSALS


def why(error: Exception, checkpoint: Checkpoint) -> str:
    """The cause and the remedy, for the end of an error message."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and isinstance(cause, Exception):
        causes.append(cause)
    if any(map(_wants_trust, causes)):
        return (
            "it brings Python code of its own, which runs with your rights; read that code, and where you trust it, "
            "say --trust-remote-code (in Python trust_remote_code=True)"
        )
    answers = [said for cause in causes if (said := said_by_hub(cause)) is not None]
    if answers:
        return answers[0]
    if _wants_sentencepiece(error):
        return "its tokenizer needs the package SentencePiece: pip install 'sorce[siglip1]'"
    if missing := re.search(r"not found in your environment: ([^.\n]+)\. Run", str(error)):
        return f"its own Python code needs packages that are not installed: pip install {missing[1].replace(',', '')}"
    own_code = _own_code(checkpoint) if checkpoint.trust_remote_code else None
    # Only the first sentence: the rest is advice for people who call transformers themselves.
    said = " ".join(str(error).split()).split(". ")[0].rstrip(".") or type(error).__name__
    remedy = (
        "a folder needs config.json, weights, a tokenizer and preprocessor_config.json, as save_pretrained writes them"
        if checkpoint.is_folder
        else "choose an encoder of texts and pictures, such as google/siglip2-base-patch16-256"
    )
    return f"{said[:300]}; {own_code or remedy}"


def settings_of(checkpoint: Checkpoint) -> Mapping[str, Any]:
    """The content of config.json; empty if the checkpoint has none at its top, or it cannot be read."""
    found = _content(checkpoint, "config.json")
    return found if isinstance(found, dict) else {}


def _content(checkpoint: Checkpoint, name: str) -> Any:
    """A JSON file of the checkpoint; None if there is none that can be read."""
    try:
        file = _file(checkpoint, name)
        return json.loads(Path(file).read_text(encoding="utf-8")) if file else None
    except (*UNREACHABLE, OSError, ValueError):
        # What is wrong with it is said by what opens the whole checkpoint.
        return None


def refuse_unpinned(checkpoint: Checkpoint) -> None:
    """Raises ModelError if weights or allowed code lie in another repository, whose version nobody pins."""
    refuse_adapter(checkpoint.name, _content(checkpoint, ADAPTER))
    if not checkpoint.trust_remote_code:
        return
    for name in NAMING_CODE:
        for reference in _references(_content(checkpoint, name)):
            other, sign, _ = reference.partition("--")
            if sign and other != checkpoint.model:
                raise ModelError(
                    f"model '{checkpoint.name}' runs Python code of another repository ('{other}', by its {name}), "
                    "whose version is not pinned; save the model and that code in one folder, and give the folder."
                )


def _references(found: Any) -> Iterator[str]:
    """The classes of own code that settings name, also those of parts: texts below `auto_map`, and `type` of a list."""
    if isinstance(found, list):
        yield from (str(each["type"]) for each in found if isinstance(each, dict) and "type" in each)
    if isinstance(found, dict):
        for name, value in found.items():
            if name == "auto_map" and isinstance(value, dict):
                for each in value.values():
                    yield from (str(one) for one in (each if isinstance(each, list) else [each]) if one is not None)
            else:
                yield from _references(value if isinstance(value, dict) else None)


def lacks(checkpoint: Checkpoint, name: str) -> bool:
    """Whether the checkpoint certainly has no file of this name. False also if the hub cannot be asked."""
    try:
        return _file(checkpoint, name, _raise_exceptions_for_missing_entries=False) is None
    except (*UNREACHABLE, OSError, ValueError):
        return False


def _file(checkpoint: Checkpoint, name: str, **options: Any) -> str | None:
    source = {key: value for key, value in where(checkpoint).items() if key != "trust_remote_code"}
    with quiet_loading():
        found: str | None = cached_file(checkpoint.place, name, **source, **options)
    return found


def _own_code(checkpoint: Checkpoint) -> str | None:
    """What to know of the checkpoint's own code that could not be run; None if it brings none."""
    settings = settings_of(checkpoint)
    if "auto_map" not in settings:
        return None
    written = settings.get("transformers_version", "an unnamed version")
    return (
        f"its own Python code was written for transformers {written}, and {transformers_version} is installed; install "
        "the version that its card names, or choose a model that transformers itself has"
    )


def _wants_trust(error: Exception) -> bool:
    """Whether transformers or sentence-transformers refused to run a checkpoint's own code.

    Neither has a separate error class for this. In every version so far, both name the argument that they need.
    """
    return isinstance(error, ValueError) and "trust_remote_code=True" in str(error)


def _wants_sentencepiece(error: Exception) -> bool:
    """Whether a tokenizer of SentencePiece could not be read. transformers then tries it as one of tiktoken."""
    said = str(error).lower()
    return find_spec("sentencepiece") is None and ("sentencepiece" in said or "tiktoken" in said)


def where(checkpoint: Checkpoint) -> dict[str, Any]:
    """The arguments of transformers' `from_pretrained`, besides the place.

    `trust_remote_code` is always given: otherwise transformers would ask on standard output, and read the answer from
    standard input.
    """
    source = {"local_files_only": True} if checkpoint.is_folder else {"revision": checkpoint.revision}
    return {**source, "trust_remote_code": checkpoint.trust_remote_code, "cache_dir": cache()}


@contextmanager
def opening(checkpoint: Checkpoint, part: str) -> Iterator[None]:
    """Opens a part of a checkpoint with transformers, without log output.

    Raises a ModelError that names the part if it cannot be loaded completely.
    """
    refuse_unpinned(checkpoint)
    with quiet_loading(), _complete(checkpoint):
        try:
            yield
        except ModelError:
            raise
        except refusals(checkpoint) as error:
            # For a folder, the libraries' long messages say only that. An ImportError says more: a package that a
            # family needs, such as timm, is not installed.
            generic = checkpoint.is_folder and not checkpoint.trust_remote_code
            generic = generic and not isinstance(error, ImportError) and not _wants_trust(error)
            cause = MISSING_PART if generic else why(error, checkpoint)
            raise ModelError(f"the {part} of model '{checkpoint.name}' cannot be loaded: {cause}.") from error


@contextmanager
def _complete(checkpoint: Checkpoint) -> Iterator[None]:
    """Raises ModelError at the end if weights were missing: transformers would fill them with random numbers."""
    with recorded() as missing:
        yield
    if missing:
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise ModelError(
            f"model '{checkpoint.name}' lacks weights that its config.json promises ('{missing[0]}'{more}); "
            "fetch or save it again."
        )


@contextmanager
def _changed_bars() -> Iterator[None]:
    """Shows no progress bar while weights are read. A terminal still shows the progress of a download."""
    loading, download = progress.is_progress_bar_enabled(), not are_progress_bars_disabled()
    _show_bars(loading=False, download=download and sys.stderr.isatty())
    try:
        yield
    finally:
        _show_bars(loading=loading, download=download)


def _show_bars(*, loading: bool, download: bool) -> None:
    (progress.enable_progress_bar if loading else progress.disable_progress_bar)()  # type: ignore[no-untyped-call]
    (enable_progress_bars if download else disable_progress_bars)()


# transformers replaces functions of its classes while it makes a network (`no_tie_weights`, `no_init_weights`). If two
# threads do so at once, the functions stay replaced and later networks get random weights.
_one_at_a_time = RLock()


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Allows one load at a time. Of the libraries' output, only a download's progress reaches the screen."""
    with _one_at_a_time, quiet(), _changed_bars():
        yield
