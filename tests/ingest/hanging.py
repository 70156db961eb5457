"""`sorce ingest` with a model that says so when the first photo is prepared, and then hangs."""

import sys
import time

from PIL.Image import Image

from sorce import cli
from sorce.ingest import commands
from tests.kit.fake import FakeModel, Seen


class Hanging(FakeModel):
    def prepare(self, photo: Image) -> Seen:  # noqa: ARG002
        print("here", flush=True)
        time.sleep(600)
        sys.exit("nobody waits so long")


if __name__ == "__main__":
    commands.load_model = lambda *_: Hanging()
    cli.ingest()
