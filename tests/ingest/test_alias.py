"""An alias moves to a new recipe while it is searched."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result
from opensearchpy import OpenSearch, exceptions

from sorce.cluster import find_index
from sorce.errors import SorceError
from sorce.ingest import Files, commands, request
from sorce.ingest import alias as move
from sorce.ingest.alias import DEFAULT_PIPELINE, switch, target
from sorce.ingest.index import TargetIndex
from sorce.ingest.retry import Interrupted, Retry
from sorce.mappings import Recipe, Vector
from sorce.models import querybank
from sorce.plugin import ClientSearch, SearchRequest
from tests.ingest.conftest import CountingModel, Draw, stored
from tests.kit.fake import COLOURS, Seen


class Mirrored(CountingModel):
    """Another encoder: its space is that of the first, with all signs turned."""

    def __init__(self) -> None:
        super().__init__(revision="2")

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        turned: Vector = -super().embed_texts(texts)
        return turned

    def prepare(self, photo: Any) -> Seen:
        return [(box, -vector) for box, vector in super().prepare(photo)]


@pytest.fixture
def alias(client: OpenSearch) -> Iterator[str]:
    name = f"test-alias-{uuid.uuid4().hex[:8]}"
    yield name
    client.indices.delete(index=f"{name}*", params={"ignore_unavailable": "true", "allow_no_indices": "true"})


Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, surroundings: None, alias: str) -> Run:  # noqa: ARG001
    def command(model: CountingModel, *arguments: Any) -> Result:
        monkeypatch.setattr(request, "load_model", lambda *_: model)
        given = ["--alias", alias, "--workers", "1", *map(str, arguments)]
        return CliRunner().invoke(commands.ingest, given)

    return command


def named(client: OpenSearch, alias: str) -> str:
    [index] = client.indices.get_alias(name=alias)
    return str(index)


def test_the_first_ingest_makes_the_index_and_the_alias_and_the_next_goes_on_there(
    run: Run, client: OpenSearch, alias: str, folder: Path, draw: Draw
) -> None:
    first = run(CountingModel(), "--json", folder)
    index = named(client, alias)
    assert (first.exit_code, json.loads(first.stdout)["index"]) == (0, index)
    assert index.startswith(f"{alias}-")
    draw("more.png")
    again = json.loads(run(CountingModel(), "--json", folder).stdout)
    assert (again["index"], again["new"], again["unchanged"]) == (index, 1, 5)


def test_an_alias_of_an_index_of_any_name_goes_on_there(run: Run, client: OpenSearch, alias: str, folder: Path) -> None:
    """As somebody had it before there was --alias."""
    TargetIndex(client, f"{alias}-by-hand").make(CountingModel().recipe)
    switch(client, alias, f"{alias}-by-hand", None)
    assert json.loads(run(CountingModel(), "--json", folder).stdout)["index"] == f"{alias}-by-hand"


@pytest.mark.fault("11.4.1")
def test_an_alias_goes_on_with_its_index_where_the_newest_bank_is_another(
    run: Run, client: OpenSearch, alias: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(CountingModel(), folder)
    old = named(client, alias)
    monkeypatch.setattr(querybank, "texts", lambda: ("one thing", "another"))
    assert run(CountingModel(), folder).exit_code == 0
    assert named(client, alias) == old


def test_another_recipe_gets_an_index_of_its_own_and_the_old_one_stays(
    run: Run, client: OpenSearch, alias: str, folder: Path
) -> None:
    run(CountingModel(), folder)
    old = named(client, alias)
    moved = run(Mirrored(), folder)
    new = named(client, alias)
    assert (moved.exit_code, new != old) == (0, True)
    assert f"'{alias}' names '{new}'; '{old}' stays until you delete it." in moved.stderr
    assert len(stored(TargetIndex(client, old))) == len(stored(TargetIndex(client, new))) == 5


def test_an_ingest_that_was_cut_short_switches_nothing_and_is_continued(
    run: Run, client: OpenSearch, alias: str, folder: Path
) -> None:
    class Failing(Mirrored):
        def encode(self, prepared: Sequence[Seen]) -> Any:
            if self.encoded:
                raise SorceError("cut short")
            return super().encode(prepared)

    run(CountingModel(), folder)
    old = named(client, alias)
    assert isinstance(run(Failing(), folder).exception, SorceError)
    half = run(Mirrored(), "--limit", 3, folder)
    assert "was not switched to" in half.stderr
    assert named(client, alias) == old
    rest = json.loads(run(Mirrored(), "--json", folder).stdout)
    assert (rest["new"], rest["unchanged"]) == (2, 3)
    assert named(client, alias) == rest["index"] != old


def test_a_dry_run_makes_and_switches_nothing(run: Run, client: OpenSearch, alias: str, folder: Path) -> None:
    assert run(CountingModel(), "--dry-run", folder).exit_code == 0
    assert not client.indices.exists(index=f"{alias}*", params={"allow_no_indices": "false"})


def test_an_alias_keeps_its_index_while_the_new_one_lacks_photos(
    run: Run, client: OpenSearch, alias: str, folder: Path
) -> None:
    run(CountingModel(), folder)
    old = named(client, alias)
    part = run(Mirrored(), folder / "below")
    assert str(part.exception).startswith(f"'{alias}' still names '{old}': '")
    assert f"lacks 3 of its photos, such as {(folder / 'a.jpg').as_uri()}; bring them in" in str(part.exception)
    assert named(client, alias) == old
    (folder / "a.jpg").unlink()
    assert "lacks 1 of its photos" in str(run(Mirrored(), folder).exception)
    assert run(Mirrored(), "--prune", "--prune-anyway", folder).exit_code == 0
    assert named(client, alias) != old


def test_an_index_that_has_the_alias_for_its_name_is_left_alone(
    run: Run, client: OpenSearch, alias: str, folder: Path
) -> None:
    TargetIndex(client, alias).make(CountingModel().recipe)
    refused = run(Mirrored(), folder)
    assert str(refused.exception) == (
        f"'{alias}' is an index, so no alias can have that name; give --alias another, or use --index."
    )


def test_either_an_index_or_an_alias_is_wanted(run: Run, folder: Path) -> None:
    both = run(CountingModel(), "--index", "photos", folder)
    assert (both.exit_code, "by either --index or --alias" in both.stderr) == (2, True)


def test_who_was_second_to_move_an_alias_moves_nothing(
    client: OpenSearch, alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other's switch comes between the look at the alias and ours."""

    def meanwhile(*_: object) -> None:
        actions = [
            {"remove": {"index": f"{alias}-a", "alias": alias}},
            {"add": {"index": f"{alias}-c", "alias": alias}},
        ]
        client.indices.update_aliases(body={"actions": actions})

    for place, model in zip("abc", [CountingModel("1"), CountingModel("2"), CountingModel("3")], strict=True):
        TargetIndex(client, f"{alias}-{place}").make(model.recipe)
    switch(client, alias, f"{alias}-a", None)
    monkeypatch.setattr(move, "carry_over", meanwhile)
    with pytest.raises(SorceError, match="missing"):
        switch(client, alias, f"{alias}-b", None)
    assert named(client, alias) == f"{alias}-c"


