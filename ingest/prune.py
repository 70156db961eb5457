"""Takes out of an index what is no longer on the disk."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from opensearchpy import OpenSearch

from sorce.cluster import address, sentences
from sorce.errors import SorceError
from sorce.ingest.files import Files, is_gone
from sorce.ingest.index import Index

AT_ONCE = 1000


def prune(client: OpenSearch, index: str, files: Files) -> int:
    """Removes the documents whose file is gone from the folders given, and from only those; how many.

    What counts is whether the file is there: one that is ignored now, or beyond a limit, stays. Raises SorceError for a
    folder without any photo, as a disk that is not mounted looks.
    """
    removed = 0
    with sentences(address(client)):
        there = Index(client, index)
        missing = gone(there, files)
        while batch := list(islice(missing, AT_ONCE)):
            removed += there.delete(batch)
        there.refresh()
    return removed


def count_gone(client: OpenSearch, index: str, files: Files) -> int:
    """How many documents `prune` would remove."""
    with sentences(address(client)):
        there = Index(client, index)
        return 0 if there.recipe() is None else sum(1 for _ in gone(there, files))


def gone(index: Index, files: Files) -> Iterator[str]:
    """The ids of the photos whose file is gone."""
    folders = files.folders()
    for folder in folders:
        refuse_empty(folder, files)
    for folder in folders:
        for photo_id, uri in index.uris(files.naming.uris_below(folder), relative=files.naming.root is not None):
            file = files.naming.file(uri)
            if file is not None and is_gone(file):
                yield photo_id


def refuse_empty(folder: Path, files: Files) -> None:
    photos, _ = Files([str(folder)], files.naming).count()
    if not photos:
        raise SorceError(
            f"nothing was pruned, as '{folder}' holds no photo at all; mount its disk, or name the folder above."
        )
