"""`sorce.Index` and its asynchronous twin, against a real index whose answers numpy knows."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import click
import numpy as np
import pytest
from click.testing import CliRunner
from opensearchpy import OpenSearch
from PIL import Image
from roles import owner, put

import sorce
from sorce import commands
from sorce.cli import sorce as command
from sorce.cluster import connect
from sorce.engine import Node
from sorce.ingest.delete import Removal
from sorce.mappings.selection import Selection
from sorce.plugin.cluster.role import role
from sorce.plugin.query.table import as_json, table
from tests.kit.corpus import PHOTOS, RECIPE, REGIONS, Corpus, Words
from tests.kit.fake import FakeModel
from tests.kit.indexed import indexed
from tests.kit.place import Place


@pytest.fixture(scope="module")
def name(client: OpenSearch, corpus: Corpus) -> Iterator[str]:
    """The corpus, and behind `NAME-north` the photos of one shop."""
    only = {"term": {"attributes.shop": "north"}}
    with indexed(client, corpus) as name:
        client.indices.put_alias(index=name, name=f"{name}-north", body={"filter": only})
        yield name


@pytest.fixture
def photos(client: OpenSearch, name: str) -> sorce.Index:
    return sorce.Index(client, name, FakeModel, lambda _: Words())


def test_what_is_sought_may_be_a_text_a_picture_a_region_a_vector_or_several(
    photos: sorce.Index, corpus: Corpus
) -> None:
    image = Image.new("L", (30, 20), 200)
    region, vector = sorce.LikeRegion(f"{7:032x}", 3), corpus.vectors[5, 2]
    asked: list[tuple[Any, sorce.SearchRequest]] = [
        ("a kite", sorce.SearchRequest("a kite")),
        (image, sorce.SearchRequest(like=sorce.LikePicture(image.convert("RGB")))),
        (region, sorce.SearchRequest(like=region)),
        (vector, sorce.SearchRequest(like=sorce.LikeVector(vector))),
        (["a kite", vector, "sea"], sorce.SearchRequest(["a kite", "sea"], like=sorce.LikeVector(vector))),
    ]
    for what, request in asked:
        found = photos.search(what)
        assert [hit.photo_id for hit in found] == corpus.expected(request).photo_ids


def test_pages_are_parts_of_the_whole(photos: sorce.Index) -> None:
    whole = photos.search("a kite", size=20)
    assert [*photos.search("a kite", size=7), *photos.search("a kite", start=7, size=13)] == list(whole)


@pytest.mark.parametrize("what", [[], [3], {"a": 1}, None, Path("a.jpg"), [0.5, 0.5]])
def test_anything_else_is_a_sentence(photos: sorce.Index, what: Any) -> None:
    with pytest.raises(sorce.QueryError, match=r"cannot be searched for; give a text, a PIL image|1 to 4 phrases"):
        photos.search(what)


@pytest.mark.parametrize("photo_id", ["", None, 7])
def test_what_is_no_photo_id_is_a_sentence(photos: sorce.Index, photo_id: Any) -> None:
    with pytest.raises(sorce.QueryError, match="is not a photo id"):
        photos.get(photo_id)


def test_what_is_no_filter_is_a_sentence(photos: sorce.Index) -> None:
    for ask in (photos.count, lambda given: photos.delete(filter=given)):
        with pytest.raises(sorce.QueryError, match=r"filter is 'aisle=3'; give a sorce\.Filter"):
            ask("aisle=3")  # type: ignore[arg-type]


def test_get_reads_a_photo_back(photos: sorce.Index, corpus: Corpus) -> None:
    found = photos.get(f"{7:032x}", vectors=True)
    assert found is not None
    photo = corpus.photos[7]
    assert (found.uri, found.width, found.camera, dict(found.attributes)) == (
        photo.file.uri,
        1000,
        "Canon",
        {"aisle": 2, "shop": "north"},
    )
    assert found.taken_at == photo.taken_at
    assert [region.box for region in found.regions] == [region.box for region in corpus.regions[7]]
    vectors = np.stack([region.vec for region in found.regions if region.vec is not None])
    assert np.abs(vectors - corpus.vectors[7]).max() < 1e-6
    bare = photos.get(f"{7:032x}")
    assert bare is not None
    assert [region.vec for region in bare.regions] == [None] * REGIONS
    assert photos.get("f" * 32) is None


def test_an_alias_shows_only_the_photos_that_its_filter_lets_through(client: OpenSearch, name: str) -> None:
    north = sorce.Index(client, f"{name}-north", FakeModel, lambda _: Words())
    assert north.count() == 100
    assert north.get(f"{7:032x}") is not None
    assert north.get(f"{6:032x}") is None


def test_count_takes_the_filters_of_a_search(photos: sorce.Index, corpus: Corpus) -> None:
    wanted = sorce.Filter(max_area=0.002, where=["aisle>=3"])
    request = sorce.SearchRequest("x", filter=wanted)
    kept = sum(any(corpus.keeps(i, r, request) for r in range(REGIONS)) for i in range(PHOTOS))
    assert (photos.count(), photos.count(wanted)) == (PHOTOS, kept)
    with pytest.raises(sorce.QueryError, match="no attribute 'colour'"):
        photos.count(sorce.Filter(where="colour=red"))


def test_info_and_indices_say_what_is_there(photos: sorce.Index, place: Place, name: str) -> None:
    info = photos.info()
    assert (info.name, info.aliases, info.photos, info.regions) == (name, (f"{name}-north",), PHOTOS, PHOTOS * REGIONS)
    assert info.recipe == RECIPE
    assert info.attributes == {"aisle": "long", "shop": "keyword"}
    assert info.bytes is not None
    assert name in [each.name for each in sorce.indices(url=place.url, access=place.access)]


@pytest.mark.fault("1.s.41")
def test_an_index_with_a_name_that_sorce_does_not_take_is_left_out_of_the_list(
    client: OpenSearch, place: Place, name: str
) -> None:
    """OpenSearch takes a percent sign. One such index must not hide all others."""
    odd = f"{name}-100%"
    client.indices.create(index=odd, body={"mappings": {"_meta": {"sorce": {"recipe": RECIPE.to_meta()}}}})
    try:
        found = [each.name for each in sorce.indices(url=place.url, access=place.access)]
    finally:
        client.indices.delete(index=odd)
    assert name in found
    assert odd not in found


def test_the_twin_searches_without_blocking_the_loop(place: Place, name: str, photos: sorce.Index) -> None:
    async def ask() -> tuple[list[sorce.Hits], sorce.StoredPhoto | None, int, int]:
        async with sorce.AsyncIndex(photos) as twin:
            hits = await asyncio.gather(*(twin.search(text, size=3) for text in ("a kite", "sea", "a dog")))
            return hits, await twin.get(f"{7:032x}"), await twin.count(), (await twin.info()).photos

    async def opened() -> int:
        async with await sorce.open_index_async(name, place.url, access=place.access) as twin:
            return await twin.count()

    hits, photo, count, told = asyncio.run(ask())
    assert hits == [photos.search(text, size=3) for text in ("a kite", "sea", "a dog")]
    assert photo is not None
    assert (count, told, asyncio.run(opened())) == (PHOTOS, PHOTOS, PHOTOS)


def test_every_interface_carries_region_id_and_box(photos: sorce.Index) -> None:
    """Here Python, table and JSON.

    The template: tests/plugin/query/test_examples.py; the service: tests/plugin/service/test_locate.py; the page's
    interface: tests/plugin/service/page/test_contract.py.
    """
    request = sorce.SearchRequest(["a kite", "sea"], boxes=2)
    hits = photos.search(request)
    matches = [match for hit in hits for several in hit.matches for match in several]
    told = [match for hit in as_json(hits, request)["hits"] for several in hit["matches"] for match in several]
    assert [(each["region_id"], tuple(each["box"])) for each in told] == [
        (match.region_id, match.box.as_tuple()) for match in matches
    ]
    lines = table(hits, request.labels).splitlines()[1 : 1 + len(matches)]
    ids = [hit.photo_id for hit in hits for several in hit.matches for _ in several]
    for line, photo_id, match in zip(lines, ids, matches, strict=True):
        box = ",".join(f"{side:.0f}" for side in match.box.as_tuple())
        assert f"  {photo_id[:8]}/{match.region_id}  " in line
        assert f"  {box}  " in line


def test_a_hit_as_a_dictionary_has_boxes_in_pixels_and_relative(photos: sorce.Index) -> None:
    hit = photos.search("a kite")[0]
    told = json.loads(json.dumps(hit.as_dict()))
    [[match]] = told["matches"]
    width, height = hit.width, hit.height
    x1, y1, x2, y2 = hit.box.as_tuple()
    assert match["box"] == [x1, y1, x2, y2]
    assert match["relative_box"] == list(hit.relative_box) == [x1 / width, y1 / height, x2 / width, y2 / height]


def loaded(client: OpenSearch, corpus: Corpus) -> str:
    name = f"test-delete-{uuid.uuid4().hex[:8]}"
    corpus.load(client, name)
    return name


def test_delete_takes_ids_and_the_filters_of_a_search(client: OpenSearch, corpus: Corpus) -> None:
    name = loaded(client, corpus)
    try:
        photos = sorce.Index(client, name, FakeModel, lambda _: Words())
        with pytest.raises(sorce.QueryError, match="all photos would be deleted"):
            photos.delete()
        assert photos.delete(f"{7:032x}") == 1
        assert photos.delete([f"{7:032x}", f"{8:032x}"], sorce.Filter(where="shop=south")) == 0
        south = sum(photo.attributes["shop"] == "south" for photo in corpus.photos)
        assert photos.delete(filter=sorce.Filter(where="shop=south")) == south
        assert photos.count() == PHOTOS - 1 - south
        client.indices.put_alias(index=name, name=f"{name}-one", body={"filter": {"term": {"attributes.aisle": 1}}})
        one = sorce.Index(client, f"{name}-one", FakeModel)
        aisle = one.count()
        assert 0 < aisle < photos.count()
        assert one.delete(filter=sorce.Filter(where="shop=north")) == aisle
        assert photos.count() == PHOTOS - 1 - south - aisle
    finally:
        client.indices.delete(index=name)


def test_a_photo_that_changed_since_it_was_listed_stays_and_so_does_an_index_made_again(
    client: OpenSearch, corpus: Corpus
) -> None:
    name = loaded(client, corpus)
    try:
        removal = Removal(client, name, Selection([f"{i:032x}" for i in (1, 2, 3)]))
        client.update(index=name, id=f"{2:032x}", body={"doc": {"attributes": {"aisle": 9}}})
        done = removal.run()
        assert (done.photos, done.left_alone) == (2, 1)
        late = Removal(client, name, Selection([f"{i:032x}" for i in (4, 5)]))
        client.indices.delete(index=name)
        corpus.load(client, name)
        with pytest.raises(sorce.ClusterError, match="was deleted, made again or moved"):
            late.run()
        assert sorce.Index(client, name, FakeModel).count() == PHOTOS
    finally:
        client.indices.delete(index=name)


def test_the_role_search_reads_and_only_the_role_ingest_deletes(secured: Node, corpus: Corpus) -> None:
    name = f"test-role-{uuid.uuid4().hex[:8]}"
    with connect(secured.url, owner(secured)) as administrator:
        corpus.load(administrator, name)
        try:
            indices = {}
            for kind in ("search", "ingest"):
                user = f"{name}-{kind}"
                put(administrator, f"roles/{user}", role(kind, name))
                body = {"password": "Cluttered-photos-17", "opendistro_security_roles": [user]}
                put(administrator, f"internalusers/{user}", body)
                access = sorce.Access(owner(secured).ca_file, username=user, password="Cluttered-photos-17")
                indices[kind] = sorce.open_index(name, secured.url, access=access)
            with indices["search"] as reader, indices["ingest"] as writer:
                assert (reader.count(), reader.info().bytes) == (PHOTOS, None)
                assert reader.get(f"{1:032x}") is not None
                assert len(reader.search(sorce.LikeRegion(f"{1:032x}", 2))) == 10
                with pytest.raises(sorce.ClusterError, match="may not do that"):
                    reader.delete(f"{1:032x}")
                assert writer.delete(f"{1:032x}") == 1
                assert reader.count() == PHOTOS - 1
                with pytest.raises(sorce.ClusterError, match=r"may not list all indices .* `sorce index info NAME`"):
                    sorce.indices(reader.client)
        finally:
            administrator.indices.delete(index=name)


def run(place: Place, *arguments: str, said: str | None = None) -> Any:
    return CliRunner().invoke(command, list(arguments), env=dict(place.environment), input=said)


@pytest.mark.fault("12.7.3")
def test_indices_are_listed_described_and_deleted(place: Place, client: OpenSearch, corpus: Corpus) -> None:
    name = loaded(client, corpus)
    client.indices.put_alias(index=name, name=f"{name}-alias")
    assert f"{PHOTOS}" in next(
        line for line in run(place, "index", "list").stdout.splitlines() if line.startswith(name)
    )
    told = json.loads(run(place, "index", "info", f"{name}-alias", "--json").stdout)
    assert (told["name"], told["photos"], told["aliases"]) == (name, PHOTOS, [f"{name}-alias"])
    assert f"photos     {PHOTOS}" in run(place, "index", "info", name).stdout
    refused = run(place, "index", "delete", f"{name}-alias", "--yes")
    assert "is an alias of the index" in str(refused.exception)
    asked = run(place, "index", "delete", name)
    assert "nobody can be asked here: Delete the index" in str(asked.exception)
    assert client.indices.exists(index=name)
    assert run(place, "index", "delete", name, "--yes").stdout == f"deleted the index '{name}' with its 150 photos.\n"
    assert not client.indices.exists(index=name)


def test_photos_are_deleted_after_their_number_was_said(place: Place, client: OpenSearch, corpus: Corpus) -> None:
    name = loaded(client, corpus)
    try:
        assert run(place, "delete", "--index", name).exit_code == 2
        asked = run(place, "delete", "--index", name, "--where", "aisle=1")
        assert f"Delete 30 photos from '{name}', such as file:///photos/1.jpg?" in str(asked.exception)
        done = run(place, "delete", "--index", name, "--where", "aisle=1", "--yes")
        assert done.stdout == f"deleted 30 photos from '{name}'.\n"
        missing = run(place, "delete", "--index", name, "f" * 32, "--yes")
        assert (missing.exit_code, missing.stdout) == (0, "nothing to delete.\n")
        assert f"no photo '{'f' * 32}' meets this" in missing.stderr
        short = run(place, "delete", "--index", name, f"{2:032x}"[:8], "--yes")
        assert "An id has 32 digits, as --json prints it." in short.stderr
        one = run(place, "delete", "--index", name, f"{2:032x}", "--yes")
        assert one.stdout == f"deleted 1 photo from '{name}'.\n"
        assert sorce.Index(client, name, FakeModel).count() == PHOTOS - 31
    finally:
        client.indices.delete(index=name)


def test_who_says_no_is_told_that_nothing_was_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(click, "confirm", lambda *_, **__: False)
    with pytest.raises(sorce.SorceError, match=r"^nothing was deleted\.$"):
        commands._confirm("Delete it?", yes=False)


def test_an_index_closes_its_own_connection_and_not_the_callers(place: Place, name: str) -> None:
    with connect(place.url, place.access) as client:
        with sorce.open_index(name, client) as index:
            assert index.client is client
            index.count()
        closed: list[bool] = []
        mine = sorce.open_index(name, [place.url, place.url], access=place.access)
        mine.client.close = lambda: closed.append(True)  # type: ignore[method-assign]
        with mine:
            assert mine.count() == PHOTOS
        assert closed == [True]
        assert client.ping()


@pytest.mark.parametrize(
    ("hosts", "said"),
    [([], "list of the cluster's hosts is empty"), (["http://a:1", "https://b:1"], "some with https://")],
)
def test_hosts_that_make_no_cluster_are_a_sentence(hosts: list[str], said: str) -> None:
    with pytest.raises(sorce.ClusterError, match=said):
        sorce.open_index("photos", hosts)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    image = Image.new("RGB", (80, 40), "blue")
    image.paste("red", (0, 0, 40, 20))
    image.save(tmp_path / "<b>.png")
    return tmp_path


def test_a_hit_shows_its_photo(client: OpenSearch, folder: Path) -> None:
    index = f"test-show-{uuid.uuid4().hex[:8]}"
    photos = sorce.Index(client, index, FakeModel, lambda _: FakeModel())
    try:
        photos.ingest(folder, root=folder)
        red = Image.new("RGB", (9, 9), "red")
        hits = photos.search(red, root=folder)
        [hit] = hits
        assert hit.box.as_tuple() == (0, 0, 40, 20)
        assert hit.similarity == pytest.approx(1, abs=1e-5)
        assert hit.picture().size == (80, 40)
        assert hit.picture(folder).getpixel((1, 1)) == (255, 0, 0)
        assert hit.picture(str(folder)).size == (80, 40)
        shown = hits._repr_html_()
        assert "data:image/jpeg;base64," in shown
        assert "&lt;b&gt;.png" in shown
        assert "<b>" not in shown
        # The index knows its root, which never decides what is opened.
        [unrooted] = photos.search(red)
        with pytest.raises(sorce.BadPhoto, match="cannot be read"):
            unrooted.picture()
        assert unrooted.picture(folder).size == (80, 40)
        (folder / "<b>.png").unlink()
        with pytest.raises(sorce.BadPhoto):
            hit.picture()
        assert "<em>photo" in hit._repr_html_()
        with pytest.raises(sorce.BadPhoto, match="this hit cannot open its photo"):
            replace(hit, opener=None).picture()
    finally:
        client.indices.delete(index=index)


@pytest.mark.fault("12.7.4")
def test_the_library_prints_nothing_and_logs_what_it_does(
    photos: sorce.Index, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "sorce"):
        photos.search("a kite")
    assert "for ['a kite']: 10 photos" in caplog.text
    assert capfd.readouterr() == ("", "")


def test_a_command_says_more_with_v(place: Place, name: str) -> None:
    quiet, loud = run(place, "index", "info", name), run(place, "index", "info", name, "-vv")
    assert (quiet.stderr, "sorce.cluster: OpenSearch" in loud.stderr) == ("", True)
    assert quiet.stdout == loud.stdout


@pytest.mark.fault("12.7.5")
def test_the_version_is_known() -> None:
    assert run(Place("", None, {}), "--version").stdout == f"sorce, version {sorce.__version__}\n"  # type: ignore[arg-type]


def test_an_option_may_come_from_the_environment(place: Place, name: str) -> None:
    given = dict(place.environment) | {"SORCE_SEARCH_SIZE": "2", "SORCE_SEARCH_INDEX": name}
    done = CliRunner().invoke(command, ["search", "--like-region", f"{7:032x}/3", "--json"], env=given)
    assert len(json.loads(done.stdout)["hits"]) == 2


def test_a_repeated_option_takes_lines_of_the_environment(place: Place, name: str) -> None:
    given = dict(place.environment) | {
        "SORCE_INDEX_INFO_VERBOSE": "2",
        "SORCE_DELETE_WHERE": "shop=no rth\n\naisle=1\n",
    }
    assert "OpenSearch" in CliRunner().invoke(command, ["index", "info", name], env=given).stderr
    done = CliRunner().invoke(command, ["delete", "--index", name, "--yes"], env=given)
    assert (done.exit_code, done.stdout) == (0, "nothing to delete.\n")


def test_an_option_with_a_variable_of_its_own_has_that_of_every_option_too() -> None:
    given = {"SORCE_SEARCH_ENCODER": "nonsense", "SORCE_ENCODER": "also nonsense"}
    search = command.get_command(click.Context(command), "search")
    assert search is not None
    for variables in (given, {"SORCE_ENCODER": "nonsense"}):
        with mock.patch.dict(os.environ, variables):
            assert search.make_context("search", ["a kite"]).params["encoder"] == "nonsense"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_complete_commands(shell: str) -> None:
    script = CliRunner().invoke(command, ["completion", shell]).stdout
    assert "_SORCE_COMPLETE" in script
