"""Which part of a photo's path callers see: the part below the roots, unless the operator shows all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from sorce.pictures.files import absolute
from sorce.pictures.uris import Root

_PATH = re.compile(r"(?<![\w.:/])/[^\s'\"]*/")
"""Absolute folders in a sentence."""


class Folders:
    """Translates folders of the index into those that are shown, and back.

    Below a single root, folders are shown relative to it; below one of several, with the root's name before. Of others
    only the last name is shown.
    """

    def __init__(self, roots: Sequence[Root], show_paths: bool) -> None:
        self._all = show_paths
        # A root may be a link: an index holds the path as it was ingested, with links as given.
        forms = [
            {absolute(str(root)), str(root.resolve())} if isinstance(root, Path) else {root.uri.rstrip("/")}
            for root in roots
        ]
        named = [PurePosixPath(root.resolve() if isinstance(root, Path) else root.uri).name for root in roots]
        alone = len(forms) == 1
        self._roots = [
            (form, "" if alone else f"{name}/") for some, name in zip(forms, named, strict=True) for form in some
        ]

    def shown(self, folder: str) -> str:
        """`.` for a single root itself."""
        if self._all or not (folder.startswith("/") or "://" in folder):
            return folder
        for root, name in self._roots:
            if folder == root or folder.startswith(f"{root}/"):
                return (name + folder[len(root) + 1 :]).rstrip("/") or "."
        return PurePosixPath(folder).name

    def stored(self, shown: str) -> list[str]:
        """The absolute folders that may be shown so: at least one."""
        if self._all or shown.startswith("/") or not self._roots:
            return [shown]
        found = [
            f"{root}/{shown[len(name) :]}".rstrip("/") if shown != "." else root
            for root, name in self._roots
            if f"{shown}/".startswith(name) or not name
        ]
        return list(dict.fromkeys(found)) or [shown]

    def sentence(self, text: str) -> str:
        """A sentence for the caller, without folders that are not shown."""
        if self._all:
            return text
        for root, name in self._roots:
            text = text.replace(f"{root}/", name).replace(root, name.rstrip("/") or ".")
        return _PATH.sub("", text)
