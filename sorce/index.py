"""An index of photos, for use in a program."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from opensearchpy import OpenSearch

from sorce.access import Access
from sorce.cluster import address, connect, translate_errors
from sorce.ingest import Files, Naming, Options, Report, Source, Watch
from sorce.ingest.index import TargetIndex
from sorce.ingest.pipeline import bring_in
from sorce.ingest.root import agree_on_root, refuse_other_root
from sorce.mappings import Hits, Recipe, Rejected
from sorce.mappings.names import check_index_name
from sorce.mappings.recipe import Plain
from sorce.mappings.request import SearchRequest
from sorce.models import DEFAULT_MODEL, DEFAULT_REGIONS, Model, TextEncoder, load_encoder, load_model
from sorce.pictures.files import absolute, absolute_path
from sorce.plugin.query.search import ClientSearch

Photos = str | Path | Source
LoadModel = Callable[[], Model[Any]]
LoadEncoder = Callable[[Recipe], TextEncoder]


class Index:
    """Photos in, hits out. Make one with `open_index`."""

    def __init__(self, client: OpenSearch, name: str, model: LoadModel, encoder: LoadEncoder = load_encoder) -> None:
        """`model` returns the model for ingest, and is called when the first photo comes.

        `encoder` returns the text encoder for an index's recipe, and is called by the first search. Raises
        IndexNameError.
        """
        self.client, self.name = client, check_index_name(name)
        self._load, self._load_encoder = model, encoder
        self._model: Model[Any] | None = None
        self._searching: ClientSearch | None = None

    def ingest(
        self,
        photos: Photos | Iterable[Photos],
        root: Path | None = None,
        options: Options | None = None,
        watch: Watch | None = None,
        *,
        root_moved: bool = False,
    ) -> Report:
        """Ingests photos: files, folders with their subfolders, or sources of any other kind.

        With `root`, a photo's identity is its path below it; `root_moved` says that the photos of the index's root are
        there now. Unchanged photos in the index are skipped. Raises RecipeMismatch before any photo is read if the
        index has another recipe, OtherRoot if its paths are relative to another root, and ClusterError.
        """
        self._model = self._model or self._load()
        # A single text would be split into its letters.
        several = [photos] if isinstance(photos, str | Path | Source) else photos
        with translate_errors(address(self.client)):
            target = TargetIndex(self.client, self.name)
            target.look_up()
            if root is not None:
                agree_on_root(target, absolute_path(str(root)), moved=root_moved)
            return bring_in(target, self._model, _sources(several, root, target), options, watch)

    def search(self, request: str | SearchRequest) -> Hits:
        """The photos that show what the text says, best first, each with its box. Raises IndexMissing, QueryError."""
        asked = SearchRequest([request]) if isinstance(request, str) else request
        # Kept: it notices if the name stands for another index, and looks that one up.
        self._searching = self._searching or ClientSearch(self.client, self.name, self._encoder_of)
        return self._searching.search(asked)

    def _encoder_of(self, recipe: Recipe) -> TextEncoder:
        if self._model is not None and self._model.recipe == recipe:
            return self._model
        return self._load_encoder(recipe)


def open_index(
    name: str,
    url: str | None = None,
    model: str | None = None,
    regions: str = DEFAULT_REGIONS,
    access: Access | None = None,
    trust_remote_code: bool = False,
    device: str = "auto",
    batch_size: int = 64,
    **parameters: Plain,
) -> Index:
    """The index with that name; the first photo creates it if it does not exist.

    `url` is the cluster's, else OPENSEARCH_URL, else this machine's. `access` says who asks, else the environment does
    (`sorce.access`). `model` is a name on the hub, a folder or `mini`. Without it, ingest uses the default model, and
    searches use the index's own. With it, an index of another model is refused. `device` and `batch_size` are what the
    model runs with, `trust_remote_code` lets its own Python code run, and `parameters` are those of the regions method.
    Raises IndexNameError, ClusterError, UnsupportedVersion.
    """
    check_index_name(name)

    def load() -> Model[Any]:
        return load_model(model or DEFAULT_MODEL, regions, parameters, device, batch_size, trust_remote_code)

    return Index(
        connect(url, access), name, load, lambda recipe: load_encoder(recipe, device, model, trust_remote_code)
    )


def _sources(
    photos: Iterable[str | Path | Source], root: Path | None, target: TargetIndex
) -> Iterable[Source | Rejected]:
    naming = Naming(None if root is None else absolute_path(str(root)))
    for photo in photos:
        if isinstance(photo, Source):
            yield photo
        else:
            if root is None:
                refuse_other_root(target, None)
            yield from Files([absolute(str(photo))], naming)
