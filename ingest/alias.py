"""An alias moves to a new recipe: its new index is written beside the old one, and the switch is a single step."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from itertools import islice

import orjson
from opensearchpy import OpenSearch, exceptions

from sorce.cluster import address, resolved, translate_errors
from sorce.errors import RecipeMismatch, SorceError
from sorce.ingest.flow import LOOKUP
from sorce.ingest.index import TargetIndex
from sorce.ingest.prune import gone
from sorce.ingest.retry import Retry
from sorce.mappings import Recipe, refuse_mismatch
from sorce.mappings.names import Names
from sorce.models.querybank import banked
from sorce.pictures.files import Files

DEFAULT_PIPELINE = "index.search.default_pipeline"


def target(client: OpenSearch, alias: str, recipe: Recipe) -> str:
    """The index for an alias's photos by this recipe: the one that it names, or else one named after the recipe.

    The same recipe gives the same name, so that an ingest which was cut short goes on where it was. Raises SorceError
    where the name is an index's own, or where the cluster would go on encoding searches of the alias by another model.
    """
    there = behind(client, alias)
    # As the index will have it: with the bank that its regions' hubness comes from.
    recipe = banked(recipe)
    if there is not None and goes_on(*there, recipe):
        return there[0]
    name = f"{alias}-{hashlib.sha256(orjson.dumps(recipe.to_meta(), option=orjson.OPT_SORT_KEYS)).hexdigest()[:8]}"
    if there is not None and not same_encoder(there[1], recipe) and pipeline(client, there[0]) in server_side(alias):
        raise SorceError(
            f"'{alias}' cannot move to another encoder while the cluster encodes its searches: bring the photos in "
            f"with --index {name}, install for '{name}' and have callers search that, and then "
            f"`sorce plugin uninstall --index {alias}` and run this again."
        )
    return name


def switch(client: OpenSearch, alias: str, index: str, files: Files | None, retry: Retry | None = None) -> str | None:
    """Has the alias name this index and no other, in one step; the one that it named before, which stays.

    None where there is nothing to do, or no index before. `files` are those whose absence from the disk excuses their
    absence from the index. Raises SorceError, and leaves all as it is, where the new index lacks other photos;
    Interrupted where the run is asked to stop before the step.
    """
    retry = retry or Retry()
    with translate_errors(address(client)):
        there = retry.insist(partial(behind, client, alias))
        if there is not None and there[0] == index:
            return None
        add = {"add": {"index": index, "alias": alias}}
        if there is None:
            retry.insist(partial(client.indices.update_aliases, body={"actions": [add]}))
            return None
        old, recipe = there
        refuse_loss(alias, TargetIndex(client, old), TargetIndex(client, index), files, retry)
        default = retry.insist(partial(pipeline, client, old))
        if default is not None and same_encoder(recipe, retry.insist(partial(resolved, client, index))[1]):
            # So that the cluster goes on encoding searches of the alias.
            body = {DEFAULT_PIPELINE: default}
            retry.insist(partial(client.indices.put_settings, index=index, body=body))
        retry.insist(partial(exchange, client, alias, old, index))
        return old


def exchange(client: OpenSearch, alias: str, old: str, new: str) -> None:
    """The step itself. Raises NotFoundError, and nothing is done, if somebody has moved the alias meanwhile."""
    remove = {"remove": {"index": old, "alias": alias, "must_exist": True}}
    add = {"add": {"index": new, "alias": alias}}
    try:
        client.indices.update_aliases(body={"actions": [remove, add]})
    except exceptions.NotFoundError:
        there = behind(client, alias)
        # Otherwise it was done by a request whose answer was lost.
        if there is None or there[0] != new:
            raise


def behind(client: OpenSearch, alias: str) -> tuple[str, Recipe] | None:
    """The index that an alias names, and its recipe. Raises SorceError where the name is an index's own."""
    if not client.indices.exists(index=alias):
        return None
    index, recipe = resolved(client, alias)
    if index == alias:
        raise SorceError(
            f"'{alias}' is an index, so no alias can have that name; give --alias another, or use --index."
        )
    return index, recipe


def refuse_loss(alias: str, old: TargetIndex, new: TargetIndex, files: Files | None, retry: Retry) -> None:
    # Otherwise what was written just now, or where an index never refreshes by itself, would not be missed.
    retry.insist(old.refresh)
    retry.insist(new.refresh)
    excused = set() if files is None else set(gone(old, files, retry))
    lost = [uri for photo_id, uri in lacking(old, new, retry) if photo_id not in excused]
    if lost:
        raise SorceError(
            f"'{alias}' still names '{old.name}': '{new.name}' lacks {len(lost):,} of its photos, such as {lost[0]}; "
            "bring them in as well, or add --prune if their files are gone."
        )


def lacking(old: TargetIndex, new: TargetIndex, retry: Retry) -> Iterator[tuple[str, str]]:
    """Ids and URIs of the photos that only the old one has. Raises Interrupted where the run ends first."""
    photos = old.uris("", relative=False, retry=retry)
    while batch := list(islice(photos, LOOKUP)):
        there = retry.insist(partial(new.stored, [photo_id for photo_id, _ in batch]))
        yield from ((photo_id, uri) for photo_id, uri in batch if photo_id not in there)


def goes_on(index: str, there: Recipe, here: Recipe) -> bool:
    """Whether an index may take more photos by this recipe."""
    try:
        refuse_mismatch(index, there, here)
    except RecipeMismatch:
        return False
    return True


def same_encoder(one: Recipe, other: Recipe) -> bool:
    """Whether a text has the same vector by both."""
    return (one.model, one.revision, one.dimension, one.prompts) == (
        other.model,
        other.revision,
        other.dimension,
        other.prompts,
    )


def template_is_outdated(client: OpenSearch, alias: str, old: str, new: str) -> bool:
    """Whether the cluster encodes searches of the alias by a template that is made for the old index alone."""
    if pipeline(client, new) not in server_side(alias):
        return False
    _, one = resolved(client, old)
    _, other = resolved(client, new)
    return in_template(one) != in_template(other)


def in_template(recipe: Recipe) -> tuple[object, ...]:
    """What `sorce.plugin.cluster.template` makes of a recipe."""
    return (recipe.matching, recipe.has_quality, bool(recipe.bank))


def pipeline(client: OpenSearch, index: str) -> str | None:
    """Its default search pipeline."""
    try:
        found = client.indices.get_settings(index=index, name=DEFAULT_PIPELINE, params={"flat_settings": "true"})
    except exceptions.NotFoundError:
        return None
    return next((settings["settings"].get(DEFAULT_PIPELINE) for settings in found.values()), None)


def server_side(alias: str) -> tuple[str, str]:
    """The default search pipeline of an index whose searches the cluster encodes, by its alias: now, and by 0.1.0."""
    names = Names(alias)
    return names.default, names.old_default
