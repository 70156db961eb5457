"""Photos with known vectors in an index, a model of words, and what a search must find according to numpy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import orjson
from numpy.typing import NDArray
from opensearchpy import OpenSearch
from PIL.Image import Image

from sorce.mappings import Box, Photo, PhotoFile, Recipe, Region, Vector
from sorce.mappings.answer import non_max_suppression
from sorce.mappings.compression import FLOAT32
from sorce.mappings.document import document
from sorce.mappings.example import Example, LikePicture, LikeRegion
from sorce.mappings.hits import Match
from sorce.mappings.index import attributes_mapping, index_body
from sorce.mappings.request import SearchRequest, boxes_to_fetch
from sorce.models.model import TextEncoder

PHOTOS, REGIONS, DIMENSION = 150, 12, 16

RECIPE = Recipe("words", "1", "tiles", DIMENSION, "numpy")


class Words(TextEncoder):
    """A vector for any text, the same each time. `calls` lists the texts; another `turn` makes another model."""

    def __init__(self, turn: str = "") -> None:
        self.turn = turn
        self.calls: list[list[str]] = []

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        self.calls.append(list(texts))
        return np.array([self._vector(text) for text in texts], np.float32).reshape(len(texts), DIMENSION)

    def embed_images(self, images: Sequence[Image]) -> Vector:
        """The vector of an image's average colour."""
        colours = [image.resize((1, 1)).getpixel((0, 0)) for image in images]
        return np.array([self._vector(str(colour)) for colour in colours], np.float32)

    def _vector(self, text: str) -> NDArray[np.float64]:
        seed = hashlib.sha256((self.turn + text).encode(errors="replace")).digest()
        vector = np.random.default_rng(list(seed)).normal(size=DIMENSION)
        return vector / np.linalg.norm(vector)


@dataclass(frozen=True)
class Expected:
    """What a search must find: photos, best first; their scores; and for each phrase the best boxes."""

    photo_ids: list[str]
    scores: list[float]
    matches: list[list[list[Match]]]


