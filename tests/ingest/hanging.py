"""`sorce ingest` with a model that prints a line when it prepares the first photo, and then hangs."""

import sys
import time

from sorce import cli
from sorce.ingest import request
from sorce.mappings import Picture
from tests.kit.fake import FakeModel, Seen


class Hanging(FakeModel):
    def prepare(self, picture: Picture) -> Seen:  # noqa: ARG002
        print("here", flush=True)
        time.sleep(600)
        sys.exit("nobody waits so long")


if __name__ == "__main__":
    request.load_model = lambda *_: Hanging()
    cli.ingest()
