"""The root of an index: the folder that the relative paths of its photos were read below."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sorce.errors import SorceError
from sorce.ingest.index import TargetIndex


class OtherRoot(SorceError):
    """The index names its photos by paths below another folder."""


def refuse_other_root(target: TargetIndex, root: Path | None, *, moved: bool = False) -> None:
    """Raises OtherRoot where photos below this root would be taken for those of another.

    `moved` says that the photos of the index's root lie below this one now. The index's own root is only compared and
    shown: what is opened is decided by `root` alone.
    """
    there = None if target.found is None else target.found.root
    if there is not None and root is None:
        raise OtherRoot(
            f"index '{target.asked}' names photos by their path below '{there}', so all would come in twice; add "
            f"--root '{there}', or --root FOLDER --root-moved if they lie below another folder now."
        )
    if there is not None and str(root) != there and not moved:
        raise OtherRoot(
            f"index '{target.asked}' holds photos below '{there}', and a photo below '{root}' with the same path would "
            "replace one of them; if the same photos lie there now, add --root-moved, and else name another index."
        )


def agree_on_root(target: TargetIndex, root: Path | None, *, moved: bool = False) -> None:
    """As `refuse_other_root`, before photos come in; then the index gets this root. Raises OtherRoot."""
    refuse_other_root(target, root, moved=moved)
    found = target.found
    if found is not None and found.root is None and root is not None and target.has_absolute_paths():
        raise OtherRoot(
            f"index '{target.asked}' names photos by their absolute path, so all would come in twice; leave "
            "out --root, or name another index."
        )
    target.new = replace(target.new, root=None if root is None else str(root))
