"""User attributes exist only in the index: they are set by a script, and are never lost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opensearchpy import OpenSearch
from roles import owner, put

from sorce.access import Access
from sorce.cluster import connect
from sorce.engine import Node
from sorce.errors import SorceError
from sorce.ingest import Options, Report, Source, ingest_photos
from sorce.ingest.alias import switch
from sorce.ingest.index import TargetIndex
from sorce.ingest.write import Sender
from sorce.mappings import Attribute, Region, Vector
from sorce.plugin.cluster.role import role
from tests.ingest.conftest import CountingModel, Documents, files, stored
from tests.kit.fake import Seen

PASSWORD = "Cluttered-photos-17"


def run(client: OpenSearch, index: str, model: CountingModel, folder: Path, **attributes: Attribute) -> Report:
    return ingest_photos(client, index, model, files(folder), Options(attributes, workers=1))


def vectors(documents: Documents) -> list[Vector]:
    return [np.array(region["vec"], np.float32) for _, each in sorted(documents.items()) for region in each["regions"]]


def attributes(documents: Documents) -> list[dict[str, Any]]:
    """Those of each photo, which must be those of each of its regions."""
    for each in documents.values():
        assert all(region["attributes"] == each["attributes"] for region in each["regions"])
    return [each["attributes"] for each in documents.values()]


@pytest.mark.fault("3.1.2")
def test_attributes_of_known_photos_are_set_without_decoding_and_every_vector_stays(
    client: OpenSearch, index: TargetIndex, model: CountingModel, folder: Path
) -> None:
    run(client, index.name, model, folder, site="oslo")
    before = stored(index)
    report = run(client, index.name, model, folder, shelf=3)
    assert (report.changed, report.unchanged, report.regions) == (5, 0, 0)
    assert (model.prepared, model.encoded) == (5, 5)
    assert attributes(stored(index)) == [{"site": "oslo", "shelf": 3}] * 5
    client.indices.forcemerge(index=index.name, params={"max_num_segments": 1})
    client.indices.refresh(index=index.name)
    after = stored(index)
    assert all(np.array_equal(one, other) for one, other in zip(vectors(before), vectors(after), strict=True))
    [query] = vectors(before)[:1]
    # An exact search on the indexed vectors: the graph may miss one of so many equal vectors.
    params = {"field": "regions.vec", "query_value": query.tolist(), "space_type": "innerproduct"}
    script = {"lang": "knn", "source": "knn_score", "params": params}
    scored = {"script_score": {"query": {"match_all": {}}, "script": script}}
    knn = {"nested": {"path": "regions", "score_mode": "max", "query": scored}}
    [hit] = client.search(index=index.name, body={"query": knn, "size": 1})["hits"]["hits"]
    # OpenSearch's score of an inner product is 1 + cosine.
    assert hit["_score"] == pytest.approx(2, abs=1e-5)


class Between(CountingModel):
    """Another run comes between this run's look-up and its first write."""

    def __init__(self, other: Any) -> None:
        super().__init__()
        self.other = other

    def encode(self, prepared: Sequence[Seen]) -> list[list[Region]]:
        if not self.encoded:
            self.other()
        return super().encode(prepared)


@pytest.mark.fault("3.1.1")
def test_two_runs_at_once_with_different_attributes_on_new_photos_keep_both(
    client: OpenSearch, index: TargetIndex, folder: Path
) -> None:
    def other() -> None:
        run(client, index.name, CountingModel(), folder, site="oslo")

    run(client, index.name, Between(other), folder, shelf=3)
    found = stored(index)
    assert attributes(found) == [{"site": "oslo", "shelf": 3}] * 5
    assert all(len(each["regions"]) == 5 for each in found.values())


@pytest.mark.fault("3.s.1")
def test_an_attribute_that_is_set_while_a_changed_photo_is_encoded_stays(
    client: OpenSearch, index: TargetIndex, folder: Path
) -> None:
    run(client, index.name, CountingModel(), folder)
    copied = (folder / "b.png").read_bytes()
    (folder / "a.jpg").write_bytes(copied)

    def other() -> None:
        script = {
            "source": "ctx._source.attributes = ['site': 'oslo']; for (r in ctx._source.regions) { r.attributes = "
            "['site': 'oslo']; }"
        }
        client.update_by_query(index=index.name, body={"script": script}, params={"refresh": "true"})

    TargetIndex(client, index.name).make(CountingModel().recipe, {"site": {"type": "keyword"}})
    assert run(client, index.name, Between(other), folder).changed == 1
    assert attributes(stored(index)) == [{"site": "oslo"}] * 5
    assert len({each["content_hash"] for each in stored(index).values()}) == 4


