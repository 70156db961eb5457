"""Several indices of one recipe behind one alias with one write index, as OpenSearch's `_rollover` makes them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from opensearchpy import OpenSearch
from opensearchpy.exceptions import RequestError

from sorce.cli import sorce as command
from sorce.cluster import find_index, look_up_all
from sorce.errors import ClusterError, IndexMissing
from sorce.index import Index
from sorce.ingest import Options, Report, Watch, ingest_photos, prune
from sorce.ingest.alias import Alias, switch
from sorce.ingest.changes import Changes, Touched
from sorce.ingest.follow import ContinuousRun, Followed
from sorce.ingest.guard import IndexReplaced
from sorce.ingest.index import TargetIndex
from sorce.mappings.filters import Filter
from sorce.mappings.request import SearchRequest
from sorce.pictures.files import Naming
from sorce.pictures.source import photo_id_of
from sorce.rollover import rollover_template
from tests.ingest.conftest import CountingModel, Draw, files, stored
from tests.ingest.test_one_index import Meanwhile

ONE_LINE = pytest.mark.parametrize("place", ["3.6"], indirect=True)
"""For what does not depend on the version of OpenSearch."""


@pytest.fixture
def alias(client: OpenSearch) -> Iterator[str]:
    """An alias with one index, which is empty."""
    name = f"test-rolled-{uuid.uuid4().hex[:8]}"
    TargetIndex(client, f"{name}-000001").make(CountingModel().recipe)
    client.indices.put_alias(index=f"{name}-000001", name=name, body={"is_write_index": True})
    yield name
    client.indices.delete(index=f"{name}-*", params={"ignore_unavailable": "true"})
    client.indices.delete_index_template(name=name, ignore=404)


Roll = Callable[[], None]


@pytest.fixture
def roll(client: OpenSearch, alias: str, surroundings: None) -> Roll:  # noqa: ARG001
    """Rolls the alias over, as the documentation says."""

    def rolled() -> None:
        printed = CliRunner().invoke(command, ["index", "template", alias])
        client.indices.put_index_template(name=alias, body=json.loads(printed.stdout))
        assert client.indices.rollover(alias=alias)["rolled_over"]

    return rolled


def run(client: OpenSearch, name: str, folder: Path, model: CountingModel | None = None, **options: object) -> Report:
    return ingest_photos(client, name, model or CountingModel(), files(folder), Options(workers=1, **options))  # type: ignore[arg-type]


def held(client: OpenSearch, alias: str, number: int) -> set[str]:
    """The file names in one of the alias's indices."""
    return {each["file_name"] for each in stored(TargetIndex(client, f"{alias}-{number:06}")).values()}


@pytest.fixture
def rolled(client: OpenSearch, alias: str, roll: Roll, folder: Path, draw: Draw) -> Path:
    """The five photos of `folder` in the first index, `new.png` in the second."""
    run(client, alias, folder)
    roll()
    draw("new.png", (1, 2, 3))
    run(client, alias, folder)
    return folder


def test_new_photos_go_to_the_write_index_and_changed_ones_stay_where_they_lie(
    client: OpenSearch, alias: str, rolled: Path, draw: Draw
) -> None:
    assert held(client, alias, 1) == {"a.jpg", "b.png", "c.JPG", "d.jpg", "e.webp"}
    assert held(client, alias, 2) == {"new.png"}
    draw("a.jpg", (9, 9, 9))
    draw("newer.png", (7, 7, 7))
    model = CountingModel()
    report = run(client, alias, rolled, model)
    assert (report.new, report.changed, report.unchanged, model.encoded) == (1, 1, 5, 2)
    assert held(client, alias, 1) == {"a.jpg", "b.png", "c.JPG", "d.jpg", "e.webp"}
    assert held(client, alias, 2) == {"new.png", "newer.png"}
    # Whoever changed it meanwhile, the photo does not come to lie in both.
    again = run(client, alias, rolled, force=True, attributes={"shelf": 3})
    assert (again.new, again.changed) == (0, 7)
    assert len(held(client, alias, 1)) + len(held(client, alias, 2)) == 7
    assert {each["attributes"]["shelf"] for number in (1, 2) for each in _documents(client, alias, number)} == {3}


def _documents(client: OpenSearch, alias: str, number: int) -> list[dict[str, dict[str, int]]]:
    return list(stored(TargetIndex(client, f"{alias}-{number:06}")).values())


@ONE_LINE
def test_attributes_are_set_where_the_photo_lies_even_if_it_has_changed_meanwhile(
    client: OpenSearch, alias: str, rolled: Path
) -> None:
    def change() -> None:
        script = {"source": "ctx._source.camera = 'other'"}
        client.update_by_query(index=f"{alias}-*", body={"script": script}, params={"refresh": "true"})

    report = run(client, alias, rolled, Meanwhile(change), force=True, attributes={"site": "north"})
    assert (report.changed, report.rejected) == (6, 0)
    assert run(client, alias, rolled, attributes={"site": "north"}).unchanged == 6
    assert len(held(client, alias, 1)) == 5
    with pytest.raises(ClusterError, match="cannot take these attributes"):
        run(client, alias, rolled, attributes={"site": 3})
    assert Index(client, alias, CountingModel).count(Filter(where=["site=north"])) == 6


