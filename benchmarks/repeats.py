"""What it costs and saves to store only about half of a photo's tiles."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence

import numpy as np
from corpus import refuse_rejects, write_regions
from figures import Line, at_most
from finds import scenes
from opensearchpy import OpenSearch

from sorce.cluster import connect, find_index
from sorce.engine import running
from sorce.evaluate.metrics import best_region_scores, ranks, recall_at
from sorce.evaluate.run import merged_size
from sorce.ingest.guard import Guard
from sorce.ingest.write import Sender, Writer
from sorce.mappings import Region, Vector
from sorce.mappings.index import index_body
from sorce.models import load_model
from sorce.models.near_duplicates import most_distinct, rarity
from sorce.models.tiling import MAX_REGIONS, MAX_STORED
from sorce.pictures.loading import open_picture
from training.mini.bank import SEEN, UNSEEN
from training.scenes.collection import REPORTING

WORDINGS = ("{}", "a small {}")
ROUNDS = 3

Photos = Sequence[Sequence[Region]]


def measures() -> Iterator[Line]:
    model = load_model("mini", "tiles", {"max_stored": MAX_REGIONS})
    found, asked = {"all": list[float](), "kept": list[float]()}, 0
    # The number of stored tiles was not chosen on either of them.
    for styles in (UNSEEN, SEEN):
        those = scenes(REPORTING, styles)
        photos = [model.embed_photos([open_picture(picture)])[0] for picture in those.pictures]
        vectors = [np.stack([region.vec for region in regions]) for regions in photos]
        kept = [most_distinct(each, MAX_STORED, rarity(each)) for each in vectors]
        texts = model.embed_texts([wording.format(query) for query in those.queries for wording in WORDINGS])
        relevant = np.repeat(those.relevant, len(WORDINGS), axis=0)
        asked += len(texts)
        for name, stored in {"all": vectors, "kept": _taken(vectors, kept)}.items():
            found[name].append(recall_at(5, ranks(best_region_scores(texts, stored), relevant)))
    everything, some = (float(np.mean(found[name])) for name in ("all", "kept"))
    note = f"{asked} queries: {some:.3f} of {MAX_STORED}, {everything:.3f} of {np.mean(list(map(len, vectors))):.0f}"
    yield at_most("repeats left out: loss of R@5", everything - some, 0.01, note)
    thinned = [[regions[place] for place in places] for regions, places in zip(photos, kept, strict=True)]
    yield at_most("repeats left out: share of vectors", _vectors(thinned) / _vectors(photos), 0.5)
    with running(heap="2g") as url:
        yield from _built(connect(url), index_body(model.recipe), {"all": photos, "kept": thinned})


def _taken(vectors: Sequence[Vector], places: Sequence[list[int]]) -> list[Vector]:
    return [each[some] for each, some in zip(vectors, places, strict=True)]


def _vectors(photos: Photos) -> int:
    return sum(map(len, photos))


def _built(client: OpenSearch, body: dict[str, object], ways: dict[str, Photos]) -> Iterator[Line]:
    """The bytes and seconds of an index of each, in alternating rounds."""
    seconds, size = {name: list[float]() for name in ways}, dict.fromkeys(ways, 0)
    for round_number in range(ROUNDS):
        for name in np.roll(list(ways), round_number).tolist():
            photos, index = ways[name], f"repeats-{name}-{round_number}"
            client.indices.create(index=index, body=body)
            started = time.monotonic()
            with Writer(Sender(client, Guard.of(find_index(client, index))), refuse_rejects) as writer:
                for number, regions in enumerate(photos):
                    writer.add(write_regions(number, regions))
            size[name] = merged_size(client, index)
            seconds[name].append(time.monotonic() - started)
            client.indices.delete(index=index)
    yield at_most("repeats left out: share of index bytes", size["kept"] / size["all"], 0.5)
    ratios = [mine / all_of_them for mine, all_of_them in zip(seconds["kept"], seconds["all"], strict=True)]
    note = f"writing and merging, {ROUNDS} rounds from {min(ratios):.2f} to {max(ratios):.2f}"
    yield at_most("repeats left out: share of build time", statistics.median(ratios), 0.5, note)
