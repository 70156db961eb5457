"""A run writes only to the index that it looked up, even if the index's name changes its meaning during the run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch

from sorce.cluster import connect
from sorce.errors import ClusterError, IndexMissing, IndexNameError, SorceError
from sorce.ingest import Options, Report, ingest_photos
from sorce.ingest.alias import switch
from sorce.ingest.guard import IndexReplaced
from sorce.ingest.index import NewIndex, TargetIndex
from sorce.ingest.pipeline import bring_in, rehearse
from sorce.mappings import Attribute, Region
from tests.ingest.conftest import CountingModel, files, stored
from tests.kit.fake import Seen
from tests.kit.place import Place


class Meanwhile(CountingModel):
    """Does something when the first photos are encoded: the index has been looked up, and nothing is written yet."""

    def __init__(self, what: Callable[[], object]) -> None:
        super().__init__()
        self.what = what

    def encode(self, prepared: Sequence[Seen]) -> list[list[Region]]:
        if not self.encoded:
            self.what()
        return super().encode(prepared)


@pytest.fixture
def there(client: OpenSearch, index: TargetIndex, model: CountingModel) -> TargetIndex:
    """The index, made and empty."""
    TargetIndex(client, index.name).make(model.recipe)
    return index


@pytest.fixture
def alias(client: OpenSearch, there: TargetIndex) -> str:
    """An alias of it."""
    name = f"{there.name}-alias"
    client.indices.put_alias(index=there.name, name=name)
    return name


@pytest.fixture
def foreign(client: OpenSearch, index: TargetIndex) -> Iterator[str]:
    """Another application's index."""
    name = f"{index.name}-foreign"
    client.indices.create(index=name)
    yield name
    client.indices.delete(index=name)


def run(client: OpenSearch, name: str, model: CountingModel, folder: Path) -> Report:
    return ingest_photos(client, name, model, files(folder), Options(workers=1))


@pytest.mark.fault("2.3.3")
@pytest.mark.fault("2.s.1")
def test_an_index_that_is_deleted_meanwhile_is_not_made_again(
    client: OpenSearch, there: TargetIndex, folder: Path
) -> None:
    deleting = Meanwhile(lambda: client.indices.delete(index=there.name))
    with pytest.raises(IndexReplaced, match=rf"^index '{there.name}' was deleted, made again or moved while this run"):
        run(client, there.name, deleting, folder)
    assert not client.indices.exists(index=there.name)


@pytest.mark.fault("2.3.1")
def test_an_index_that_is_made_again_meanwhile_gets_no_photo_of_the_run(
    client: OpenSearch, there: TargetIndex, folder: Path, other_model: CountingModel
) -> None:
    def again() -> None:
        client.indices.delete(index=there.name)
        TargetIndex(client, there.name).make(other_model.recipe)

    with pytest.raises(IndexReplaced, match="has taken back the 5 documents of its last request"):
        run(client, there.name, Meanwhile(again), folder)
    client.indices.refresh(index=there.name)
    assert stored(there) == {}


@pytest.mark.fault("2.3.2")
def test_an_alias_that_is_moved_meanwhile_stops_the_run_and_the_other_index_gets_nothing(
    client: OpenSearch, there: TargetIndex, alias: str, foreign: str, folder: Path
) -> None:
    def move() -> None:
        actions = [{"remove": {"index": there.name, "alias": alias}}, {"add": {"index": foreign, "alias": alias}}]
        client.indices.update_aliases(body={"actions": actions})

    with pytest.raises(IndexReplaced, match=rf"^alias '{alias}' or its index '{there.name}' was deleted, made again"):
        run(client, alias, Meanwhile(move), folder)
    client.indices.refresh(index=foreign)
    assert client.count(index=foreign)["count"] == 0
    assert client.indices.get_mapping(index=foreign)[foreign]["mappings"] == {}


@pytest.mark.fault("2.3.3")
def test_an_alias_that_is_deleted_meanwhile_does_not_become_an_index(
    client: OpenSearch, there: TargetIndex, alias: str, folder: Path
) -> None:
    deleting = Meanwhile(lambda: client.indices.delete_alias(index=there.name, name=alias))
    with pytest.raises(IndexReplaced):
        run(client, alias, deleting, folder)
    assert not client.indices.exists(index=alias)


@pytest.mark.fault("2.3.4")
def test_a_photo_of_another_recipe_is_not_unchanged(
    client: OpenSearch, there: TargetIndex, model: CountingModel, folder: Path
) -> None:
    """As a run that was late left it in an index that had been made again."""
    run(client, there.name, model, folder)
    script = {"source": "ctx._source.recipe_hash = 'another'"}
    client.update_by_query(index=there.name, body={"script": script}, params={"refresh": "true"})
    report = run(client, there.name, model, folder)
    assert (report.changed, report.unchanged, model.encoded) == (5, 0, 10)


@pytest.mark.fault("2.2.1")
def test_through_a_filtered_alias_photos_that_are_there_are_not_new(
    client: OpenSearch, there: TargetIndex, model: CountingModel, folder: Path
) -> None:
    run(client, there.name, model, folder)
    name = f"{there.name}-alias"
    client.indices.put_alias(index=there.name, name=name, body={"filter": {"term": {"file_name": "a.jpg"}}})
    report = run(client, name, model, folder)
    assert (report.unchanged, report.new, model.encoded) == (5, 0, 5)


@pytest.mark.fault("2.s.2")
def test_an_alias_with_routing_is_refused(
    client: OpenSearch, there: TargetIndex, model: CountingModel, folder: Path
) -> None:
    client.indices.put_alias(index=there.name, name=f"{there.name}-alias", body={"routing": "1"})
    with pytest.raises(IndexMissing, match=rf"ingest into the index itself: --index {there.name}\.$"):
        run(client, f"{there.name}-alias", model, folder)
    assert model.prepared == 0


