"""An index of photos, as a program uses it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from opensearchpy import OpenSearch

from sorce.access import Access
from sorce.cluster import connect
from sorce.ingest import Files, Naming, Options, Report, Source, Watch, ingest_photos
from sorce.mappings import Hit, Recipe, Rejected
from sorce.mappings.recipe import Plain
from sorce.models import DEFAULT_MODEL, DEFAULT_REGIONS, Model, TextEncoder, load_encoder, load_model
from sorce.plugin.search import ClientSearch, SearchRequest


class Index:
    """Photos in, hits out. Make one with `open_index`."""

    def __init__(self, client: OpenSearch, name: str, model: Callable[[], Model[Any]]) -> None:
        """`model` gives the model that brings photos in; it is called when the first photo comes."""
        self.client, self.name = client, name
        self._load = model
        self._model: Model[Any] | None = None
        self._search: ClientSearch | None = None

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
        if self._search is None:
            self._search = ClientSearch(self.client, self.name, self._encoder)
        return self._search.search(SearchRequest([request]) if isinstance(request, str) else request)

    def _encoder(self, recipe: Recipe) -> TextEncoder:
        same = self._model is not None and self._model.recipe == recipe
        return self._model if self._model is not None and same else load_encoder(recipe)


def open_index(
    name: str,
    url: str | None = None,
    model: str = DEFAULT_MODEL,
    regions: str = DEFAULT_REGIONS,
    access: Access | None = None,
    **parameters: Plain,
) -> Index:
    """The index of that name, which the first photo makes if there is none.

    `url` is the cluster's, else OPENSEARCH_URL, else this machine's; `access` says who asks, else the environment does
    (`sorce.access`). `model` is a name on the hub, a folder or `mini`;
    `parameters` are those of the regions method. Raises ClusterError, UnsupportedVersion.
    """
    return Index(connect(url, access), name, lambda: load_model(model, regions, parameters))


def _sources(photos: Iterable[str | Path | Source], root: Path | None) -> Iterable[Source | Rejected]:
    naming = Naming(None if root is None else Path(os.path.abspath(root)))  # noqa: PTH100  (keeps links as named)
    for photo in photos:
        if isinstance(photo, Source):
            yield photo
        else:
            yield from Files([os.path.abspath(photo)], naming)  # noqa: PTH100
