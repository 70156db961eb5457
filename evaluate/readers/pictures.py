"""The pictures of a benchmark, found by the names in its label file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path, PurePosixPath

from sorce.errors import BadPhoto, GroundTruthError
from sorce.evaluate.ground_truth import LabelledPicture, Remarks
from sorce.pictures.files import Files
from sorce.pictures.loading import upright_size
from sorce.pictures.names import composed, spellings
from sorce.pictures.source import Source

MISSING = "pictures that are not in the folder, left out"
SAME_NAME = "names that several pictures have, left out"
UNNAMED = "pictures in the folder that the label file does not name, left out"
UNREADABLE = "pictures that cannot be opened, which therefore are not found"


class Pictures:
    """The pictures below a folder. Names are compared in Unicode's composed form."""

    def __init__(self, folder: Path, remarks: Remarks) -> None:
        """Raises GroundTruthError where there are none."""
        self._remarks = remarks
        self._sources: dict[str, Source] = {}
        self._paths: dict[str, list[str]] = defaultdict(list)
        self._file_names: dict[str, list[str]] = defaultdict(list)
        self._found: dict[str, LabelledPicture] = {}
        self._missing: set[str] = set()
        top = folder.absolute()
        for source in Files([str(top)]):
            if isinstance(source, Source):
                name = Path(source.name).relative_to(top).as_posix()
                self._sources[name] = source
                self._paths[composed(name)].append(name)
                self._file_names[composed(source.file_name)].append(name)
            else:
                remarks.add("files whose name is not UTF-8, left out", source.path)
        if not self._sources:
            raise GroundTruthError(f"there are no pictures in '{folder}'; name the folder that holds the benchmark's.")

    def __iter__(self) -> Iterator[LabelledPicture]:
        """All of them."""
        return (self._picture(name) for name in self._sources)

    def at(self, name: str) -> LabelledPicture | None:
        """The picture with exactly this path below the folder. A missing one adds a remark."""
        return self._one_of(self._at(name), name)

    def find(self, name: str) -> LabelledPicture | None:
        """The picture whose path shares the most parts with the name, from the end: folders may differ after unpacking.

        A missing picture adds a remark, and so does a name that fits several pictures equally well.
        """
        return self._one_of(self._at(name) or self._most_alike(name), name)

    def remark_unnamed(self) -> None:
        """Adds remarks on the pictures that the label file has not named."""
        for name in self._sources:
            if name not in self._found:
                self._remarks.add(UNNAMED, name)

    def _at(self, name: str) -> list[str]:
        """The pictures at this path."""
        for path in spellings(name):
            if path in self._sources:
                return [path]
            if same := self._paths.get(composed(path)):
                return same
        return []

    def _most_alike(self, name: str) -> list[str]:
        """The pictures with this file name whose paths share the most parts with it, counted from the end."""
        for path in spellings(name):
            wanted = PurePosixPath(composed(path)).parts[::-1]
            same = self._file_names.get(wanted[0], []) if wanted else []
            common = {other: _common(wanted, PurePosixPath(composed(other)).parts[::-1]) for other in same}
            if common:
                return [other for other in same if common[other] == max(common.values())]
        return []

    def _one_of(self, names: Sequence[str], asked: str) -> LabelledPicture | None:
        if len(names) == 1:
            return self._picture(names[0])
        if asked not in self._missing:
            self._missing.add(asked)
            self._remarks.add(SAME_NAME if names else MISSING, asked)
        return None

    def _picture(self, name: str) -> LabelledPicture:
        if name not in self._found:
            source = self._sources[name]
            try:
                size = upright_size(Path(source.name))
            except BadPhoto:
                self._remarks.add(UNREADABLE, name)
                size = None
            self._found[name] = LabelledPicture(name, source, size)
        return self._found[name]


def _common(parts: Sequence[str], others: Sequence[str]) -> int:
    """How many parts at the beginning are equal."""
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(parts, others, strict=False))))
