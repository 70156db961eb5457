"""Moves an alias to a new recipe: the new index is built beside the old one, and the switch is one atomic request."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import orjson
from opensearchpy import OpenSearch, exceptions

from sorce.cluster import address, look_up_all, translate_errors
from sorce.errors import RecipeMismatch, SorceError
from sorce.ingest.actions import WriteFields
from sorce.ingest.compare import AT_ONCE
from sorce.ingest.guard import Guard
from sorce.ingest.index import Listed, TargetIndex, refuse_routing
from sorce.ingest.prune import find_gone
from sorce.ingest.retry import Retry
from sorce.ingest.write import Sender
from sorce.mappings import Recipe, refuse_mismatch
from sorce.mappings.found import FoundIndex
from sorce.mappings.lookup import Stored
from sorce.mappings.names import Names, check_alias_name
from sorce.mappings.update import carry
from sorce.models.querybank import banked
from sorce.pictures.files import Files

DEFAULT_PIPELINE = "index.search.default_pipeline"

_NOBODYS = "00000000"
"""It ends like the name of an alias's index, so that the role *alias* allows it, too."""


@dataclass(frozen=True)
class Alias:
    """An alias as it was found: it should name one index, or none yet, or several of one recipe with a write index.

    The indices of the last kind count as one in `behind`. If it names several by mistake, each is there by itself.
    """

    client: OpenSearch
    name: str
    behind: Sequence[FoundIndex]

    @classmethod
    def look_up(cls, client: OpenSearch, name: str) -> Alias:
        """Raises SorceError if the name is the name of an index, or if the alias has routing."""
        found = look_up_all(client, check_alias_name(name))
        for index in found:
            if index.name == name:
                raise SorceError(
                    f"'{name}' is an index, so no alias can have that name; give --alias another, or use --index."
                )
            refuse_routing(index)
        return cls(client, name, found)

    @property
    def recipe(self) -> Recipe | None:
        """The recipe of the index that the alias names."""
        return self.behind[0].recipe if self.behind else None

    def target(self, recipe: Recipe) -> str:
        """The index for photos of this recipe: the one that the alias names, or else one named after the recipe.

        The same recipe gives the same name, so an interrupted ingest continues in the same index. Raises SorceError if
        the cluster would still encode searches of the alias with another model.
        """
        # As a new index will store it: with the querybank that the hubness of its regions is computed from.
        recipe = banked(recipe)
        going_on = next((index for index in self.behind if goes_on(index, recipe)), None)
        if going_on is not None:
            return going_on.name
        if self.behind:
            # The next index gets it, too: refused here, before the first photo.
            besides_name(self.name, self.behind)
        name = (
            f"{self.name}-{hashlib.sha256(orjson.dumps(recipe.to_meta(), option=orjson.OPT_SORT_KEYS)).hexdigest()[:8]}"
        )
        for index in self.behind:
            if not same_encoder(index.recipe, recipe) and index.default_pipeline in server_side(self.name):
                raise SorceError(
                    f"'{self.name}' cannot move to another encoder while the cluster encodes its searches. Ingest with "
                    f"--index {name}, run `sorce plugin install --index {name}`, and let callers search '{name}'; then "
                    f"run `sorce plugin uninstall --index {self.name}` and this command again."
                )
        return name

    def refuse_without_right(self, index: str) -> None:
        """Raises ClusterError if this user may not point the alias at the index, which need not exist yet.

        It asks for the removal of an alias that nobody has, which needs the same right and changes nothing.
        """
        if any(index in found.names for found in self.behind) and len(self.behind) == 1:
            return
        remove = {"index": index, "alias": f"{self.name}-{_NOBODYS}", "must_exist": False}
        with translate_errors(address(self.client)), suppress(exceptions.NotFoundError):
            self.client.indices.update_aliases(body={"actions": [{"remove": remove}]})


def target(client: OpenSearch, alias: str, recipe: Recipe) -> str:
    """Like `Alias.target`, for an alias that has not been looked up."""
    return Alias.look_up(client, alias).target(recipe)


