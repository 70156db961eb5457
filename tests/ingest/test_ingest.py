"""Photos are written into a real OpenSearch, and then a second time."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Semaphore
from typing import Any

import numpy as np
import pytest
from opensearchpy import OpenSearch
from PIL import ExifTags, Image

from sorce.errors import ClusterError, RecipeMismatch
from sorce.ingest import Files, Naming, Options, Report, Source, Watch, ingest_photos
from sorce.ingest.index import TargetIndex
from sorce.ingest.pipeline import rehearse
from sorce.mappings import Picture, Region, Rejected
from sorce.mappings.index import attribute_types
from tests.ingest.conftest import CountingModel, Draw, files, stored
from tests.kit.fake import Seen


@pytest.fixture
def ingest(client: OpenSearch, index: TargetIndex, model: CountingModel) -> Callable[..., Report]:
    """Ingests these paths into the test's index with the counting model."""

    def run(*paths: Path, **options: Any) -> Report:
        return ingest_photos(client, index.name, model, files(*paths), Options(workers=3, **options))

    return run


Ingest = Callable[..., Report]


def documents(index: TargetIndex) -> list[dict[str, Any]]:
    """All that is there, by URI."""
    body = {"size": 1000, "sort": "uri", "query": {"match_all": {}}}
    return [
        hit["_source"] | {"_id": hit["_id"]} for hit in index.client.search(index=index.name, body=body)["hits"]["hits"]
    ]


def names(index: TargetIndex) -> list[str]:
    return [document["file_name"] for document in documents(index)]


def rehearsed(index: TargetIndex, model: CountingModel, folder: Path) -> Report:
    index.look_up()
    return rehearse(index, model.recipe, files(folder))


def counts(report: Report) -> Mapping[str, int]:
    given = {"new": report.new, "changed": report.changed, "unchanged": report.unchanged, "rejected": report.rejected}
    return {name: count for name, count in given.items() if count}


def test_a_folder_becomes_one_document_per_photo(ingest: Ingest, folder: Path, index: TargetIndex) -> None:
    report = ingest(folder)
    assert (counts(report), report.regions) == ({"new": 5}, 25)
    assert sorted(names(index)) == ["a.jpg", "b.png", "c.JPG", "d.jpg", "e.webp"]


def test_a_document_says_what_the_photo_is_and_holds_its_regions(
    ingest: Ingest, draw: Draw, index: TargetIndex, model: CountingModel
) -> None:
    file = draw("deep/red.png", (255, 0, 0), (40, 30))
    ingest(file.parent)
    [found] = documents(index)
    assert found["uri"] == file.as_uri()
    assert (found["_id"], found["folder"], found["file_name"]) == (found["photo_id"], str(file.parent), "red.png")
    assert (found["width"], found["height"], found["bytes"]) == (40, 30, file.stat().st_size)
    [regions] = model.embed_photos([Picture(Image.open(file))])
    assert [region["area"] for region in found["regions"]] == [1, 0.25, 0.25, 0.25, 0.25]
    for kept, region in zip(found["regions"], regions, strict=True):
        assert kept["kind"] == region.kind
        assert np.array_equal(np.array(kept["vec"], np.float32), region.vec)


def test_date_and_camera_come_from_exif(ingest: Ingest, draw: Draw, index: TargetIndex) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Canon", "Canon EOS 5D"
    exif.get_ifd(ExifTags.IFD.Exif).update({0x9003: "2024:05:06 07:08:09", 0x9011: "+02:00"})
    file = draw("dated.jpg")
    Image.open(file).save(file, exif=exif)
    ingest(file)
    [found] = documents(index)
    assert (found["taken_at"], found["camera"]) == ("2024-05-06T07:08:09+02:00", "Canon EOS 5D")
    assert found["regions"][1]["camera"] == "Canon EOS 5D"