@ONE_LINE
def test_prune_delete_count_get_and_info_look_in_all(client: OpenSearch, alias: str, rolled: Path) -> None:
    photos = Index(client, alias, CountingModel)
    info = photos.info()
    assert (info.photos, info.name, info.others) == (6, f"{alias}-000002", (f"{alias}-000001",))
    assert (photos.count(), photos.count(Filter(folder=str(rolled / "below")))) == (6, 2)
    gone, later = rolled / "b.png", rolled / "new.png"
    for file in (gone, later):
        there = photos.get(photo_id_of(file.as_uri()))
        assert there is not None
        assert there.file_name == file.name
        file.unlink()
    assert prune(client, alias, files(rolled), confirm=lambda _: True) == 2
    assert photos.delete(filter=Filter(folder=str(rolled / "below"))) == 2
    assert held(client, alias, 1) == {"a.jpg", "c.JPG"}
    assert held(client, alias, 2) == set()


@ONE_LINE
def test_a_filter_of_the_alias_hides_photos_of_its_own_index_only(client: OpenSearch, alias: str, rolled: Path) -> None:
    only = {"filter": {"term": {"file_name": "a.jpg"}}, "is_write_index": False}
    client.indices.put_alias(index=f"{alias}-000001", name=alias, body=only)
    photos = Index(client, alias, CountingModel, lambda _: CountingModel())
    assert photos.count() == 2
    hits = photos.search(SearchRequest(["red"], size=20, fold=None))
    assert {hit.file_name for hit in hits} == {"a.jpg", "new.png"}
    # An ingest sees all, so nothing comes in twice.
    assert run(client, alias, rolled).unchanged == 6
    assert photos.delete(filter=Filter(folder=str(rolled))) == 2
    assert held(client, alias, 1) == {"b.png", "c.JPG", "d.jpg", "e.webp"}


@ONE_LINE
def test_a_rollover_stops_a_run_which_then_goes_on_in_the_new_index(
    client: OpenSearch, alias: str, roll: Roll, folder: Path
) -> None:
    with pytest.raises(IndexReplaced, match=rf"^alias '{alias}' or its index '{alias}-000001' was deleted, made again"):
        run(client, alias, folder, Meanwhile(roll))
    assert run(client, alias, folder).new == 5
    assert len(held(client, alias, 1)) + len(held(client, alias, 2)) == 5


@ONE_LINE
@pytest.mark.parametrize("again", [False, True])
def test_another_index_of_the_alias_that_is_deleted_or_made_again_meanwhile_gets_no_photo(
    client: OpenSearch, alias: str, rolled: Path, again: bool
) -> None:
    name = f"{alias}-000001"

    def delete() -> None:
        client.indices.delete(index=name)
        if again:
            client.indices.create(index=name)

    with pytest.raises(IndexReplaced):
        run(client, alias, rolled, Meanwhile(delete), force=True)
    assert client.indices.exists(index=name) is again
    if again:
        client.indices.refresh(index=name)
        assert client.count(index=name)["count"] == 0


@ONE_LINE
def test_indices_that_do_not_belong_together_are_refused(
    client: OpenSearch, alias: str, folder: Path, other_model: CountingModel
) -> None:
    other = f"{alias}-other"
    TargetIndex(client, other).make(other_model.recipe)
    client.indices.put_alias(index=other, name=alias)
    with pytest.raises(IndexMissing, match=rf"'{alias}' names indices of different recipes: '{alias}-000001' holds"):
        run(client, alias, folder)
    client.indices.put_alias(index=f"{alias}-000001", name=alias, body={"is_write_index": False})
    with pytest.raises(IndexMissing, match=r"none of them is its write index; name one of them"):
        find_index(client, alias)
    assert len(look_up_all(client, alias)) == 2


@ONE_LINE
def test_a_photo_that_lies_in_two_indices_is_told_with_what_mends_it(
    client: OpenSearch, alias: str, rolled: Path
) -> None:
    photo_id = photo_id_of((rolled / "new.png").as_uri())
    [document] = _documents(client, alias, 2)
    first = f"{alias}-000001"
    client.index(index=first, id=photo_id, body=document, params={"refresh": "true"})
    with pytest.raises(ClusterError, match=rf"lies in two indices .*: sorce delete --index {first} {photo_id}\.$"):
        run(client, alias, rolled)
    assert Index(client, first, CountingModel).delete(photo_id) == 1
    assert run(client, alias, rolled).unchanged == 6