def switch(client: OpenSearch, alias: str, index: str, files: Files | None, retry: Retry | None = None) -> str | None:
    """Makes the alias name only this index, in one step. Returns the index that it named before, which is kept.

    Returns None if there is nothing to do, or there was no index before. The alias keeps its filter. Attributes that
    only the old index has are copied to the new one. Photos may be missing in the new index only if they are missing
    on the disk, too: `files` says where to look. Raises SorceError, and changes nothing, if the new index lacks other
    photos. Raises Interrupted if the run is asked to stop before the switch.
    """
    retry = retry or Retry()
    with translate_errors(address(client)):
        there = retry.insist(partial(Alias.look_up, client, alias))
        old = [found for found in there.behind if index not in found.names]
        if not old:
            if not there.behind:
                _first(client, alias, index, retry)
            return None
        new = TargetIndex(client, index)
        retry.insist(new.look_up)
        for found in old:
            carry_over(alias, as_target(client, found), new, files, retry)
        _keep_pipeline(client, old[0], new, retry)
        names = [name for found in old for name in found.names]
        there_already = [found for found in there.behind if index in found.names]
        more = besides_name(alias, there_already or old)
        retry.insist(partial(exchange, client, alias, names, {"index": index, **more}))
        return ", ".join(names)


def _first(client: OpenSearch, alias: str, index: str, retry: Retry) -> None:
    """Creates the alias. Raises SorceError if somebody else created it at the same moment for another index."""
    add = {"add": {"index": index, "alias": alias}}
    retry.insist(partial(client.indices.update_aliases, body={"actions": [add]}))
    others = [found.name for found in retry.insist(partial(look_up_all, client, alias)) if found.name != index]
    if others:
        body = json.dumps({"actions": [{"remove": {"index": other, "alias": alias}} for other in others]})
        raise SorceError(
            f"'{alias}' now names '{index}' and '{', '.join(others)}': another ingest made it at the same moment; "
            f"run the same command again where the recipe to keep is, or POST /_aliases {body}."
        )


def as_target(client: OpenSearch, found: FoundIndex) -> TargetIndex:
    """The index itself, without another look-up."""
    target = TargetIndex(client, found.name)
    target.found = found.by_its_own_name()
    return target


def besides_name(alias: str, behind: Sequence[FoundIndex]) -> dict[str, Any]:
    """What the alias holds for its indices, such as a filter. Raises SorceError if it is not the same for all."""
    each = [dict(index.aliases.get(alias, {})) for found in behind for index in found.every]
    writing = [one.pop("is_write_index", None) for one in each]
    first, *others = each
    if any(one != first for one in others):
        names = ", ".join(name for found in behind for name in found.names)
        raise SorceError(
            f"'{alias}' has different filters for its indices ({names}), so nobody knows which one the next index "
            "gets; give all the same one (POST /_aliases), or use --index."
        )
    return first if set(writing) == {None} else {**first, "is_write_index": True in writing}


def exchange(client: OpenSearch, alias: str, old: Sequence[str], new: dict[str, Any]) -> None:
    """The switch itself. `new` is the index, and what the alias holds for it besides its name.

    Raises NotFoundError, and changes nothing, if somebody has moved the alias meanwhile.
    """
    removes = [{"remove": {"index": name, "alias": alias, "must_exist": True}} for name in old]
    add = {"add": {**new, "alias": alias}}
    try:
        client.indices.update_aliases(body={"actions": [*removes, add]})
    except exceptions.NotFoundError:
        there = look_up_all(client, alias)
        # Otherwise an earlier request did it and its answer was lost.
        if [found.name for found in there] != [new["index"]]:
            raise


def _keep_pipeline(client: OpenSearch, old: FoundIndex, new: TargetIndex, retry: Retry) -> None:
    """Gives the new index the default pipeline, so that the cluster still encodes searches of the alias."""
    if old.default_pipeline is None or new.found is None or not same_encoder(old.recipe, new.found.recipe):
        return
    body = {DEFAULT_PIPELINE: old.default_pipeline}
    retry.insist(partial(client.indices.put_settings, index=new.name, body=body))