@pytest.mark.filterwarnings("ignore:.*EXIF")
def test_nonsense_in_exif_is_no_reason_to_reject(ingest: Ingest, draw: Draw, index: TargetIndex) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "", "\0\0"
    exif.get_ifd(ExifTags.IFD.Exif).update({0x9003: "0000:00:00 00:00:00", 0x9011: "nowhere"})
    file = draw("undated.jpg")
    Image.open(file).save(file, exif=exif)
    assert counts(ingest(file)) == {"new": 1}
    assert {"taken_at", "camera"}.isdisjoint(documents(index)[0])


def test_a_second_ingest_decodes_and_encodes_nothing(ingest: Ingest, folder: Path, model: CountingModel) -> None:
    ingest(folder)
    report = ingest(folder)
    assert counts(report) == {"unchanged": 5}
    assert (model.prepared, model.encoded) == (5, 5)


def test_force_encodes_unchanged_photos_again(
    ingest: Ingest, folder: Path, model: CountingModel, index: TargetIndex
) -> None:
    ingest(folder)
    assert counts(ingest(folder, force=True)) == {"changed": 5}
    assert (model.encoded, len(documents(index))) == (10, 5)


def test_a_changed_file_replaces_its_document(ingest: Ingest, folder: Path, draw: Draw, index: TargetIndex) -> None:
    ingest(folder)
    draw("a.jpg", (1, 2, 3), (64, 48))
    assert counts(ingest(folder)) == {"changed": 1, "unchanged": 4}
    assert [found["width"] for found in documents(index) if found["file_name"] == "a.jpg"] == [64]


def test_the_same_picture_at_two_places_is_two_photos(ingest: Ingest, folder: Path) -> None:
    shutil.copy(folder / "a.jpg", folder / "copy.jpg")
    assert counts(ingest(folder)) == {"new": 6}


def test_with_a_root_a_moved_archive_is_the_same_archive(
    client: OpenSearch, index: TargetIndex, model: CountingModel, folder: Path
) -> None:
    def run(root: Path) -> Report:
        return ingest_photos(client, index.name, model, Files([str(root)], Naming(root)))

    assert counts(run(folder)) == {"new": 5}
    moved = folder.rename(folder.parent / "moved")
    assert counts(run(moved)) == {"unchanged": 5}
    assert documents(index)[0]["uri"] == "a.jpg"


def test_another_recipe_is_refused_before_a_photo_is_read(
    ingest: Ingest, folder: Path, client: OpenSearch, index: TargetIndex, other_model: CountingModel
) -> None:
    def photos() -> Iterator[Source]:
        read.append(1)
        yield from ()

    read: list[int] = []
    ingest(folder)
    with pytest.raises(RecipeMismatch, match=r"revision: 1+ / 2+"):
        ingest_photos(client, index.name, other_model, photos())
    assert (read, other_model.prepared) == ([], 0)


def test_bad_files_are_rejected_and_the_rest_goes_on(
    client: OpenSearch, index: TargetIndex, model: CountingModel, folder: Path
) -> None:
    class Listening(Watch):
        def rejected(self, reject: Rejected) -> None:
            heard.append(reject)

    heard: list[Rejected] = []
    (folder / "empty.jpg").touch()
    (folder / "text.png").write_text("no picture")
    report = ingest_photos(client, index.name, model, files(folder), watch=Listening())
    assert counts(report) == {"new": 5, "rejected": 2}
    # Several threads read: either file may be the first.
    assert sorted(heard, key=lambda reject: reject.path) == [
        Rejected(f"{folder}/empty.jpg", "is empty"),
        Rejected(f"{folder}/text.png", "is not a picture, or of a kind that is not read"),
    ]


def test_attributes_are_typed_and_filter_regions(
    ingest: Ingest, folder: Path, client: OpenSearch, index: TargetIndex
) -> None:
    ingest(folder, attributes={"site": "oslo", "shelf": 3, "price": 2.5, "seen": datetime(2026, 1, 31)})
    conditions = [
        {"term": {"regions.attributes.site": "oslo"}},
        {"range": {"regions.attributes.shelf": {"gte": 3, "lt": 4}}},
        {"range": {"regions.attributes.price": {"gt": 2.4, "lt": 2.6}}},
        {"range": {"regions.attributes.seen": {"gte": "2026-01-31", "lt": "2026-02-01"}}},
    ]
    query = {"nested": {"path": "regions", "query": {"bool": {"filter": conditions}}}}
    assert client.count(index=index.name, body={"query": query})["count"] == 5