@ONE_LINE
def test_an_ingest_with_alias_goes_on_in_all_and_another_recipe_moves_from_all(
    client: OpenSearch, alias: str, rolled: Path, model: CountingModel, other_model: CountingModel
) -> None:
    there = Alias.look_up(client, alias)
    assert there.target(model.recipe) == f"{alias}-000002"
    # Nothing moves, although the alias names other indices, too.
    assert switch(client, alias, f"{alias}-000002", None) is None
    assert switch(client, alias, f"{alias}-000001", None) is None
    run(client, alias, rolled, attributes={"site": "north"})
    new = there.target(other_model.recipe)
    run(client, new, rolled, other_model)
    assert switch(client, alias, new, None) == f"{alias}-000002, {alias}-000001"
    assert list(client.indices.get_alias(name=alias)) == [new]
    client.indices.refresh(index=new)
    assert Index(client, alias, CountingModel).count(Filter(where=["site=north"])) == 6


@ONE_LINE
def test_the_root_is_known_although_the_new_index_does_not_record_it(
    client: OpenSearch, alias: str, roll: Roll, folder: Path
) -> None:
    roll()
    photos = Index(client, alias, CountingModel)
    photos.ingest(folder, root=folder)
    client.indices.put_mapping(index=f"{alias}-000002", body={"_meta": _without_root(client, f"{alias}-000002")})
    assert find_index(client, alias).shared_root == str(folder)
    assert photos.ingest(folder, root=folder).unchanged == 5
    # And it is recorded there now.
    assert find_index(client, f"{alias}-000002").root == str(folder)


def _without_root(client: OpenSearch, index: str) -> dict[str, dict[str, object]]:
    meta = client.indices.get_mapping(index=index)[index]["mappings"]["_meta"]
    return {"sorce": {name: value for name, value in meta["sorce"].items() if name != "root"}}


class Noting(Watch):
    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def noted(self, note: str) -> None:
        self.notes.append(note)


def test_a_run_that_goes_on_follows_a_rollover(
    client: OpenSearch, alias: str, roll: Roll, draw: Draw, folder: Path
) -> None:
    changes, watch, told = Changes(), Noting(), list[Followed]()

    def tell(state: Followed) -> None:
        told.append(state)
        if len(told) == 1:
            roll()
            touch(changes, draw("new.png", (1, 2, 3)), draw("a.jpg", (9, 9, 9)))
            (folder / "b.png").unlink()
            touch(changes, folder / "b.png")
            changes.end()

    target = TargetIndex(client, alias)
    target.look_up()
    touch(changes, folder / "a.jpg", folder / "b.png")
    run = ContinuousRun(target, CountingModel(), Naming(), Options(workers=1), watch, tell)
    report = run.run(changes)
    # `a.jpg` was written in the step that the rollover ended, so that it is unchanged when the step is done again.
    assert (report.new, report.unchanged, report.pruned, report.rejected) == (3, 1, 1, 0)
    assert (held(client, alias, 1), held(client, alias, 2)) == ({"a.jpg"}, {"new.png"})
    assert watch.notes == [f"'{alias}' was rolled over; new photos go to '{alias}-000002'."]


def test_a_run_that_goes_on_does_not_follow_an_alias_that_left_its_index(
    client: OpenSearch, alias: str, draw: Draw
) -> None:
    target, changes = TargetIndex(client, alias), Changes()
    target.look_up()
    TargetIndex(client, f"{alias}-other").make(CountingModel().recipe)
    actions = [
        {"remove": {"index": f"{alias}-000001", "alias": alias}},
        {"add": {"index": f"{alias}-other", "alias": alias, "is_write_index": True}},
    ]
    client.indices.update_aliases(body={"actions": actions})
    touch(changes, draw("a.jpg"))
    run = ContinuousRun(target, CountingModel(), Naming(), Options(workers=1), Watch(), lambda _: None)
    with pytest.raises(IndexReplaced, match="was deleted, made again or moved"):
        run.run(changes)
    assert not stored(TargetIndex(client, f"{alias}-other"))


def touch(changes: Changes, *photos: Path) -> None:
    for photo in photos:
        changes.waiting.put(Touched(str(photo), time.time()))


@ONE_LINE
def test_a_template_is_made_only_where_a_rollover_hides_no_photo(client: OpenSearch, alias: str) -> None:
    with pytest.raises(IndexMissing, match="is an index; name the alias that rolls over"):
        rollover_template(client, f"{alias}-000001")
    client.indices.put_alias(index=f"{alias}-000001", name=alias, body={"is_write_index": False})
    with pytest.raises(IndexMissing, match="a rollover would hide its photos"):
        rollover_template(client, alias)


def test_the_next_index_has_the_same_mapping_and_settings(
    client: OpenSearch, alias: str, rolled: Path, roll: Roll
) -> None:
    assert rolled.exists()
    roll()
    found = find_index(client, alias)
    assert found.names == [f"{alias}-000003", f"{alias}-000001", f"{alias}-000002"]
    first, *others = found.every
    assert all(each.properties == first.properties and each.meta == first.meta for each in others)
    with pytest.raises(RequestError, match="strict_dynamic_mapping_exception"):
        client.index(index=found.name, id="1", body={"unknown": 1})
