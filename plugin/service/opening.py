"""Opens what `sorce serve` serves: the model, and for an index what looks at its photos again, and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from sorce.cluster import connect, find_index
from sorce.locate import open_localiser
from sorce.mappings import Localiser, Recipe
from sorce.mappings.found import FoundIndex
from sorce.models import load_encoder
from sorce.models.checkpoint import find
from sorce.models.methods import Runtime
from sorce.models.model import TextEncoder
from sorce.options import Cluster
from sorce.plugin.cluster.endpoint import key_from_environment
from sorce.plugin.service.page.options import page_settings

if TYPE_CHECKING:
    from sorce.plugin.service.app import Served
    from sorce.plugin.service.page.serving import PageSetup
    from sorce.plugin.service.page.settings import PageSettings


def refuse_incomplete(given: Mapping[str, Any]) -> None:
    """Raises click.UsageError for options that need others."""
    if given["locate"] and not (given["indices"] and given["roots"]):
        raise click.UsageError("--locate needs --index, whose photos it looks at, and --root, where it may open them.")
    if given["page"] and not given["indices"]:
        raise click.UsageError("--page needs --index, whose photos it shows.")
    if given["roots"] and not (given["locate"] or given["page"]):
        raise click.UsageError("--root is where --locate and --page may open photos; give one of them, too.")
    if len(given["indices"]) > 1 and not given["page"]:
        raise click.UsageError("several --index are for the page; give --page, or name one index.")


def served(indices: Sequence[str], model: str | None, cluster: Cluster, **given: Any) -> Served:
    """With several indices, texts are encoded by the model of the first. Raises click.UsageError, SorceError."""
    from sorce.plugin.service.app import Served

    settings = page_settings(given)
    if not indices:
        if model is None:
            raise click.UsageError("say which model: --model or --index.")
        encoder = load_encoder(model, given["device"], None, given["trust_remote_code"], texts_first=True)
        return Served(find(model).model, encoder, key_from_environment())
    opening = _Opening(cluster, model, given)
    with cluster.client() as client:
        found = [find_index(client, name) for name in dict.fromkeys(indices)]
    recipe = found[0].recipe
    localisers = opening.localisers(found) if given["locate"] else {}
    serving = Served(recipe.model, opening.encoder(recipe), key_from_environment())
    if localisers:
        from sorce.plugin.service.looking import PhotoLooker

        localiser = localisers[found[0].asked]
        serving = replace(
            serving, looker=PhotoLooker(cluster.connect(), found[0].asked, recipe, localiser, given["roots"])
        )
    if settings is not None:
        serving = replace(serving, page=opening.page(settings, found, localisers))
    return serving


class _Opening:
    """How models are loaded and the cluster is reached."""

    def __init__(self, cluster: Cluster, folder: str | None, given: Mapping[str, Any]) -> None:
        self._cluster, self._folder, self._given = cluster, folder, given
        self._encoders: dict[str, TextEncoder] = {}

    def encoder(self, recipe: Recipe) -> TextEncoder:
        """The encoder of a recipe, loaded once: the service, its localisers and the page share it."""
        if recipe.hash not in self._encoders:
            given = self._given["device"], self._folder, self._given["trust_remote_code"]
            # The page needs the half for pictures only if somebody searches by one; a localiser needs it at once.
            self._encoders[recipe.hash] = load_encoder(recipe, *given, texts_first=not self._given["locate"])
        return self._encoders[recipe.hash]

    def localisers(self, found: Sequence[FoundIndex]) -> dict[str, Localiser]:
        """By the name of the index; one for each recipe, for several threads in turns."""
        from sorce.locate.turns import TakingTurns

        opened: dict[str, Localiser] = {}
        for each in found:
            recipe = each.recipe
            if recipe.hash not in opened:
                localiser = open_localiser(
                    self._given["localiser"],
                    lambda recipe=recipe: self.encoder(recipe),  # type: ignore[misc]
                    Runtime(self._given["device"]),
                    self._given["trust_remote_code"],
                )
                opened[recipe.hash] = TakingTurns(localiser)
        return {each.asked: opened[each.recipe.hash] for each in found}

    def page(
        self, settings: PageSettings, found: Sequence[FoundIndex], localisers: Mapping[str, Localiser]
    ) -> PageSetup:
        from sorce.access import Access
        from sorce.plugin.service.page.serving import PageSetup

        def as_user(who: Access) -> Any:
            own = Access.from_environment(self._cluster.insecure)
            # Without the service's own certificate, by which the cluster would know the service.
            return connect(self._cluster.url, replace(who, ca_file=own.ca_file, insecure=own.insecure))

        return PageSetup(settings, self._cluster.connect(), found, self.encoder, as_user, localisers)