def test_attributes_that_differ_rewrite_a_photo_and_the_others_stay(
    ingest: Ingest, folder: Path, index: TargetIndex
) -> None:
    first = {
        "site": "oslo",
        "shelf": 3,
        "price": 2.5,
        "seen": datetime(2026, 1, 31, tzinfo=timezone(timedelta(hours=1))),
    }
    ingest(folder, attributes=first)
    assert counts(ingest(folder, attributes=first)) == {"unchanged": 5}
    assert counts(ingest(folder)) == {"unchanged": 5}
    assert counts(ingest(folder, attributes={"shelf": 4})) == {"changed": 5}
    for found in documents(index):
        assert found["attributes"] == {"site": "oslo", "shelf": 4, "price": 2.5, "seen": "2026-01-30T23:00:00.000Z"}
        assert found["regions"][1]["attributes"] == found["attributes"]


def test_an_attribute_of_another_type_is_refused_with_a_sentence(ingest: Ingest, folder: Path) -> None:
    ingest(folder, attributes={"shelf": 3})
    with pytest.raises(
        ClusterError, match=r"cannot take these attributes \(mapper \[attributes.shelf\] cannot be changed"
    ):
        ingest(folder, attributes={"shelf": "three"})


def test_a_rehearsal_says_what_would_be_and_writes_nothing(
    client: OpenSearch, index: TargetIndex, model: CountingModel, folder: Path, draw: Draw
) -> None:
    def rehearsal() -> Report:
        return rehearsed(index, model, folder)

    assert counts(rehearsal()) == {"new": 5}
    assert not client.indices.exists(index=index.name)
    ingest_photos(client, index.name, model, files(folder))
    draw("a.jpg", (9, 9, 9), (9, 9))
    draw("new.jpg")
    (folder / "bad.jpg").touch()
    before = documents(index)
    assert counts(rehearsal()) == {"new": 1, "changed": 1, "unchanged": 4, "rejected": 1}
    assert (documents(index), model.encoded) == (before, 5)


def test_a_rehearsal_refuses_another_recipe(
    ingest: Ingest, folder: Path, index: TargetIndex, other_model: CountingModel
) -> None:
    ingest(folder)
    with pytest.raises(RecipeMismatch):
        rehearsed(index, other_model, folder)


def test_documents_do_not_depend_on_the_number_of_workers(
    client: OpenSearch, model: CountingModel, draw: Draw, index: TargetIndex
) -> None:
    for number in range(30):
        folder = draw(f"{number}.png", (number, 2 * number, 3 * number), (10 + number, 20)).parent
    seen = []
    for workers in (1, 5):
        ingest_photos(client, index.name, model, files(folder), Options(force=True, workers=workers))
        # The time of change of a file that was just written is not stored.
        seen.append([{**found, "ingested_at": None, "modified_at": None} for found in documents(index)])
    assert seen[0] == seen[1]
    assert len(seen[0]) == 30


def test_photos_need_not_be_files(client: OpenSearch, index: TargetIndex, model: CountingModel, draw: Draw) -> None:
    content = draw("a.jpg").read_bytes()
    photos = [Source(f"s3://bucket/{name}.jpg", "bucket", f"{name}.jpg", name, lambda: content) for name in "ab"]
    assert counts(ingest_photos(client, index.name, model, photos)) == {"new": 2}
    assert [found["uri"] for found in documents(index)] == ["s3://bucket/a.jpg", "s3://bucket/b.jpg"]