def test_the_default_pipeline_comes_along_with_the_same_encoder_and_another_is_refused(
    client: OpenSearch, alias: str, model: CountingModel
) -> None:
    """As `sorce plugin install --index ALIAS` leaves it."""
    other_regions = Recipe("example/fake", 40 * "1", "thirds", 8, "numpy")
    new = target(client, alias, other_regions)
    TargetIndex(client, f"{alias}-a").make(model.recipe)
    TargetIndex(client, new).make(other_regions)
    switch(client, alias, f"{alias}-a", None)
    pipeline = f"sorce-{alias}:default"
    client.transport.perform_request("PUT", f"/_search/pipeline/{pipeline}", body={"request_processors": []})
    client.indices.put_settings(index=alias, body={DEFAULT_PIPELINE: pipeline})
    try:
        with pytest.raises(SorceError, match="cannot move to another encoder while the cluster encodes its searches"):
            target(client, alias, Mirrored().recipe)
        assert switch(client, alias, target(client, alias, other_regions), None) == f"{alias}-a"
        assert find_index(client, new).default_pipeline == pipeline
    finally:
        client.indices.put_settings(index=f"{alias}-*", body={DEFAULT_PIPELINE: None})
        client.transport.perform_request("DELETE", f"/_search/pipeline/{pipeline}")


class WithQuality(CountingModel):
    """The same encoder, with boxes that have a quality."""

    def __init__(self) -> None:
        super().__init__()
        self.recipe = replace(self.recipe, regions="objects")


def test_a_template_that_the_move_leaves_behind_is_told(run: Run, client: OpenSearch, alias: str, folder: Path) -> None:
    """Searches by `rank=product` would not see the quality."""
    run(CountingModel(), folder)
    advice = f"run `sorce plugin install --index {alias}` again."
    client.transport.perform_request("PUT", f"/_search/pipeline/sorce-{alias}:default", body={"request_processors": []})
    client.indices.put_settings(index=alias, body={DEFAULT_PIPELINE: f"sorce-{alias}:default"})
    try:
        assert advice not in run(CountingModel(), folder).stderr
        assert advice in run(WithQuality(), folder).stderr
    finally:
        client.indices.put_settings(index=f"{alias}-*", body={DEFAULT_PIPELINE: None})
        client.transport.perform_request("DELETE", f"/_search/pipeline/sorce-{alias}:default")


