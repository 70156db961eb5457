"""The loop that one would write without sorce: open, crop, encode, `helpers.bulk`. The baseline of ingest.

It makes the same regions of the same photos, and stores all of them in an index with the same mapping. It encodes in
batches, and `helpers.bulk` puts the documents together into requests.

    python benchmarks/plain_loop.py --index plain --model mini PHOTOS
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from opensearchpy import OpenSearch, helpers
from PIL import Image, ImageOps
from sentence_transformers import SentenceTransformer

from sorce.cluster import connect
from sorce.mappings import Box, Recipe
from sorce.mappings.index import index_body
from sorce.models import MAX_REGIONS, MIN_OBJECT_SIZE
from sorce.models.checkpoint import find
from sorce.models.tiling import plan

BATCH_SIZE = 64


def plain_loop(
    client: OpenSearch,
    index: str,
    photos: Sequence[Path],
    model: SentenceTransformer,
    min_object_size: float,
    max_regions: int,
) -> int:
    """Writes one document per photo into an existing index, and returns how many."""
    written, _ = helpers.bulk(client, documents(photos, model, min_object_size, max_regions), index=index)
    client.indices.refresh(index=index)
    return int(written)


def documents(
    photos: Sequence[Path], model: SentenceTransformer, min_object_size: float, max_regions: int
) -> Iterator[dict[str, Any]]:
    for file in photos:
        photo = ImageOps.exif_transpose(Image.open(file)).convert("RGB")
        boxes = regions(photo.width, photo.height, min_object_size, max_regions, input_size(model))
        crops = [photo.crop(box.as_tuple()) for box in boxes]
        vectors = model.encode(crops, batch_size=BATCH_SIZE, normalize_embeddings=True, show_progress_bar=False)
        yield {
            "_id": file.stem,
            "_source": {
                "photo_id": file.stem,
                "uri": file.as_uri(),
                "file_name": file.name,
                "folder": str(file.parent),
                "width": photo.width,
                "height": photo.height,
                "regions": [
                    {
                        "id": number,
                        "kind": "tile" if number else "whole",
                        **dict(zip(("x1", "y1", "x2", "y2"), box.as_tuple(), strict=True)),
                        "area": box.share_of(photo.width, photo.height),
                        "quality": 1.0,
                        "folder": str(file.parent),
                        "vec": vector.tolist(),
                    }
                    for number, (box, vector) in enumerate(zip(boxes, vectors, strict=True))
                ],
            },
        }


def regions(width: int, height: int, min_object_size: float, max_regions: int, side: int) -> list[Box]:
    """The boxes of `tiles`, or of `whole` if `max_regions` is 1."""
    sheets = plan(width, height, min_object_size, max_regions, side) if max_regions > 1 else []
    return [Box(0, 0, width, height), *(box for sheet in sheets for box in sheet.boxes(width, height))]


def input_size(model: SentenceTransformer) -> int:
    config: Any = model.config
    return int(config.vision_config.image_size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--index", required=True)
    parser.add_argument("--url")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--min-object-size", type=float, default=MIN_OBJECT_SIZE)
    parser.add_argument("--max-regions", type=int, default=MAX_REGIONS)
    given = parser.parse_args()
    client = connect(given.url)
    model = SentenceTransformer(find(given.model).place, model_kwargs={"dtype": "float32"})
    dimension = int(model.get_embedding_dimension() or 0)
    client.indices.create(index=given.index, body=index_body(Recipe(given.model, "", "tiles", dimension, "")))
    photos = sorted(given.folder.absolute().rglob("*.jpg"))
    started = time.perf_counter()
    written = plain_loop(client, given.index, photos, model, given.min_object_size, given.max_regions)
    seconds = time.perf_counter() - started
    print(json.dumps({"photos": written, "seconds": seconds}))


if __name__ == "__main__":
    main()
