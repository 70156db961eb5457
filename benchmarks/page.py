"""The page on 5,000 photos: how soon hits and pictures are there, what browser and server hold, and 50 users at once.

The photos are the files of 300 scenes under 5,000 names. Their vectors are those of the scenes plus noise, so nothing
is encoded 5,000 times. The server is a process of its own. `PAGE_PHOTOS` and `PAGE_SCENES` make it smaller: that proves
that the measure works, and gives no figures.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import orjson
import page_browser
import page_users
import urllib3
from corpus import cluster, refuse_rejects
from figures import Line, at_most, not_taken
from finds import scenes
from opensearchpy import OpenSearch
from page_server import PageBench, PageServer, memory_while
from PIL import Image
from timing import Ask, latencies

from sorce.cluster import address, find_index
from sorce.ingest.actions import WriteDocument, document_json
from sorce.ingest.guard import Guard
from sorce.ingest.write import Sender, Writer
from sorce.mappings import Photo, Region, Vector
from sorce.mappings.document import document
from sorce.mappings.index import index_body
from sorce.models import load_model
from sorce.pictures.files import Naming
from sorce.pictures.loading import open_picture
from sorce.pictures.source import Source
from sorce.plugin import SearchRequest, ServerSearch
from sorce.plugin.cluster.endpoint import parse
from sorce.plugin.cluster.install import install
from training.mini.bank import SEEN
from training.scenes.collection import REPORTING

INDEX = "page"
PHOTOS = int(os.environ.get("PAGE_PHOTOS", "5000"))
SCENES = int(os.environ.get("PAGE_SCENES", "300"))
QUERIES, ROUNDS, SIZE = 60, 6, 50
NOISE = 0.02
"""The length of the noise that is added to a unit vector."""
HUGE = (12_000, 8_400)
TWO_TIMES = 2.0


def measures() -> Iterator[Line]:
    with TemporaryDirectory(prefix="sorce-page-") as folder, served(Path(folder)) as bench:
        yield Line("page: photos", PHOTOS, note=f"{bench.regions:,} regions; {SCENES} scenes")
        by_server = yield from searches(bench)
        missing = page_browser.missing()
        if missing is None:
            yield from page_browser.measures(bench, by_server)
        else:
            yield not_taken("page: all figures of a browser", missing)
        yield from huge_photo(bench)
        yield from page_users.measures(bench)


def searches(bench: PageBench) -> Generator[Line, None, Ask]:
    """The page's search against the request of `sorce search --server`; returns the latter."""
    server, pool = ServerSearch(cluster(), INDEX), urllib3.PoolManager()

    def by_page(query: int) -> object:
        body = orjson.dumps({"phrases": [bench.texts[query % len(bench.texts)]], "size": SIZE})
        answer = pool.request("POST", f"{bench.url}/api/search", body=body)
        assert answer.status == 200, answer.data
        return orjson.loads(answer.data)

    def by_server(query: int) -> object:
        return server.search(SearchRequest([bench.texts[query % len(bench.texts)]], size=SIZE))

    taken = latencies({"page": by_page, "--server": by_server}, QUERIES, ROUNDS)
    for name, each in taken.items():
        yield Line(f"page: search by HTTP, {name}, p50 ms", each.p50, note=f"p95 {each.percentile(95):.1f} ms")
    ratio, note = taken["page"].over(taken["--server"])
    yield at_most("page: search by HTTP, page / --server (p50)", ratio, TWO_TIMES, note)
    return by_server


def huge_photo(bench: PageBench) -> Iterator[Line]:
    """The memory of the server and its decoders while a photo of 100 megapixels is cut into tiles."""
    pool = urllib3.PoolManager()

    def opened() -> None:
        # Cut again: the cache knows the file by its time of change.
        os.utime(bench.huge_file)
        levels = orjson.loads(pool.request("GET", f"{bench.url}/tiles/{bench.huge}.json").data)
        for level in (levels["max_level"], levels["min_level"]):
            answer = pool.request("GET", f"{bench.url}/tiles/{bench.huge}/{level}/0_0")
            assert answer.status == 200, answer.data
        for kind in ("thumb", "view"):
            assert pool.request("GET", f"{bench.url}/{kind}/{bench.huge}").status == 200

    before, most, seconds = memory_while(bench.process, opened)
    megapixels = HUGE[0] * HUGE[1] / 1e6
    yield Line(
        f"page: a photo of {megapixels:.0f} megapixels opens, s", seconds, note="cut into tiles for the first time"
    )
    note = f"{before / 1e9:.2f} GB before; decoders included"
    yield at_most("page: memory of the server meanwhile, GB", most / 1e9, 1.5, note)


