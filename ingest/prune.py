"""Removes from an index the photos whose file no longer exists."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
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
from sorce.pictures.files import Files, is_folder, is_gone

AT_ONCE = 1000

SHARE = 0.1
"""A larger share of missing photos must be confirmed: a disk may not be mounted, or a folder may have been moved."""


@dataclass(frozen=True)
class Gone:
    """The photos below `folders` whose file is gone, and the file of each.

    `photos` counts all photos in the index below them. `kept` are photos whose folder exists but is empty,
    as for a disk that is not mounted: they stay in the index.
    """

    folders: Sequence[Path] = ()
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
        f"{next(iter(gone.files.values()))}; check that all disks are mounted, and if they are, add --prune-anyway."
    )


def prune(
    client: OpenSearch, index: str, files: Files, retry: Retry | None = None, confirm: Confirm = refuse_many
) -> int:
    """Removes the documents whose file is gone, only below the given folders. Returns how many were removed.

    Only the existence of the file counts: a photo that is now ignored, or exceeds a limit, stays. `confirm` is asked if
    more than a tenth is gone. Ends early if the run is asked to stop. Raises SorceError for a folder without any photo,
    as a disk that is not mounted looks; OtherRoot if the index uses another root.
    """
    with translate_errors(address(client)):
        target = TargetIndex(client, index)
        target.look_up()
        refuse_other_root(target, files.naming.root)
        return prune_target(target, files, retry or Retry(), confirm)


def prune_target(target: TargetIndex, files: Files, retry: Retry, confirm: Confirm = refuse_many) -> int:
    """Like `prune`, for an index that has been looked up."""
    removed = 0
    with suppress(Interrupted):
        gone = find_gone(target, files, retry)
        tell_kept(gone, retry)
        if target.found is None or not gone.files or (gone.are_many and not confirm(gone)):
            return 0
        sender = Sender(target.client, Guard.of(target.found), retry)
        left = iter(gone.files.items())
        try:
            while batch := list(islice(left, AT_ONCE)):
                # Checked again: a file may have come back since.
                still = [photo for photo, file in batch if is_gone(file)]
                # After it: a disk may have been unmounted since.
                refuse_empty(gone.folders, files, "no more was pruned")
                sent = sender.send([Deletion(photo.uri, photo.photo_id, "pruned", photo.version) for photo in still])
                removed += len(sent.written)
        finally:
            retry.ask(target.refresh)
    return removed


def count_gone(target: TargetIndex, files: Files, retry: Retry | None = None) -> int:
    """How many documents `prune` would remove."""
    try:
        return len(find_gone(target, files, retry or Retry()).files)
    except Interrupted:
        return 0


def find_gone(target: TargetIndex, files: Files, retry: Retry) -> Gone:
    """The photos whose file is gone. Raises Interrupted if the run ends first."""
    folders = files.folders()
    refuse_empty(folders, files, "nothing was pruned")
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
    return Gone(folders, found, kept, photos)


def _below(target: TargetIndex, folder: Path, files: Files, retry: Retry) -> Iterator[tuple[Listed, Path]]:
    """The photos of the index that are below a folder, each with its file."""
    naming = files.naming
    for photo in target.listed(naming.uris_below(folder), naming.root is not None, retry):
        file = naming.file(photo.uri)
        # Other names belong to no file: `s3://bucket/a.jpg` is no path below the root.
        if file is not None and is_inside(file, folder) and naming.uri(file) == photo.uri:
            yield photo, file


def is_inside(file: Path, folder: Path) -> bool:
    """Whether a path from the index is a valid photo path below the folder. Anything may be written in an index.

    With `..` in a path, what is pruned would reveal which files exist elsewhere.
    """
    # Path drops `.` and doubled slashes; no file name contains NUL.
    return "\0" not in str(file) and ".." not in file.parts and file.is_relative_to(folder) and file.is_absolute()


def empty_folder(file: Path, folder: Path) -> Path | None:
    """The completely empty folder that would contain the file or its folder; None if there is none."""
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


class EmptyFolder(SorceError):
    """A folder holds no photo, as one whose disk is not mounted."""


def refuse_empty(folders: Sequence[Path], files: Files, said: str) -> None:
    """Raises EmptyFolder, whose sentence begins with what is said."""
    for folder in folders:
        # Some mount points vanish with their disk; the path of a file that is not there counts as a photo.
        if not is_folder(folder) or not holds_photos(folder, files):
            raise EmptyFolder(
                f"{said}, because '{folder}' holds no photo; mount its disk, or name the folder above it."
            )


def holds_photos(folder: Path, files: Files) -> bool:
    return next(iter(Files([str(folder)], files.naming)), None) is not None
