"""Deletes photos from an index: those that were listed, in the state in which they were listed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from opensearchpy import OpenSearch

from sorce.errors import IndexMissing, QueryError, SorceError
from sorce.ingest.actions import Deletion
from sorce.ingest.guard import Guard
from sorce.ingest.index import Listed, TargetIndex
from sorce.ingest.retry import Retry
from sorce.ingest.write import Sender
from sorce.mappings.selection import Selection

AT_ONCE = 1000

log = logging.getLogger("sorce.ingest")


@dataclass(frozen=True, slots=True)
class Deleted:
    """How many photos were deleted, and how many were left alone because they had changed since they were listed."""

    photos: int
    left_alone: int


class Removal:
    """The photos of an index that a selection names, listed once. Deletes these and no others."""

    def __init__(self, client: OpenSearch, index: str, selection: Selection, retry: Retry | None = None) -> None:
        """Raises IndexMissing; QueryError for a selection of all photos, or a condition that the index cannot meet."""
        if selection.is_all:
            raise QueryError(
                "no photo and no condition is named, so all photos would be deleted; name some, or delete the index "
                f"with `sorce index delete {index}`."
            )
        self._retry = retry or Retry()
        self._target = TargetIndex(client, index)
        if self._target.look_up() is None:
            raise IndexMissing(f"there is no index '{index}', so nothing was deleted; `sorce index list` names all.")
        # Photos written just now would be overlooked.
        self._target.refresh()
        self.photos: Sequence[Listed] = list(self._target.selected(selection, self._retry))

    def run(self) -> Deleted:
        """Raises ClusterError; IndexReplaced if the name no longer stands for the index."""
        assert self._target.found is not None
        sender = Sender(self._target.client, Guard.of(self._target.found), self._retry)
        deleted = left_alone = 0
        for start in range(0, len(self.photos), AT_ONCE):
            some = self.photos[start : start + AT_ONCE]
            sent = sender.send([Deletion(photo.uri, photo.photo_id, "pruned", photo.version) for photo in some])
            if sent.rejected:
                raise SorceError(f"{sent.rejected[0].path} cannot be deleted: it {sent.rejected[0].reason}.")
            deleted, left_alone = deleted + len(sent.written), left_alone + len(sent.left_alone)
        self._target.refresh()
        log.info("deleted %d photos from '%s'; %d had changed", deleted, self._target.name, left_alone)
        return Deleted(deleted, left_alone)
