"""An index of photos, as a program uses it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from opensearchpy import OpenSearch

from sorce.access import Access
from sorce.cluster import connect, resolved
from sorce.ingest import Files, Naming, Options, Report, Source, Watch, ingest_photos
from sorce.mappings import Hit, Recipe, Rejected
from sorce.mappings.recipe import Plain
from sorce.models import DEFAULT_MODEL, DEFAULT_REGIONS, Model, TextEncoder, load_encoder, load_model
from sorce.plugin.query.search import ClientSearch, SearchRequest


class Index:
    """Photos in, hits out. Make one with `open_index`."""

    def __init__(
        self, client: OpenSearch, name: str, model: Callable[[], Model[Any]], trust_remote_code: bool = False
    ) -> None:
        """`model` gives the model that brings photos in; it is called when the first photo comes.

        `trust_remote_code` lets Python code run that the model of a search brings along.
        """
        self.client, self.name = client, name
        self._trust_remote_code = trust_remote_code
        self._load = model
        self._model: Model[Any] | None = None
        self._encoder: tuple[Recipe, TextEncoder] | None = None
        self._searching: tuple[tuple[str, Recipe], ClientSearch] | None = None

    def ingest(
        self,
        photos: Iterable[str | Path | Source],
        root: Path | None = None,
        options: Options | None = None,
        watch: Watch | None = None,
    ) -> Report:
        """Brings photos in: files, folders with all below them, or sources of any other kind.

        With `root`, photos are known by their path below it. What is there already, unchanged, is skipped. Raises
        RecipeMismatch before a photo is read where the index was made by another recipe, and ClusterError.
        """
        self._model = self._model or self._load()
        return ingest_photos(self.client, self.name, self._model, _sources(photos, root), options, watch)

    def search(self, request: str | SearchRequest) -> list[Hit]:
        """The photos that show what the text says, best first, each with its box. Raises IndexMissing, QueryError."""
        # Asked each time: an alias may have moved, and the index that it named before be deleted.
        there = resolved(self.client, self.name)
        if self._searching is None or self._searching[0] != there:
            self._searching = there, ClientSearch(self.client, there[0], self._encoder_of)
        return self._searching[1].search(SearchRequest([request]) if isinstance(request, str) else request)

    def _encoder_of(self, recipe: Recipe) -> TextEncoder:
        if self._model is not None and self._model.recipe == recipe:
            return self._model
        if self._encoder is None or self._encoder[0] != recipe:
            self._encoder = recipe, load_encoder(recipe, trust_remote_code=self._trust_remote_code)
        return self._encoder[1]


def open_index(
    name: str,
    url: str | None = None,
    model: str = DEFAULT_MODEL,
    regions: str = DEFAULT_REGIONS,
    access: Access | None = None,
    trust_remote_code: bool = False,
    **parameters: Plain,
) -> Index:
    """The index of that name, which the first photo makes if there is none.

    `url` is the cluster's, else OPENSEARCH_URL, else this machine's; `access` says who asks, else the environment does
    (`sorce.access`). `model` is a name on the hub, a folder or `mini`;
    `trust_remote_code` lets Python code that it brings along run. `parameters` are those of the regions method. Raises
    ClusterError, UnsupportedVersion.
    """

    def load() -> Model[Any]:
        return load_model(model, regions, parameters, trust_remote_code=trust_remote_code)

    return Index(connect(url, access), name, load, trust_remote_code)


def _sources(photos: Iterable[str | Path | Source], root: Path | None) -> Iterable[Source | Rejected]:
    naming = Naming(None if root is None else Path(os.path.abspath(root)))  # noqa: PTH100  (keeps links as named)
    for photo in photos:
        if isinstance(photo, Source):
            yield photo
        else:
            yield from Files([os.path.abspath(photo)], naming)  # noqa: PTH100
