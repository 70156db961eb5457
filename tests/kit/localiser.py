"""A localiser without a network, photos for it, and a service that fails as told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import numpy as np
from PIL import Image

from sorce.mappings import Box, Instance, Located, LocateRequest

SIDE = 64


def paint(folder: Path, photos: int) -> list[Path]:
    """Photos of random colours: each quarter has its own."""
    colours = np.random.default_rng(3).integers(0, 256, (photos, 2, 2, 3), np.uint8)
    files = [folder / f"{number}.png" for number in range(photos)]
    for file, each in zip(files, colours, strict=True):
        Image.fromarray(each).resize((SIDE, SIDE), Image.Resampling.NEAREST).save(file)
    return files


class FakeLocaliser:
    """The box is the middle of the index's; the score depends on the text, the box and the photo's first pixel.

    Further instances are the same box, each with half the score of the one before.
    """

    name = "fake"

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Box | None]] = []

    def locate(self, requests: Sequence[LocateRequest], boxes: int = 1, min_score: float = 0.0) -> list[Located]:
        self.asked += [(each.picture.name, each.text, each.box) for each in requests]
        return [self._one(each, boxes, min_score) for each in requests]

    def _one(self, asked: LocateRequest, boxes: int, min_score: float) -> Located:
        box = asked.box or Box(0, 0, *asked.picture.size)
        across, down = (box.x2 - box.x1) / 4, (box.y2 - box.y1) / 4
        tight = Box(box.x1 + across, box.y1 + down, box.x2 - across, box.y2 - down)
        seen = f"{asked.text} {tight} {asked.picture.image.getpixel((0, 0))}"
        score = int.from_bytes(hashlib.sha256(seen.encode()).digest()[:6]) / 2**48
        others = [Instance(tight, half) for number in range(1, boxes) if (half := score / 2**number) >= min_score]
        return Located(tight, score, (box, tight), (Instance(tight, score), *others))


FAULTS = ("500", "hang", "fewer", "more", "nulls", "no scores", "no JSON", "none")


class FailingService:
    """Passes requests on to a localiser service, and spoils the answers as `fault` says, which is one of FAULTS."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.fault = ""
        self.released = Event()

    def answer(self, path: str, body: bytes, key: str) -> tuple[int, bytes]:
        headers = {"Authorization": key, "Content-Type": "application/json"}
        answer = httpx.post(f"{self._url}{path}", content=body, headers=headers, timeout=60)
        if self.fault == "hang":
            self.released.wait(60)
        right = answer.json()
        results = right["results"]
        wrong: dict[str, Any] = {
            "fewer": {**right, "results": results[1:]},
            "more": {**right, "results": [*results, results[0]]} if results else right,
            "nulls": {**right, "results": [{"score": None, "box": None}] * len(results)},
            "no scores": {**right, "results": [{**each, "score": "high"} for each in results]},
            "none": {},
        }
        if self.fault == "no JSON":
            return 200, b"<html>"
        return 500 if self.fault == "500" else answer.status_code, json.dumps(wrong.get(self.fault, right)).encode()


@contextmanager
def failing(service: FailingService) -> Iterator[str]:
    """The service's address."""

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"]))
            status, body = service.answer(self.path, sent, self.headers.get("Authorization", ""))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A cluster that stops waiting is what the tests want."""

    with Server(("127.0.0.1", 0), Answering) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            service.released.set()
            server.shutdown()
            thread.join()
