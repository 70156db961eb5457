"""Models of the tests of Ray, in a module that a worker imports in little time."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from sorce.mappings import Region
from tests.kit.fake import FakeModel, Seen

SOME = 16
"""Photos that a worker has encoded when it is killed: half a batch."""


class Ending(FakeModel):
    """Its process is killed while it encodes, once for each file that it finds in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def encode(self, prepared: Sequence[Seen]) -> list[list[Region]]:
        if len(self.photos) > SOME:
            for file in self._folder.iterdir():
                file.unlink(missing_ok=True)
                os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(prepared)


class Different(FakeModel):
    """Another recipe in a worker than in the process of the test."""

    def __init__(self, test: int) -> None:
        super().__init__("1" if os.getpid() == test else "2")
