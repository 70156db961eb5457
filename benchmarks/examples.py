"""Search by a crop, a region and a vector against numpy; and the service's metrics against what was sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import urllib3
from corpus import cluster, photo_id, refuse_rejects, write_regions
from figures import Line, exactly
from PIL import Image, ImageDraw
from prometheus_client.parser import text_string_to_metric_families
from queries import encoder

import sorce
from sorce.cluster import find_index
from sorce.ingest.guard import Guard
from sorce.ingest.write import Sender, Writer
from sorce.mappings import Box, Hits, Picture, Vector
from sorce.mappings.example import Example, LikePicture, LikeRegion, LikeVector
from sorce.mappings.index import index_body
from sorce.models import Model, load_model
from sorce.models.model import TextEncoder

PHOTOS, WIDTH, HEIGHT = 120, 320, 240
REGIONS = 12
QUERIES = 300
SIZE = 10
REQUESTS = 1000
SAME = 1e-5
"""Photos whose scores differ by less may change places: float32 numbers are added in another order."""


class Known(TextEncoder):
    """An encoder for the service that takes no time."""

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        return np.eye(1, 8, dtype=np.float32).repeat(len(texts), axis=0)


def measures() -> Iterator[Line]:
    yield from examples()
    yield from metrics()


def examples() -> Iterator[Line]:
    rng = np.random.default_rng(17)
    model = load_model("mini", "tiles", {"max_regions": REGIONS})
    photos = [drawn(rng) for _ in range(PHOTOS)]
    index, vectors = indexed(model, photos)
    # A crop is a photo of its own, and only its whole counts.
    whole = load_model("mini", "whole")
    for kind, make in {"crop": crop, "region": region, "vector": vector}.items():
        same = []
        for _ in range(QUERIES):
            example, wanted = make(rng, whole, photos, vectors)
            hits = index.search(sorce.SearchRequest(like=[example], size=SIZE, fold=None))
            same.append(are_numpys(hits, vectors, wanted))
        yield exactly(f"examples, {kind}: share of {QUERIES} whose first {SIZE} are numpy's", float(np.mean(same)), 1)


def drawn(rng: np.random.Generator) -> Image.Image:
    """A photo of coloured shapes."""
    photo = Image.new("RGB", (WIDTH, HEIGHT), colour(rng))
    pen = ImageDraw.Draw(photo)
    for _ in range(12):
        left, top = rng.integers(0, WIDTH - 60), rng.integers(0, HEIGHT - 60)
        sides = [int(left), int(top), int(left + rng.integers(15, 60)), int(top + rng.integers(15, 60))]
        (pen.ellipse if rng.integers(2) else pen.rectangle)(sides, fill=colour(rng))
    return photo


def colour(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(part) for part in rng.integers(0, 256, 3))


def indexed(model: Model[object], photos: list[Image.Image]) -> tuple[sorce.Index, list[Vector]]:
    """The photos in an index, and the vectors of each, of shape (regions, dimension)."""
    client, name = cluster(), "examples"
    found = model.embed_photos([Picture(photo) for photo in photos])
    client.indices.create(index=name, body=index_body(model.recipe, {"index.number_of_replicas": 0}))
    with Writer(Sender(client, Guard.of(find_index(client, name))), refuse_rejects) as writer:
        for number, regions in enumerate(found):
            writer.add(write_regions(number, regions))
    client.indices.refresh(index=name)
    vectors = [np.stack([region.vec for region in regions]) for regions in found]
    return sorce.Index(client, name, lambda: model, lambda _: model), vectors


Made = tuple[Example, Vector]
"""An example, and its vector by numpy."""


def crop(rng: np.random.Generator, model: Model[object], photos: list[Image.Image], _: list[Vector]) -> Made:
    """Its vector by numpy is that of a photo that Pillow cut out."""
    photo = photos[rng.integers(PHOTOS)]
    left, top = (int(side) for side in (rng.integers(0, WIDTH - 50), rng.integers(0, HEIGHT - 50)))
    right, bottom = left + int(rng.integers(30, 51)), top + int(rng.integers(30, 51))
    [[whole]] = model.embed_photos([Picture(photo.crop((left, top, right, bottom)))])
    return LikePicture(photo, Box(left, top, right, bottom)), whole.vec


def region(rng: np.random.Generator, _: Model[object], __: list[Image.Image], vectors: list[Vector]) -> Made:
    photo = int(rng.integers(PHOTOS))
    number = int(rng.integers(len(vectors[photo])))
    return LikeRegion(photo_id(photo), number), vectors[photo][number]


def vector(rng: np.random.Generator, model: Model[object], _: list[Image.Image], vectors: list[Vector]) -> Made:
    """Between two regions and off to a side, of any length."""
    pair = [vectors[rng.integers(PHOTOS)][0], vectors[rng.integers(PHOTOS)][-1]]
    found = np.asarray(sum(pair) + 0.02 * rng.standard_normal(model.recipe.dimension), np.float32)
    return LikeVector(3 * found), found / np.linalg.norm(found)


def are_numpys(hits: Hits, vectors: list[Vector], wanted: Vector) -> bool:
    """Whether the hits are numpy's first, in its order, each with its best region."""
    scores = np.array([float((each @ wanted).max()) for each in vectors])
    best = np.sort(scores)[::-1][:SIZE]
    shown = [int(hit.photo_id, 16) for hit in hits]
    if len(set(shown)) != SIZE or np.abs(scores[shown] - best).max() > SAME:
        return False
    return all(
        abs(float(vectors[photo][hit.best.region_id] @ wanted) - scores[photo]) < SAME
        and abs(hit.similarity - scores[photo]) < SAME
        for photo, hit in zip(shown, hits, strict=True)
    )


def metrics() -> Iterator[Line]:
    with encoder(Known()) as url:
        pool = urllib3.connection_from_url(url, maxsize=16)
        with ThreadPoolExecutor(16) as threads:
            sent = Counter(threads.map(sender(pool), range(REQUESTS)))
        text = pool.request("GET", "/metrics").data.decode()
    counted: Counter[tuple[str, int]] = Counter()
    for family in text_string_to_metric_families(text):
        for each in family.samples:
            if each.name == "sorce_requests_total":
                counted[each.labels["route"], int(each.labels["code"])] += int(each.value)
    # The request for the metrics itself is counted after its answer.
    wrong = sum(abs(sent[key] - counted[key]) for key in {*sent, *counted})
    yield exactly(f"service: requests of {REQUESTS:,} that the metrics count otherwise", wrong, 0)


def sender(pool: urllib3.HTTPConnectionPool) -> Callable[[int], tuple[str, int]]:
    """Sends the request of a number: two of five are refused."""

    def send(number: int) -> tuple[str, int]:
        path = ("/v1/embeddings", "/v1/embeddings", "/health", "/nowhere", "/v1/embeddings")[number % 5]
        body = {"input": [] if number % 5 == 4 else [f"text {number}"]}
        embeds = path == "/v1/embeddings"
        answer = pool.request("POST", path, json=body) if embeds else pool.request("GET", path)
        return "other" if path == "/nowhere" else path, answer.status

    return send