@pytest.mark.fault("2.5.1")
def test_an_alias_move_carries_attributes_over(
    client: OpenSearch, index: TargetIndex, model: CountingModel, other_model: CountingModel, folder: Path
) -> None:
    run(client, index.name, model, folder, site="oslo", shelf=3)
    new, alias = TargetIndex(client, f"{index.name}-new"), f"{index.name}-alias"
    try:
        switch(client, alias, index.name, None)
        run(client, new.name, other_model, folder, shelf=4)
        switch(client, alias, new.name, None)
        client.indices.refresh(index=new.name)
        assert attributes(stored(new)) == [{"site": "oslo", "shelf": 4}] * 5
        query = {"nested": {"path": "regions", "query": {"term": {"regions.attributes.site": "oslo"}}}}
        assert client.count(index=alias, body={"query": query})["count"] == 5
    finally:
        client.indices.delete(index=new.name, params={"ignore_unavailable": "true"})


@pytest.mark.fault("7.7.1")
def test_an_attribute_that_is_too_long_is_refused_before_a_photo_is_read(
    client: OpenSearch, index: TargetIndex, model: CountingModel, folder: Path
) -> None:
    with pytest.raises(SorceError, match="is longer than 32,766 bytes, the most that OpenSearch can index"):
        run(client, index.name, model, folder, note="x" * 40_000)
    assert model.prepared == 0


@pytest.mark.fault("4.1.12")
def test_a_document_without_a_content_hash_is_indexed_again(
    client: OpenSearch, index: TargetIndex, model: CountingModel, folder: Path
) -> None:
    run(client, index.name, model, folder)
    script = {"source": "ctx._source.remove('content_hash')"}
    client.update_by_query(index=index.name, body={"script": script}, params={"refresh": "true"})
    assert run(client, index.name, model, folder).changed == 5


def test_the_role_ingest_may_set_attributes(
    secured: Node, model: CountingModel, folder: Path, index: TargetIndex
) -> None:
    with connect(secured.url, owner(secured)) as administrator:
        put(administrator, f"roles/{index.name}", role("ingest", index.name))
        user = {"password": PASSWORD, "opendistro_security_roles": [index.name]}
        put(administrator, f"internalusers/{index.name}", user)
        access = Access(owner(secured).ca_file, username=index.name, password=PASSWORD)
        with connect(secured.url, access) as client:
            run(client, index.name, model, folder, site="oslo")
            assert run(client, index.name, model, folder, shelf=3).changed == 5
        administrator.indices.delete(index=index.name)


@pytest.mark.fault("3.s.6")
def test_photos_bring_attributes_of_their_own_from_a_program(
    client: OpenSearch, index: TargetIndex, model: CountingModel, folder: Path
) -> None:
    """Also one that comes after the index was made; one that no document can hold rejects its photo alone."""
    content = (folder / "a.jpg").read_bytes()
    given: list[dict[str, Any]] = [{"site": "oslo"}, {"shelf": 3}, {"site": [1]}, {}]
    photos = [
        Source(f"x://{n}", "x", f"{n}.jpg", f"{n}.jpg", lambda: content, attributes=a) for n, a in enumerate(given)
    ]
    for some in (photos[:1], photos[1:]):
        report = ingest_photos(client, index.name, model, some, Options(workers=1))
    assert (report.new, report.rejected) == (2, 1)
    assert sorted(map(str, (each.get("attributes") for each in stored(index).values()))) == [
        "None",
        "{'shelf': 3}",
        "{'site': 'oslo'}",
    ]


@pytest.mark.fault("5.s.12")
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("x", True, "is of type bool; give a text, an int, a float or a datetime"),
        ("x", None, "is of type NoneType"),
        ("x", ["a", "b"], "is of type list"),
        ("x", np.int64(3), "is of type int64"),
        ("a.b", "x", "'a.b' cannot be the name of an attribute"),
        ("x", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))), "is in no year from 1 to 9999 in UTC"),
    ],
)
def test_an_attribute_that_no_document_can_hold_is_refused_before_a_photo_is_read(
    client: OpenSearch, index: TargetIndex, model: CountingModel, folder: Path, name: str, value: Any, said: str
) -> None:
    with pytest.raises(SorceError, match=said):
        ingest_photos(client, index.name, model, files(folder), Options({name: value}, workers=1))
    assert model.prepared == 0


def test_a_date_of_an_early_year_is_stored_and_is_unchanged_later(
    client: OpenSearch, index: TargetIndex, model: CountingModel, folder: Path
) -> None:
    early = datetime(900, 1, 2, tzinfo=UTC)
    assert run(client, index.name, model, folder, made=early).new == 5
    assert run(client, index.name, model, folder, made=early).unchanged == 5


@pytest.mark.fault("3.s.7")
def test_two_runs_at_once_with_different_attributes_on_known_photos_keep_both(
    client: OpenSearch, index: TargetIndex, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other run comes between this run's look-up and its request."""
    run(client, index.name, CountingModel(), folder)
    sending = Sender._bulk

    def between(self: Sender, body: bytes) -> Any:
        monkeypatch.setattr(Sender, "_bulk", sending)
        run(client, index.name, CountingModel(), folder, site="oslo")
        return sending(self, body)

    monkeypatch.setattr(Sender, "_bulk", between)
    assert run(client, index.name, CountingModel(), folder, shelf=3).changed == 5
    assert attributes(stored(index)) == [{"site": "oslo", "shelf": 3}] * 5
