"""`sorce ingest` with a model that prints a line in its third call and waits for the signal to continue."""

import sys
from collections.abc import Sequence

from sorce import cli
from sorce.ingest import request
from sorce.mappings import Region
from tests.kit.fake import FakeModel, Seen


class Waiting(FakeModel):
    calls = 0

    def encode(self, prepared: Sequence[Seen]) -> list[list[Region]]:
        self.calls += 1
        if self.calls == 3:
            print("here", flush=True)
            sys.stdin.readline()
        return super().encode(prepared)


if __name__ == "__main__":
    request.load_model = lambda *_: Waiting()
    cli.ingest()
