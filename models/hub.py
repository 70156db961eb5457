"""Asks the hub for a model before torch is imported, so that a user without a network is told within seconds."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionResolutionError,
)
from huggingface_hub.file_download import repo_folder_name

from sorce.errors import ModelError
from sorce.models.checkpoint import Checkpoint
from sorce.models.quiet import quiet

log = logging.getLogger("sorce.models")

UNREACHABLE = (OfflineModeIsEnabled, LocalEntryNotFoundError, RevisionResolutionError, HfHubHTTPError, ConnectionError)


class _Hub(HfApi):
    """Sets a time limit: without one, the library waits forever for a hub that does not answer."""

    def repo_info(self, *args: Any, timeout: float | None = None, **more: Any) -> Any:
        return super().repo_info(*args, timeout=timeout or constants.HF_HUB_ETAG_TIMEOUT, **more)


def cache() -> str:
    """The folder with the hub's files."""
    return os.environ.get("SENTENCE_TRANSFORMERS_HOME") or constants.HF_HUB_CACHE


def at_hand(checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint of the hub, with its commit, once it is on this machine or the hub has answered.

    The hub's time-out is that of the library: HF_HUB_ETAG_TIMEOUT, 10 seconds. Raises ModelError.
    """
    found = pinned(checkpoint)
    assert found.revision is not None
    place = Path(cache(), repo_folder_name(repo_id=found.place, repo_type="model"), "snapshots", found.revision)
    if place.is_dir():
        return found
    log.warning("model '%s' is not on this machine yet; it is fetched from %s.", found.name, constants.ENDPOINT)
    try:
        with quiet():
            hf_hub_download(found.place, "config.json", revision=found.revision, cache_dir=cache())
    except LocalEntryNotFoundError as error:
        raise _unavailable(found, error) from error
    except EntryNotFoundError:
        # Some checkpoints have it in a folder below.
        pass
    except (*UNREACHABLE, OSError, ValueError) as error:
        raise _unavailable(found, error) from error
    return found


def pinned(checkpoint: Checkpoint) -> Checkpoint:
    """Adds the hub's commit if only a name is known, so that all files come from one version of the repository.

    If the hub cannot be reached, it is the newest commit in the cache. Raises ModelError if there is none, or no such
    model.
    """
    if checkpoint.revision is not None:
        return checkpoint
    log.info("asking %s for model '%s'", constants.ENDPOINT, checkpoint.name)
    try:
        with quiet():
            commit = _Hub().resolve_revision(checkpoint.place, cache_dir=cache())
    except (*UNREACHABLE, OSError, ValueError) as error:
        raise _unavailable(checkpoint, error) from error
    return replace(checkpoint, revision=str(commit.resolved))


def said_by_hub(error: Exception) -> str | None:
    """What the hub's answer, or its silence, means, for the end of a sentence; None for another error."""
    if isinstance(error, RepositoryNotFoundError):
        return "it is neither a folder nor on the hub, or it is private; check the name, or log in with `hf auth login`"
    if isinstance(error, UNREACHABLE):
        return "the hub cannot be reached and it was not fetched before; go online, or give a folder that holds it"
    return None


def _unavailable(checkpoint: Checkpoint, error: Exception) -> ModelError:
    why = said_by_hub(error) or f"{str(error).splitlines()[0][:300].rstrip('.')}; check the name"
    return ModelError(f"model '{checkpoint.name}' cannot be loaded: {why}.")
