"""Hits carried away: the files are those of `sorce search --export`, of what the caller finds and has chosen."""

from __future__ import annotations

import csv
import json
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx
import pytest
from opensearchpy import OpenSearch
from PIL import Image

from sorce.plugin.service.page.settings import PageSettings
from tests.kit.album import Album, served_page


def export(page: httpx.Client, form: str, **more: Any) -> httpx.Response:
    body = {"format": form, "request": {"phrases": ["red"]}, **more}
    return page.post("/api/export", json=body)


def chosen(album: Album, *names: str) -> list[str]:
    return [album.photo(name) for name in names]


def test_json_holds_the_hits_without_paths(page: httpx.Client, album: Album) -> None:
    answer = export(page, "json", request={"phrases": ["red"], "size": 3})
    assert answer.headers["Content-Disposition"] == f"attachment; filename*=UTF-8''{album.index}-json.json"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.headers["X-Left-Out"] == "0"
    found = answer.json()["hits"]
    shown = page.post("/api/search", json={"phrases": ["red"], "size": 3}).json()["hits"]
    assert [hit["photo_id"] for hit in found] == [hit["photo_id"] for hit in shown]
    assert str(album.root.parent) not in answer.text


def test_only_the_chosen_photos_are_in_a_table(page: httpx.Client, album: Album) -> None:
    ids = chosen(album, "kitchen/1.png", "hall/dated.jpg")
    table = list(csv.DictReader(StringIO(export(page, "csv", photo_ids=[*ids, "0" * 32]).text)))
    assert {row["photo_id"] for row in table} == set(ids)
    assert {row["photo"] for row in table} == {"kitchen/1.png", "hall/dated.jpg"}
    # Each was compared with the phrase, though it may be far down.
    assert all(-1 <= float(row["similarity"]) <= 1 for row in table)


def test_any_number_of_photos_is_compared_in_parts_and_none_is_cut(
    page: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sorce.plugin.service.page.carrying.COMPARED", 2)
    order = [hit["photo_id"] for hit in page.post("/api/search", json={"phrases": ["red"], "size": 17}).json()["hits"]]
    # The page asks for fewer at a time than a person has selected.
    asked = {"phrases": ["red"], "size": 1}
    found = export(page, "json", request=asked, photo_ids=sorted(order)).json()["hits"]
    scores = [hit["score"] for hit in found]
    assert sorted(hit["photo_id"] for hit in found) == sorted(order)
    assert scores == sorted(scores, reverse=True)


def test_what_was_looked_at_again_is_exported_with_all_that_was_chosen(page: httpx.Client, album: Album) -> None:
    ids = chosen(album, "kitchen/0.png", "kitchen/1.png", "kitchen/2.png")
    asked = {"phrases": ["red"], "size": 1, "locate": 2}
    found = export(page, "json", request=asked, photo_ids=ids).json()["hits"]
    assert {hit["photo_id"] for hit in found} == set(ids)
    assert [hit["seen"] is not None for hit in found] == [True, True, False]
    assert all(hit["matches"] for hit in found)


def test_a_zip_holds_the_photos_below_the_roots_only(page: httpx.Client, album: Album) -> None:
    ids = [*chosen(album, "kitchen/1.png", "link.png", "text.png"), "a" * 32]
    answer = export(page, "zip", photo_ids=ids)
    assert answer.headers["X-Left-Out"] == "3"
    with ZipFile(BytesIO(answer.content)) as archive:
        photos = [name for name in archive.namelist() if name.startswith("photos/")]
        assert photos == ["photos/kitchen/1.png"]
        assert archive.read(photos[0]) == album.file("kitchen/1.png").read_bytes()
        [crop] = [name for name in archive.namelist() if name.startswith("crops/")]
        assert Image.open(BytesIO(archive.read(crop))).format == "JPEG"


def test_marks_become_ground_truth(page: httpx.Client, album: Album) -> None:
    marks = [
        {"photo_id": album.photo("hall/dated.jpg"), "box": [0, 0, 9, 9], "phrase": "a key", "right": True},
        {"photo_id": album.photo("kitchen/2.png"), "box": [0, 0, 9, 9], "phrase": "a key", "right": False},
    ]
    # Of another search than the one that is named.
    answer = export(page, "lines", photo_ids=[], marks=marks)
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert "hall/dated.jpg" in answer.text
    assert len(lines) == 2
    assert export(page, "coco", photo_ids=[], marks=marks).json()["annotations"][0]["bbox"] == [0, 0, 9, 9]
    unknown = [{**marks[0], "photo_id": "0" * 32}]
    assert export(page, "lines", photo_ids=[], marks=unknown).status_code == 422
    # The photo of one mark is gone: the others are exported all the same.
    answer = export(page, "lines", photo_ids=[], marks=[*marks, *unknown])
    assert ([json.loads(line) for line in answer.text.splitlines()], answer.headers["X-Left-Out"]) == (lines, "1")


def test_a_search_is_code_that_names_no_path(page: httpx.Client, album: Album) -> None:
    asked = {"phrases": ["red"], "nots": ["blue"], "size": 3, "filter": {"camera": "Canon EOS"}}
    code = page.post("/api/code", json={"request": asked}).json()
    assert code.keys() == {"curl", "python", "template", "command"}
    assert code["command"].startswith("sorce search ")
    assert "--not blue" in code["command"]
    assert "Canon EOS" in code["python"]
    assert f"/{album.index}/_search?" in code["curl"]
    assert str(album.root.parent) not in str(code)
    refused = page.post("/api/code", json={"request": {**asked, "filter": {"folder": "kitchen"}}})
    assert (refused.status_code, "--show-paths" in refused.text) == (422, True)


def test_a_search_against_an_example_is_code_but_for_the_template(page: httpx.Client, album: Album) -> None:
    photo = album.photo("kitchen/1.png")
    asked = {"phrases": ["red"], "not_like": [{"photo_id": photo, "region_id": 2}]}
    code = page.post("/api/code", json={"request": asked}).json()
    assert f"--not-like-region {photo}/2" in code["command"]
    assert f"not_like=[sorce.LikeRegion('{photo}', 2)]" in code["python"]
    # The vector of the region, as the search by the page sends it.
    assert code["curl"].count('"query_value"') == 2
    assert code["template"] == "# the cluster encodes texts only; search by an example with --client.\n"


def test_what_cannot_be_exported_is_refused(
    page: httpx.Client, cluster: OpenSearch, album: Album, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert export(page, "pdf").status_code == 422
    assert export(page, "json", index="other").status_code == 404
    assert export(page, "csv", photo_ids=["x"] * 10_001).status_code == 413
    with served_page(cluster, album, PageSettings(cache=cache)) as without_roots:
        assert "--root" in export(without_roots, "zip").json()["error"]["message"]
    monkeypatch.setattr("sorce.plugin.service.page.carrying.MAX_PACKED", 1)
    refused = export(page, "zip", photo_ids=chosen(album, "kitchen/1.png", "kitchen/2.png"))
    assert (refused.status_code, "at most 1 photos" in refused.text) == (422, True)
