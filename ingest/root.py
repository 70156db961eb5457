"""The root of an index: the folder that its relative photo paths start from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sorce.errors import OtherRoot
from sorce.ingest.index import TargetIndex


def refuse_other_root(target: TargetIndex, root: Path | None, *, moved: bool = False) -> None:
    """Raises OtherRoot if photos below this root would be mistaken for photos of another root.

    `moved` says that the photos of the index's root are now below this one. The index's own root is only compared and
    shown: `root` alone decides which files are opened.
    """
    there = None if target.found is None else target.found.shared_root
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
    """Like `refuse_other_root`, before photos come in; then stores this root in the index. Raises OtherRoot."""
    refuse_other_root(target, root, moved=moved)
    found = target.found
    if found is not None and found.shared_root is None and root is not None and target.has_absolute_paths():
        raise OtherRoot(
            f"index '{target.asked}' names photos by their absolute path, so all would come in twice; leave "
            "out --root, or name another index."
        )
    target.new = replace(target.new, root=None if root is None else str(root))
