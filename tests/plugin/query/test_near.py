"""Photos are filtered by where they were taken and by the keywords in their files, from the file to the hit."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from opensearchpy import OpenSearch
from PIL import Image

import sorce
from sorce.errors import QueryError
from sorce.mappings.filters import Filter
from sorce.mappings.index import PHOTO_OF_SCHEMA_2, REGION_OF_SCHEMA_2, index_body
from tests.kit.fake import FakeModel
from tests.pictures.test_keywords import xmp

PARIS, VERSAILLES, LIMA = (48.8584, 2.2945), (48.8049, 2.1204), (-12.0464, -77.0428)
NOTHING = "nothing.png"


def write(file: Path, place: tuple[float, float], *words: str) -> None:
    image, written = Image.new("RGB", (16, 16), "red"), io.BytesIO()
    exif = image.getexif()
    sides = [(abs(value), 0.0, 0.0) for value in place]
    letters = "N" if place[0] > 0 else "S", "E" if place[1] > 0 else "W"
    exif.get_ifd(0x8825).update({1: letters[0], 2: sides[0], 3: letters[1], 4: sides[1]})
    image.save(written, "JPEG", exif=exif, xmp=xmp(*words))
    file.write_bytes(written.getvalue())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("places")
    write(folder / "paris.jpg", PARIS, "tower", "Straße")
    write(folder / "versailles.jpg", VERSAILLES, "palace", "tower")
    write(folder / "lima.jpg", LIMA)
    Image.new("RGB", (16, 16), "red").save(folder / NOTHING)
    return folder


@pytest.fixture(scope="module")
def photos(client: OpenSearch, folder: Path) -> Iterator[sorce.Index]:
    name = f"test-near-{uuid.uuid4().hex[:8]}"
    photos = sorce.Index(client, name, FakeModel, lambda _: FakeModel())
    photos.ingest(folder)
    yield photos
    client.indices.delete(index=name)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(
    ("conditions", "wanted"),
    [
        ({"near": "48.8584,2.2945,1"}, {"paris.jpg"}),
        ({"near": "48.8584,2.2945,20"}, {"paris.jpg", "versailles.jpg"}),
        ({"near": "-12,-77,50"}, {"lima.jpg"}),
        ({"near": "48.8,2.2,30000"}, {"paris.jpg", "versailles.jpg", "lima.jpg"}),
        ({"keywords": "tower"}, {"paris.jpg", "versailles.jpg"}),
        ({"keywords": ["tower", "palace"]}, {"versailles.jpg"}),
        ({"keywords": "Stra\u00dfe"}, {"paris.jpg"}),
        ({"keywords": "tower", "near": "48.8584,2.2945,1", "kinds": "whole"}, {"paris.jpg"}),
    ],
)
def test_a_search_finds_what_was_taken_there(
    photos: sorce.Index, conditions: dict[str, str], wanted: set[str], exact: bool
) -> None:
    # All photos are red: they would be folded.
    where = Filter(**conditions)  # type: ignore[arg-type]
    request = sorce.SearchRequest("a red thing", filter=where, exact=exact, fold=None)
    assert {hit.file_name for hit in photos.search(request)} == wanted
    assert photos.count(request.filter) == len(wanted)


def test_an_empty_answer_names_the_place(photos: sorce.Index) -> None:
    hits = photos.search(sorce.SearchRequest("a red thing", filter=Filter(near="0,0,1")))
    assert "meets the condition: near 0,0 within 1 km" in hits.notes[0]


def test_get_says_where_and_with_which_words(photos: sorce.Index) -> None:
    paris = photos.get(photos.search(sorce.SearchRequest("red", filter=Filter(keywords="Straße")))[0].photo_id)
    assert paris is not None
    assert (paris.location, paris.keywords) == (pytest.approx(PARIS), ("tower", "Straße"))


@pytest.mark.parametrize("near", ["48,2", "a,b,c", "91,2,3", "48,181,3", "48,2,0", "48,2,nan", "48,2,inf", ""])
def test_a_place_that_is_none_is_a_sentence(near: str) -> None:
    with pytest.raises(QueryError, match="write LAT,LON,KM"):
        Filter(near=near)


def test_an_index_of_before_is_refused_until_its_photos_come_in_again(client: OpenSearch, folder: Path) -> None:
    name, model = f"test-near-{uuid.uuid4().hex[:8]}", FakeModel()
    body = index_body(model.recipe)
    fields = body["mappings"]["properties"]
    for added in ("keywords", "location"):
        assert added in PHOTO_OF_SCHEMA_2
        assert added in REGION_OF_SCHEMA_2
        del fields["regions"]["properties"][added]
    del fields["keywords"]
    client.indices.create(index=name, body=body)
    try:
        photos = sorce.Index(client, name, lambda: model, lambda _: model)
        for conditions in ({"near": "1,1,1"}, {"keywords": "tower"}):
            with pytest.raises(QueryError, match=r"have no .* yet; bring them in again with `sorce ingest --force"):
                photos.count(Filter(**conditions))  # type: ignore[arg-type]
        photos.ingest(folder)
        assert photos.count(Filter(near="-12,-77,50")) == 1
    finally:
        client.indices.delete(index=name)
