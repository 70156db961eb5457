"""Takes out of an index what is no longer on the disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path

from opensearchpy import OpenSearch

from sorce.cluster import address, translate_errors
from sorce.errors import SorceError
from sorce.ingest.index import TargetIndex
from sorce.ingest.retry import Interrupted, Retry
from sorce.pictures.files import Files, is_gone

AT_ONCE = 1000


def prune(client: OpenSearch, index: str, files: Files, retry: Retry | None = None) -> int:
    """Removes the documents whose file is gone from the folders given, and from only those; how many.

    What counts is whether the file is there: one that is ignored now, or beyond a limit, stays. Ends early where the
    run is asked to stop. Raises SorceError for a folder without any photo, as a disk that is not mounted looks.
    """
    retry = retry or Retry()
    removed = 0
    with translate_errors(address(client)), suppress(Interrupted):
        there = TargetIndex(client, index)
        missing = gone(there, files, retry)
        while batch := list(islice(missing, AT_ONCE)):
            removed += retry.insist(partial(there.delete, batch))
        retry.ask(there.refresh)
    return removed


def count_gone(client: OpenSearch, index: str, files: Files, retry: Retry | None = None) -> int:
    """How many documents `prune` would remove."""
    count = 0
    with translate_errors(address(client)), suppress(Interrupted):
        there = TargetIndex(client, index)
        if there.recipe() is not None:
            for _ in gone(there, files, retry or Retry()):
                count += 1
    return count


def gone(index: TargetIndex, files: Files, retry: Retry) -> Iterator[str]:
    """The ids of the photos whose file is gone. Raises Interrupted where the run ends first."""
    folders = files.folders()
    for folder in folders:
        refuse_empty(folder, files)
    for folder in folders:
        below = files.naming.uris_below(folder)
        for photo_id, uri in index.uris(below, files.naming.root is not None, retry):
            file = files.naming.file(uri)
            if file is not None and is_gone(file):
                yield photo_id


def refuse_empty(folder: Path, files: Files) -> None:
    photos, _ = Files([str(folder)], files.naming).count()
    if not photos:
        raise SorceError(
            f"nothing was pruned, as '{folder}' holds no photo at all; mount its disk, or name the folder above."
        )