@pytest.mark.fault("2.s.38")
def test_an_alias_that_takes_no_documents_is_refused(
    client: OpenSearch, there: TargetIndex, model: CountingModel, folder: Path
) -> None:
    client.indices.put_alias(index=there.name, name=f"{there.name}-alias", body={"is_write_index": False})
    with pytest.raises(IndexMissing, match=rf"takes no documents \(is_write_index is false\); .* --index {there.name}"):
        run(client, f"{there.name}-alias", model, folder)
    assert model.prepared == 0


@pytest.mark.fault("1.s.40")
@pytest.mark.parametrize("name", ["root*", "a,b", "<x-{now/d}>", "", "Photos", "-a", "_all", None, 5, b"photos"])
def test_a_name_that_is_not_one_index_is_refused_before_a_photo_is_read(
    client: OpenSearch, model: CountingModel, folder: Path, name: Any
) -> None:
    with pytest.raises(IndexNameError, match="cannot be the name of one index or alias"):
        run(client, name, model, folder)
    assert model.prepared == 0


@pytest.mark.fault("2.4.1")
def test_an_alias_that_another_machine_made_at_the_same_moment_is_told_with_what_mends_it(
    client: OpenSearch, there: TargetIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, other = f"{there.name}-alias", TargetIndex(client, f"{there.name}-2")
    other.make(CountingModel(revision="2").recipe)
    update = client.indices.update_aliases

    def both(body: object) -> object:
        client.indices.put_alias(index=other.name, name=name)
        return update(body=body)

    monkeypatch.setattr(client.indices, "update_aliases", both)
    try:
        with pytest.raises(SorceError, match="run the same command again where the recipe to keep is") as told:
            switch(client, name, there.name, None)
        monkeypatch.undo()
        with pytest.raises(IndexMissing, match=rf"run `sorce ingest --alias {name}` with the model"):
            ingest_photos(client, name, CountingModel(), [])
        # The request that the sentence names corrects it.
        client.indices.update_aliases(body=json.loads(str(told.value).partition("POST /_aliases ")[2].rstrip(".")))
        assert list(client.indices.get_alias(name=name)) == [there.name]
        client.indices.put_alias(index=other.name, name=name)
        # The command itself also corrects it.
        assert switch(client, name, there.name, None) == other.name
        assert list(client.indices.get_alias(name=name)) == [there.name]
    finally:
        client.indices.delete(index=other.name)


@pytest.mark.fault("7.3.2")
def test_an_index_is_made_with_its_first_photo(
    client: OpenSearch, index: TargetIndex, model: CountingModel, folder: Path
) -> None:
    for photo in folder.rglob("*.*"):
        photo.write_bytes(b"")
    assert run(client, index.name, model, folder).rejected == 5
    assert not client.indices.exists(index=index.name)


def test_an_ingest_into_an_index_that_exists_asks_four_times_before_it_writes(
    place: Place, there: TargetIndex, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version of the cluster, what there is to know of the index, a refresh, and what it holds of the photos."""
    asked: list[str] = []
    with connect(place.url, place.access) as asking:
        connection = type(asking.transport.get_connection())
    perform = connection.perform_request

    def noted(self: object, method: str, url: str, *given: object, **more: object) -> object:
        asked.append(f"{method} {url}")
        return perform(self, method, url, *given, **more)

    monkeypatch.setattr(connection, "perform_request", noted)
    with connect(place.url, place.access) as asking:
        run(asking, there.name, CountingModel(), folder)
    before = asked[: next(place for place, each in enumerate(asked) if each.endswith("/_bulk"))]
    assert len(before) == 4, before


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("mapping.nested_objects.limit", "100", "is too low, since sorce needs 10000"),
        ("max_result_window", 9_999, "is too low, since sorce needs 10000"),
        ("max_inner_result_window", "50", "is too low, since sorce needs 100"),
        ("knn", False, "leaves out the graph"),
        ("knn", "false", "leaves out the graph"),
    ],
)
def test_settings_with_which_photos_or_searches_would_fail_are_refused(name: str, value: object, said: str) -> None:
    with pytest.raises(SorceError, match=said):
        NewIndex({f"index.{name}": value})


def test_higher_limits_are_allowed() -> None:
    assert NewIndex({"index.mapping.nested_objects.limit": "20000", "index.max_result_window": 50_000}).settings


@pytest.mark.parametrize(
    ("settings", "attributes", "said"),
    [
        ({"index.number_of_shards": "many"}, {}, r"\[many\] for setting \[index.number_of_shards\]"),
        ({"index.no_such_setting": 1}, {}, r"unknown setting \[index.no_such_setting\]"),
        ({"index.mapping.total_fields.limit": 30}, {"aisle": 1}, r"Limit of total fields \[30\]"),
        ({}, {f"number{count}": count for count in range(600)}, r"Limit of total fields \[1000\]"),
    ],
    ids=["value", "name", "limit", "attributes"],
)
@pytest.mark.parametrize("work", [bring_in, rehearse])
def test_what_no_index_can_be_made_of_is_refused_before_a_photo_is_read(
    index: TargetIndex,
    model: CountingModel,
    folder: Path,
    work: Any,
    settings: dict[str, object],
    attributes: dict[str, Attribute],
    said: str,
) -> None:
    target = TargetIndex(index.client, index.name, NewIndex(settings))
    given = model if work is bring_in else model.recipe
    with pytest.raises(ClusterError, match=f"index '{index.name}' cannot be made: .*{said}"):
        work(target, given, files(folder), Options(attributes))
    assert model.prepared == 0
    assert not index.client.indices.exists(index=index.name)