@contextmanager
def served(folder: Path) -> Iterator[PageBench]:
    those = scenes(REPORTING, SEEN)
    pictures = those.pictures[:SCENES]
    model = load_model("mini", "tiles")
    client, root = cluster(), folder / "photos"
    # No refreshes while it is written: each would make a small segment with graphs of its own, merged soon after.
    settings = {"index.number_of_replicas": 0, "index.refresh_interval": "-1"}
    client.indices.create(index=INDEX, body=index_body(model.recipe, settings))
    regions = [model.embed_photos([open_picture(picture)])[0] for picture in pictures]
    files = named(pictures, root)
    large = root / "huge.jpg"
    assemble(pictures).save(large, quality=90)
    with Writer(Sender(client, Guard.of(find_index(client, INDEX))), refuse_rejects) as writer:
        rng = np.random.default_rng(18)
        for number, file in enumerate(files):
            writer.add(written(file, noisy(regions[number % len(regions)], rng), model.recipe.hash))
        whole = Region(regions[0][0].box, regions[0][0].vec, "whole")
        writer.add(written(large, [whole], model.recipe.hash, HUGE))
    client.indices.refresh(index=INDEX, params={"request_timeout": 600})
    settle(client)
    command = ["--index", INDEX, "--page", "--root", str(root), "--cache", str(folder / "cache")]
    with PageServer(command, {"OPENSEARCH_URL": address(client)}) as server:
        install(client, INDEX, parse(server.url, model.recipe.model, None), model)
        counted = sum(len(regions[number % len(regions)]) for number in range(len(files)))
        ids = tuple(source_of(file).photo_id for file in files)
        yield PageBench(server.url, server.pid, those.queries, ids, source_of(large).photo_id, large, counted)


def settle(client: OpenSearch) -> None:
    """Waits until no merge runs: a merge would slow some searches and not others."""
    while client.indices.stats(index=INDEX, metric="merge")["_all"]["primaries"]["merges"]["current"]:
        time.sleep(0.5)


def named(pictures: Sequence[Path], root: Path) -> list[Path]:
    """The pictures' files under PHOTOS names, 500 in a folder: the same bytes on the disk."""
    files = []
    for number in range(PHOTOS):
        file = root / f"{number // 500:02}" / f"{number:05}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        copied = folder_of(root) / pictures[number % len(pictures)].name
        if not copied.exists():
            copied.write_bytes(pictures[number % len(pictures)].read_bytes())
        file.hardlink_to(copied)
        files.append(file)
    return files


def folder_of(root: Path) -> Path:
    """Where the files are once, on the same disk."""
    folder = root.parent / "scenes"
    folder.mkdir(exist_ok=True)
    return folder


def assemble(pictures: Sequence[Path]) -> Image.Image:
    """A photo of HUGE pixels, of scenes side by side."""
    whole = Image.new("RGB", HUGE)
    with Image.open(pictures[0]) as first:
        width, height = first.size
    places = [(left, top) for top in range(0, HUGE[1], height) for left in range(0, HUGE[0], width)]
    for number, place in enumerate(places):
        with Image.open(pictures[number % len(pictures)]) as scene:
            whole.paste(scene, place)
    return whole


def noisy(regions: Sequence[Region], rng: np.random.Generator) -> list[Region]:
    return [
        Region(each.box, moved(each.vec, rng), each.kind, each.quality, each.coherence, each.hubness)
        for each in regions
    ]


def moved(vector: Vector, rng: np.random.Generator) -> Vector:
    noise = rng.standard_normal(len(vector)).astype(np.float32)
    found = vector + NOISE * noise / np.linalg.norm(noise)
    return np.asarray(found / np.linalg.norm(found), np.float32)


def source_of(file: Path) -> Source:
    source = Naming().source(file)
    assert isinstance(source, Source)
    return source


def written(file: Path, regions: Sequence[Region], recipe: str, size: tuple[int, int] | None = None) -> WriteDocument:
    source, whole = source_of(file), regions[0].box
    # The bytes of a name stand for those of its file, which many names share.
    photo = Photo(source.file(file.name.encode()), *(size or (int(whole.x2), int(whole.y2))))
    body = document(photo, regions, datetime.now(UTC), recipe)
    return WriteDocument(file.name, source.photo_id, "new", None, document_json(body), len(regions))