def test_no_search_during_the_switch_fails_or_mixes_recipes(
    run: Run, client: OpenSearch, alias: str, draw: Draw, record_property: Callable[[str, object], None]
) -> None:
    """Searches run all the while, each by the encoder of the index that it found; mixed, the best would be at -1."""
    for colour in ("red", "green", "blue"):
        folder = draw(f"{colour}.png", COLOURS[colour]).parent
    models = {"1": CountingModel(), "2": Mirrored()}
    run(models["1"], folder)
    ended = Event()
    seen: list[tuple[str, str, float]] = []
    failures: list[Exception] = []

    def search() -> None:
        def encoder(recipe: Recipe) -> CountingModel:
            used.append(recipe.revision[0])
            return models[recipe.revision[0]]

        used: list[str] = []
        while not ended.is_set() or "2" not in used:
            try:
                [best, *_] = ClientSearch(client, alias, encoder).search(SearchRequest(["a red thing"], size=3))
                seen.append((used[-1], best.uri.rpartition("/")[2], round(best.similarity, 3)))
            except (exceptions.OpenSearchException, SorceError, ValueError) as error:
                failures.append(error)
                return

    searching = Thread(target=search)
    searching.start()
    try:
        assert run(Mirrored(), folder).exit_code == 0
    finally:
        ended.set()
        searching.join(60)
    assert failures == []
    assert {revision for revision, _, _ in seen} == {"1", "2"}
    assert {(name, similarity) for _, name, similarity in seen} == {("red.png", 1.0)}
    record_property("searches during a switch", len(seen))


def test_a_run_that_is_asked_to_stop_does_not_switch(client: OpenSearch, alias: str) -> None:
    for place, model in (("a", CountingModel()), ("b", Mirrored())):
        TargetIndex(client, f"{alias}-{place}").make(model.recipe)
    switch(client, alias, f"{alias}-a", None)
    retry = Retry()
    retry.watch.stop.set()
    with pytest.raises(Interrupted, match=r"asked to stop; run the same command again for the rest\.$"):
        switch(client, alias, f"{alias}-b", None, retry)
    assert named(client, alias) == f"{alias}-a"


def test_a_photo_that_was_written_just_now_is_missed_as_well(
    run: Run, client: OpenSearch, alias: str, folder: Path
) -> None:
    run(CountingModel(), folder)
    old = TargetIndex(client, named(client, alias))
    client.indices.put_settings(index=old.name, body={"index.refresh_interval": "-1"})
    [document, *_] = stored(old).values()
    late = {**document, "photo_id": "late", "uri": "file:///late.jpg", "ingested_at": "2026-01-01"}
    client.index(index=old.name, id="late", body=late)
    assert "lacks 1 of its photos, such as file:///late.jpg" in str(run(Mirrored(), folder).exception)
    assert named(client, alias) == old.name


def test_a_recipe_names_its_index_the_same_way_every_time(client: OpenSearch, alias: str) -> None:
    first, again = (target(client, alias, CountingModel().recipe) for _ in range(2))
    assert first == again != target(client, alias, Mirrored().recipe)


def test_a_switch_that_is_done_is_done(client: OpenSearch, alias: str, model: CountingModel) -> None:
    TargetIndex(client, f"{alias}-a").make(model.recipe)
    TargetIndex(client, f"{alias}-b").make(Mirrored().recipe)
    switch(client, alias, f"{alias}-a", Files([]))
    assert switch(client, alias, f"{alias}-b", Files([])) == f"{alias}-a"
    assert switch(client, alias, f"{alias}-b", Files([])) is None


@pytest.mark.fault("2.s.36")
def test_an_alias_keeps_its_filter_when_it_moves(run: Run, client: OpenSearch, alias: str, folder: Path) -> None:
    """Else a search would suddenly show what the filter hides."""
    run(CountingModel(), folder)
    kept = {"filter": {"term": {"file_name": "a.jpg"}}, "is_write_index": True}
    client.indices.put_alias(index=named(client, alias), name=alias, body=kept)
    assert run(Mirrored(), folder).exit_code == 0
    [found] = client.indices.get_alias(name=alias).values()
    assert found["aliases"][alias] == kept


@pytest.mark.fault("2.s.37")
@pytest.mark.parametrize(
    ("more", "said"),
    [({"filter": {"match_all": {}}}, "has different filters for its indices"), ({"routing": "1"}, "to one shard")],
)
def test_an_alias_that_cannot_move_as_it_is_is_refused_before_a_photo_is_read(
    run: Run, client: OpenSearch, alias: str, folder: Path, more: dict[str, Any], said: str
) -> None:
    for number, body in enumerate(({"is_write_index": True}, more)):
        TargetIndex(client, f"{alias}-{number}").make(CountingModel().recipe)
        client.indices.put_alias(index=f"{alias}-{number}", name=alias, body=body)
    model = Mirrored()
    refused = run(model, folder).exception
    assert isinstance(refused, SorceError)
    assert said in str(refused)
    assert model.prepared == 0
