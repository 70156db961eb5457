"""Takes out of an index the photos whose file is gone from the disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from opensearchpy import OpenSearch

from sorce.cluster import address, translate_errors
from sorce.errors import SorceError
from sorce.ingest.actions import Deletion
from sorce.ingest.guard import Guard
from sorce.ingest.index import Listed, TargetIndex
from sorce.ingest.retry import Interrupted, Retry
from sorce.ingest.root import refuse_other_root
from sorce.ingest.write import Sender
from sorce.pictures.files import Files, is_gone

AT_ONCE = 1000

SHARE = 0.1
"""A larger share of photos that are gone is confirmed first: a disk may not be mounted, or a folder be moved."""


@dataclass(frozen=True)
class Gone:
    """The photos whose file is gone, and the file of each.

    `photos` counts all in the index below the folders that were named. `kept` are photos whose folder is there and
    empty, as one is whose disk is not mounted: they stay in the index.
    """

    files: dict[Listed, Path] = field(default_factory=dict)
    kept: dict[Path, int] = field(default_factory=dict)
    photos: int = 0

    @property
    def are_many(self) -> bool:
        return len(self.files) > SHARE * self.photos


Confirm = Callable[[Gone], bool]


def refuse_many(gone: Gone) -> bool:
    """Raises SorceError."""
    raise SorceError(
        f"nothing was pruned: the files of {len(gone.files):,} of {gone.photos:,} photos are gone, such as "
        f"{next(iter(gone.files.values()))}; see whether all disks are mounted, and add --prune-anyway if they are."
    )


def prune(
    client: OpenSearch, index: str, files: Files, retry: Retry | None = None, confirm: Confirm = refuse_many
) -> int:
    """Removes the documents whose file is gone from the folders given, and from only those; how many.

    What counts is whether the file is there: one that is ignored now, or beyond a limit, stays. `confirm` is asked
    where more than a tenth is gone. Ends early where the run is asked to stop. Raises SorceError for a folder without
    any photo, as a disk that is not mounted looks; OtherRoot where the index was made below another root.
    """
    with translate_errors(address(client)):
        target = TargetIndex(client, index)
        target.look_up()
        refuse_other_root(target, files.naming.root)
        return prune_target(target, files, retry or Retry(), confirm)


def prune_target(target: TargetIndex, files: Files, retry: Retry, confirm: Confirm = refuse_many) -> int:
    """As `prune`, of an index that has been looked up."""
    removed = 0
    with suppress(Interrupted):
        gone = find_gone(target, files, retry)
        tell_kept(gone, retry)
        if target.found is None or not gone.files or (gone.are_many and not confirm(gone)):
            return 0
        sender = Sender(target.client, Guard.of(target.found), retry)
        left = iter(gone.files.items())
        while batch := list(islice(left, AT_ONCE)):
            # Looked at once more: a file may have come back since.
            still = [photo for photo, file in batch if is_gone(file)]
            sent = sender.send([Deletion(photo.uri, photo.photo_id, "pruned", photo.version) for photo in still])
            removed += len(sent.written)
        retry.ask(target.refresh)
    return removed


def count_gone(target: TargetIndex, files: Files, retry: Retry | None = None) -> int:
    """How many documents `prune` would remove."""
    try:
        return len(find_gone(target, files, retry or Retry()).files)
    except Interrupted:
        return 0


def find_gone(target: TargetIndex, files: Files, retry: Retry) -> Gone:
    """The photos whose file is gone. Raises Interrupted where the run ends first."""
    folders = files.folders()
    for folder in folders:
        refuse_empty(folder, files)
    found, kept, photos = dict[Listed, Path](), dict[Path, int](), 0
    for folder in folders:
        for photo, file in _below(target, folder, files, retry):
            photos += 1
            if is_gone(file):
                empty = empty_folder(file, folder)
                if empty is None:
                    found[photo] = file
                else:
                    kept[empty] = kept.get(empty, 0) + 1
    return Gone(found, kept, photos)


def _below(target: TargetIndex, folder: Path, files: Files, retry: Retry) -> Iterator[tuple[Listed, Path]]:
    """The photos of the index that lie below a folder, each with its file."""
    naming = files.naming
    for photo in target.listed(naming.uris_below(folder), naming.root is not None, retry):
        file = naming.file(photo.uri)
        # Named in another way, it is no file's: `s3://bucket/a.jpg` is no path below the root.
        if file is not None and is_inside(file, folder) and naming.uri(file) == photo.uri:
            yield photo, file


def is_inside(file: Path, folder: Path) -> bool:
    """Whether a path from the index is one of a photo below the folder: whoever wrote it could have written anything.

    A path with `..` would tell, by what is pruned, which files there are elsewhere.
    """
    # Path drops `.` and doubled slashes; NUL is in no file's name.
    return "\0" not in str(file) and ".." not in file.parts and file.is_relative_to(folder) and file.is_absolute()


def empty_folder(file: Path, folder: Path) -> Path | None:
    """The folder that holds nothing at all, and would hold the file or its folder; None where there is none."""
    for above in file.parents:
        if above == folder:
            return None
        with suppress(OSError), os.scandir(above) as entries:
            return above if next(entries, None) is None else None
    return None


def tell_kept(gone: Gone, retry: Retry) -> None:
    for folder, photos in gone.kept.items():
        retry.watch.noted(
            f"'{folder}' is empty, as if its disk were not mounted: its {photos:,} photos stay in the index; "
            "remove the folder if they are really gone."
        )


def refuse_empty(folder: Path, files: Files) -> None:
    photos, _ = Files([str(folder)], files.naming).count()
    if not photos:
        raise SorceError(
            f"nothing was pruned, as '{folder}' holds no photo at all; mount its disk, or name the folder above."
        )