def carry_over(alias: str, old: TargetIndex, new: TargetIndex, files: Files | None, retry: Retry) -> None:
    """Sets in the new index the attributes that only the old one has. Raises SorceError if photos are missing."""
    # Without a refresh, photos written just now, or in an index that never refreshes by itself, would be overlooked.
    retry.insist(old.refresh)
    retry.insist(new.refresh)
    excused = set() if files is None else {photo.photo_id for photo in find_gone(old, files, retry).files}
    lost: list[Listed] = []
    for photos, here, there in compared_pages(old, new, retry):
        lost += [photo for photo in photos if photo.photo_id not in there and photo.photo_id not in excused]
        writes = [
            _carried(photo, here[photo.photo_id], there[photo.photo_id]) for photo in photos if photo.photo_id in there
        ]
        _send(new, old, [write for write in writes if write is not None], retry)
    if lost:
        raise SorceError(
            f"'{alias}' still names '{old.name}': '{new.name}' lacks {len(lost):,} of its photos, such as "
            f"{lost[0].uri}; bring them in as well, or add --prune if their files are gone."
        )


def compared_pages(
    old: TargetIndex, new: TargetIndex, retry: Retry
) -> Iterator[tuple[list[Listed], dict[str, Stored], dict[str, Stored]]]:
    """The photos of the old index page by page, and what both indices hold of them. Raises Interrupted."""
    photos = old.listed("", relative=False, retry=retry)
    while page := list(islice(photos, AT_ONCE)):
        ids = [photo.photo_id for photo in page]
        yield page, retry.insist(partial(old.stored, ids)), retry.insist(partial(new.stored, ids))


def _carried(photo: Listed, here: Stored, there: Stored) -> WriteFields | None:
    """The update that sets the attributes missing in the new index."""
    missing = {name: value for name, value in here.attributes.items() if name not in there.attributes}
    if not missing:
        return None
    return WriteFields(photo.uri, photo.photo_id, "changed", there.version, orjson.dumps(carry(missing)))


def _send(new: TargetIndex, old: TargetIndex, writes: Sequence[WriteFields], retry: Retry) -> None:
    if not writes or new.found is None:
        return
    types = {name: kind for name, kind in old.attribute_types().items() if name not in new.attribute_types()}
    retry.insist(partial(new.prepare, new.found.recipe, types))
    sent = Sender(new.client, Guard.of(new.found), retry).send(writes)
    if sent.rejected:
        raise SorceError(
            f"the attributes of {sent.rejected[0].path} cannot be carried over to '{new.name}': it "
            f"{sent.rejected[0].reason}."
        )


def goes_on(found: FoundIndex, here: Recipe) -> bool:
    """Whether an index can take more photos of this recipe."""
    try:
        refuse_mismatch(found.name, found.recipe, here)
    except RecipeMismatch:
        return False
    return True


def same_encoder(one: Recipe, other: Recipe) -> bool:
    """Whether a text has the same vector under both recipes."""
    return (one.model, one.revision, one.dimension, one.prompts) == (
        other.model,
        other.revision,
        other.dimension,
        other.prompts,
    )


def template_is_outdated(client: OpenSearch, alias: Alias, index: str) -> bool:
    """Whether the cluster encodes searches of the alias with a template made for the previous index."""
    [now] = look_up_all(client, index)
    if now.default_pipeline not in server_side(alias.name):
        return False
    return any(in_template(found) != in_template(now) for found in alias.behind)


def server_side(alias: str) -> tuple[str, str]:
    """Names of an index's default search pipeline for `neural`: the current name, and that of 0.1.0."""
    names = Names(alias)
    return names.default, names.old_default


def in_template(found: FoundIndex) -> tuple[object, ...]:
    """What `sorce.plugin.cluster.template` uses of an index."""
    recipe = found.recipe
    return (recipe.matching, recipe.has_quality, bool(recipe.bank), found.is_compressed)