class Corpus:
    """Photo i has `regions` regions, each with its own box. Half of the photos are in `a/b`, the others in `a`."""

    def __init__(self, photos: int = PHOTOS, regions: int = REGIONS) -> None:
        rng = np.random.default_rng(1)
        vectors = rng.normal(size=(photos, regions, DIMENSION))
        self.quality = np.tile(1 - np.arange(regions) / 20, (photos, 1))
        self.hubness = np.random.default_rng(2).uniform(-0.3, 0.6, (photos, regions))
        self.vectors = (vectors / np.linalg.norm(vectors, axis=2, keepdims=True)).astype(np.float32)
        self.photos = [self._photo(i) for i in range(photos)]
        self.regions = [[self._region(i, r) for r in range(regions)] for i in range(photos)]

    def _photo(self, i: int) -> Photo:
        file = PhotoFile(
            f"{i:032x}", f"file:///photos/{i}.jpg", f"{i}.jpg", "/a/b" if i % 2 else "/a", f"hash{i}", 1000
        )
        taken = datetime(2026, 1 + i % 12, 1, tzinfo=UTC)
        attributes = {"aisle": i % 5, "shop": "north" if i % 3 else "south"}
        return Photo(file, 1000, 800, taken, "Canon" if i % 4 else None, attributes)

    def _region(self, i: int, r: int) -> Region:
        # Pairs of boxes overlap, so that some boxes must be left out when boxes are shown.
        left, side = 80.0 * (r // 2) + 5 * (r % 2), 40.0 + 2 * r
        return Region(
            Box(left, 10, left + side, 10 + side),
            self.vectors[i, r],
            "tile" if r else "whole",
            quality=float(self.quality[i, r]),
            hubness=float(self.hubness[i, r]),
        )

    def load(self, client: OpenSearch, index: str, recipe: Recipe = RECIPE, compression: str = FLOAT32) -> None:
        body = index_body(recipe, {"index.number_of_replicas": 0}, compression=compression)
        client.indices.create(index=index, body=body)
        self.fill(client, index, recipe)

    def load_half(self, client: OpenSearch, index: str) -> None:
        """Loads into an index of two shards. One of them stays empty and is assigned to no node."""
        settings = {"number_of_replicas": 0, "number_of_shards": 2, "routing.allocation.total_shards_per_node": 1}
        body = index_body(RECIPE, {f"index.{name}": value for name, value in settings.items()})
        client.indices.create(index=index, body=body, params={"wait_for_active_shards": "0"})
        client.cluster.health(index=index, params={"wait_for_no_initializing_shards": "true"})
        routing = next(str(each) for each in range(20) if assigned(client, index, str(each)))
        self.fill(client, index, RECIPE, {"routing": routing})

    def fill(
        self,
        client: OpenSearch,
        index: str,
        recipe: Recipe,
        params: Mapping[str, str] | None = None,
        part: slice = slice(None),
    ) -> None:
        """Writes all photos, or a part of them."""
        client.indices.put_mapping(index=index, body=attributes_mapping(self.photos[0].attributes))
        lines = []
        for photo, regions in zip(self.photos[part], self.regions[part], strict=True):
            body = document(photo, regions, datetime(2026, 7, 1, tzinfo=UTC), recipe.hash)
            lines += [orjson.dumps({"index": {"_id": photo.file.photo_id}}), orjson.dumps(body, None, SERIALIZE_NUMPY)]
        answer = client.bulk(body=b"\n".join(lines) + b"\n", index=index, params={"refresh": "true", **(params or {})})
        assert not answer["errors"], answer["items"][0]

    def keeps(self, i: int, r: int, request: SearchRequest) -> bool:
        """Whether the request's filter keeps a region, computed in Python."""
        photo, region, wanted = self.photos[i], self.regions[i][r], request.filter
        area = region.box.share_of(photo.width, photo.height)
        assert photo.taken_at is not None
        taken = photo.taken_at.date().isoformat()
        return (
            (not wanted.kinds or region.kind in wanted.kinds)
            and (wanted.min_area is None or area >= wanted.min_area)
            and (wanted.max_area is None or area <= wanted.max_area)
            and (wanted.min_quality is None or region.quality >= wanted.min_quality - 1e-6)
            and (wanted.folder is None or f"{photo.file.folder}/".startswith(f"{wanted.folder.rstrip('/')}/"))
            and not any(f"{photo.file.folder}/".startswith(f"{each.rstrip('/')}/") for each in wanted.exclude_folder)
            and (wanted.camera is None or photo.camera == wanted.camera)
            and (wanted.since is None or taken >= wanted.since)
            and (wanted.until is None or taken <= wanted.until)
            and all(self._holds(photo, condition) for condition in wanted.where)
        )

    @staticmethod
    def _holds(photo: Photo, condition: str) -> bool:
        if ">=" in condition:
            key, least = condition.split(">=")
            return int(str(photo.attributes[key])) >= int(least)
        key, value = condition.split("=")
        return str(photo.attributes[key]) == value

    def expected(self, request: SearchRequest, matching: Mapping[str, float] | None = None) -> Expected:
        """The expected result, by numpy over all photos."""
        words = Words()
        texts = [words.embed_texts([text])[0] for text in request.texts]
        told = len(request.phrases)
        like, unlike = ([self.vector_of(each) for each in many] for many in (request.like, request.not_like))
        sought = [*texts[:told], *like, *texts[told:], *unlike]
        cosines = [(self.vectors @ vector).astype(np.float64) for vector in sought]
        values = [self._value(cosine, request, matching) for cosine in cosines]
        split = told + len(request.like)
        phrases = [
            np.where(self._kept(cosine, request), value, -np.inf)
            for cosine, value in zip(cosines[:split], values[:split], strict=True)
        ]
        least = 0 if request.rank == "product" else -np.inf
        nots = [np.maximum(value.max(axis=1), least) for value in values[split:]]
        found = [i for i in range(PHOTOS) if all(np.isfinite(value[i].max()) for value in phrases)]
        score = {i: sum(p[i].max() for p in phrases) - sum(n[i] for n in nots) / 2 for i in found}
        best = sorted(found, key=lambda i: -score[i])[request.start : request.start + request.size]
        shown = [
            [
                self._shown(i, value[i], cosine[i], request.boxes)
                for value, cosine in zip(phrases, cosines, strict=False)
            ]
            for i in best
        ]
        return Expected([self.photos[i].file.photo_id for i in best], [float(score[i]) for i in best], shown)

    def vector_of(self, example: Example) -> Vector:
        """The unit vector of an example, by numpy."""
        if isinstance(example, LikeRegion):
            vector: Vector = self.vectors[int(example.photo_id, 16), example.region_id]
            return vector
        if isinstance(example, LikePicture):
            sides = None if example.box is None else tuple(map(int, example.box.as_tuple()))
            part = example.image if sides is None else example.image.crop(sides)
            return Words().embed_images([part.convert("RGB")])[0]
        return example.vector

    def _value(
        self, cosine: NDArray[np.float64], request: SearchRequest, matching: Mapping[str, float] | None
    ) -> NDArray[np.float64]:
        """The value that each region is ranked by."""
        if request.rank == "similarity":
            return cosine - request.debias * self.hubness
        if matching:
            return self.quality / (1 + np.exp(-(matching["scale"] * cosine + matching["bias"])))
        return self.quality * cosine

    def _kept(self, cosine: NDArray[np.float64], request: SearchRequest) -> NDArray[np.bool_]:
        kept = [[self.keeps(i, r, request) for r in range(REGIONS)] for i in range(PHOTOS)]
        min_similarity = -2 if request.min_similarity is None else request.min_similarity
        return np.array(kept) & (cosine >= min_similarity)

    def _shown(self, i: int, value: NDArray[np.float64], cosine: NDArray[np.float64], boxes: int) -> list[Match]:
        order = [int(r) for r in np.argsort(-value) if np.isfinite(value[r])][: boxes_to_fetch(boxes)]
        return non_max_suppression((self._match(i, r, float(cosine[r])) for r in order), boxes)

    def _match(self, i: int, r: int, similarity: float) -> Match:
        region = self.regions[i][r]
        return Match(r, region.box, region.kind, region.box.share_of(1000, 800), region.quality, similarity)


def assigned(client: OpenSearch, index: str, routing: str) -> bool:
    """Whether the shard with this routing is assigned to a node."""
    [copies] = client.search_shards(index=index, params={"routing": routing})["shards"]
    return bool(copies) and copies[0]["state"] == "STARTED"


SERIALIZE_NUMPY = orjson.OPT_SERIALIZE_NUMPY