class WatchedModel(CountingModel):
    """Notes how many photos at most were prepared and not yet encoded."""

    most_waiting = 0

    def prepare(self, picture: Picture) -> Seen:
        seen = super().prepare(picture)
        with self._counting:
            self.most_waiting = max(self.most_waiting, self.prepared - self.encoded)
        return seen

    def encode(self, prepared: Sequence[Seen]) -> list[list[Region]]:
        # As many regions as in a fine tiling, so that few photos fill the network.
        return [regions * 30 for regions in super().encode(prepared)]


class ThriftyModel(WatchedModel):
    """Cuts a photo as finely, and keeps one region of it."""

    def pictures(self, prepared: Seen) -> int:  # noqa: ARG002
        return 150

    def encode(self, prepared: Sequence[Seen]) -> list[list[Region]]:
        return [regions[:1] for regions in super().encode(prepared)]


@pytest.mark.parametrize("kind", [WatchedModel, ThriftyModel])
def test_photos_in_flight_are_few_however_many_there_are(
    client: OpenSearch, index: TargetIndex, draw: Draw, kind: type[WatchedModel]
) -> None:
    content, model = draw("a.png").read_bytes(), kind()
    photos = (Source(f"x:{number}", "x", "a.png", "a", lambda: content) for number in range(30))
    assert ingest_photos(client, index.name, model, photos, Options(workers=2)).new == 30
    # With two workers: two photos ahead per worker, the batch of one that is encoded, and the next one.
    assert model.most_waiting <= 2 * 2 + 2


def test_a_model_that_fails_stops_the_run_and_keeps_what_is_written(
    client: OpenSearch, index: TargetIndex, draw: Draw
) -> None:
    class Failing(CountingModel):
        def encode(self, prepared: Sequence[Seen]) -> list[list[Region]]:
            if self.encoded >= 5:
                raise ZeroDivisionError
            return super().encode(prepared)

    content = draw("a.png").read_bytes()
    reads = Semaphore(0)

    def read() -> bytes:
        reads.release()
        return content

    photos = (Source(f"x:{number}", "x", "a.png", "a", read) for number in range(100_000))
    with pytest.raises(ZeroDivisionError):
        ingest_photos(client, index.name, Failing(), photos)
    assert reads._value < 1000


def test_a_stop_writes_what_is_encoded_and_a_second_run_does_the_rest(
    client: OpenSearch, index: TargetIndex, model: CountingModel, draw: Draw
) -> None:
    content = draw("a.png").read_bytes()
    watch = Watch()

    class Stopping(CountingModel):
        def encode(self, prepared: Sequence[Seen]) -> list[list[Region]]:
            if self.encoded >= 10:
                watch.stop.set()
            return super().encode(prepared)

    photos = [Source(f"x:{number}", "x", "a.png", "a", lambda: content) for number in range(300)]
    stopping = Stopping()
    report = ingest_photos(client, index.name, stopping, photos, watch=watch)
    assert report.stopped
    assert 10 < report.new == stopping.encoded < 300
    again = ingest_photos(client, index.name, model, photos)
    assert counts(again) == {"new": 300 - report.new, "unchanged": report.new}


def test_what_a_killed_run_wrote_is_found_even_where_the_index_never_refreshes(
    client: OpenSearch, index: TargetIndex, model: CountingModel, folder: Path
) -> None:
    index.make(model.recipe)
    client.indices.put_settings(index=index.name, body={"index.refresh_interval": "-1"})
    ingest_photos(client, index.name, model, files(folder), Options({"shelf": 3}))
    documents = stored(index)
    client.indices.delete(index=index.name)
    TargetIndex(client, index.name).make(model.recipe, attribute_types({"shelf": 3}))
    client.indices.put_settings(index=index.name, body={"index.refresh_interval": "-1"})
    for photo_id, document in documents.items():
        client.index(index=index.name, id=photo_id, body={**document, "ingested_at": "2026-01-01"})
    again = ingest_photos(client, index.name, model, files(folder))
    assert (again.unchanged, again.new) == (5, 0)
    assert rehearsed(index, model, folder).unchanged == 5
