"""An index of photos, for use in a program."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from opensearchpy import OpenSearch
from PIL.Image import Image

from sorce.access import Access
from sorce.cluster import Hosts, address, connect, find_index, look_up, translate_errors
from sorce.errors import ClusterError, QueryError
from sorce.ingest import Files, Naming, Options, Report, Source, Watch
from sorce.ingest.delete import Removal
from sorce.ingest.index import TargetIndex
from sorce.ingest.pipeline import bring_in
from sorce.ingest.root import agree_on_root, refuse_other_root
from sorce.listing import IndexInfo, described
from sorce.locate import ZOOM, open_localiser
from sorce.locate.turns import Localisers
from sorce.mappings import Hits, Localiser, Recipe, Rejected, Vector
from sorce.mappings.example import Example, LikePicture, LikeRegion, LikeVector
from sorce.mappings.filters import Filter
from sorce.mappings.names import check_index_name
from sorce.mappings.option import listed
from sorce.mappings.recipe import Plain
from sorce.mappings.request import SearchRequest
from sorce.mappings.selection import Selection, refuse_unless_ids
from sorce.mappings.stored import StoredPhoto, read_stored, stored_body
from sorce.models import DEFAULT_MODEL, DEFAULT_REGIONS, Model, TextEncoder, load_encoder, load_model
from sorce.models.checkpoint import find, find_again
from sorce.models.methods import Runtime, as_before
from sorce.pictures.files import absolute, absolute_path
from sorce.pictures.notebook import openable
from sorce.pictures.remote import StorePhotos, is_remote
from sorce.pictures.uris import as_root
from sorce.plugin.query.asking import ask
from sorce.plugin.query.locating import SecondStage, look_again, refuse_bad_stage, with_enough
from sorce.plugin.query.remote import remote_texts
from sorce.plugin.query.search import ClientSearch

Photos = str | Path | Source
LoadModel = Callable[[], Model[Any]]
LoadEncoder = Callable[[Recipe], TextEncoder]
Sought = str | Image | Example | Vector
"""What a search may look for: a text, a PIL image, an example, or a vector of the index's dimension."""


class Index:
    """Photos in, hits out. Make one with `open_index`, and use it in any thread. A context manager that closes it."""

    def __init__(
        self,
        client: OpenSearch,
        name: str,
        model: LoadModel,
        encoder: LoadEncoder = load_encoder,
        service: str | None = None,
    ) -> None:
        """`model` returns the model for ingest, and is called when the first photo comes.

        `encoder` returns the text encoder for an index's recipe, and is called by the first search of a text or a
        picture. `service` is the url of a running service that encodes the texts instead. Raises IndexNameError.
        """
        self.client, self.name, self._service = client, check_index_name(name), service
        self._load, self._load_encoder = model, encoder
        self._model: Model[Any] | None = None
        self._searching: ClientSearch | None = None
        self._localisers = Localisers(open_localiser)
        self._lock = Lock()
        self._owns_client = False

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection, unless the client is the caller's own."""
        if self._owns_client:
            self.client.close()

    def ingest(
        self,
        photos: Photos | Iterable[Photos],
        root: str | Path | None = None,
        options: Options | None = None,
        watch: Watch | None = None,
        *,
        root_moved: bool = False,
    ) -> Report:
        """Ingests photos: files, folders with their subfolders, URIs of stores, or sources of any other kind.

        With `root`, a photo's identity is its path below it; `root_moved` says that the photos of the index's root are
        there now. Unchanged photos in the index are skipped. Raises RecipeMismatch before any photo is read if the
        index has another recipe, OtherRoot if its paths are relative to another root, and ClusterError.
        """
        # A single text would be split into its letters.
        several = [photos] if isinstance(photos, str | Path | Source) else photos
        with translate_errors(address(self.client)):
            self._model = self._model or self._load()
            target = TargetIndex(self.client, self.name)
            target.look_up()
            if root is not None:
                agree_on_root(target, absolute_path(str(root)), moved=root_moved)
            return bring_in(target, self._model, _sources(several, root, target), options, watch)

    def search(
        self,
        what: Sought | Sequence[Sought] | SearchRequest,
        *,
        size: int | None = None,
        start: int | None = None,
        locate: int = 0,
        localiser: str | Localiser = ZOOM,
        min_located_score: float = 0.0,
        root: str | Path | None = None,
    ) -> Hits:
        """The photos that show all that is asked for, best first, each with its boxes.

        `what` is a text, a PIL image, an example, a vector of shape (dimension,), or a list of up to 4 of these. An
        example is a `LikePicture`, for a crop of an image, or a `LikeRegion`, for a region of the index. `what` may
        also be a `SearchRequest`. It takes conditions, "not" as texts (`nots`) and as examples (`not_like`), and all
        other options. `size` is the number of photos (10), and `start` how many of the first to leave out: they replace
        those of a request.

        With `locate`, that many of the first hits are looked at again by a localiser (`sorce.open_localiser`). They
        are ordered by what it sees (`Hit.seen`), and `size` of them are returned. For each phrase it gives up to
        `boxes` places, a field of the request. Each place after the first scores at least `min_located_score`.

        Only photos below `root`, a folder or a prefix of a store, are opened, also by `Hit.picture`. Relative paths
        start from it. Without it, `locate` is refused, and a hit's relative path starts from the current folder.

        Raises IndexMissing, QueryError, ModelError, ClusterError.
        """
        given = {name: value for name, value in (("size", size), ("start", start)) if value is not None}
        asked = replace(request_of(what), **given)  # type: ignore[arg-type]
        below = None if root is None else as_root(root)
        roots = [] if below is None else [below]
        if locate:
            refuse_bad_stage(locate, roots, min_located_score)
        with translate_errors(address(self.client)):
            searching = self._searcher()
            hits = searching.search(with_enough(asked, locate))
        if locate:
            # After the search, which may have followed the name to an index of another model.
            stage = SecondStage(self._localiser(localiser, searching), locate, roots, min_located_score)
            hits = look_again(hits, asked, stage)
        return replace(hits, found=tuple(openable(hit, below) for hit in hits))

    def get(self, photo_id: str, *, vectors: bool = False) -> StoredPhoto | None:
        """The photo as the index holds it, as of the last refresh; None if it holds none of this id.

        With `vectors`, each region has its vector. Raises IndexMissing, QueryError for an id that is no text, and
        ClusterError for a malformed document.
        """
        refuse_unless_ids([photo_id])
        answer = self._ask(stored_body(photo_id, vectors))
        try:
            return read_stored(answer)
        except ValueError as error:
            raise ClusterError(
                f"the document of photo '{photo_id}' is malformed ({error}); ingest it again."
            ) from error

    def count(self, filter: Filter | None = None) -> int:  # noqa: A002
        """How many photos the index holds, as of the last refresh; with `filter`, those with a region that meets it.

        Raises IndexMissing, QueryError, ClusterError.
        """
        selection = Selection(filter=Filter() if filter is None else filter)
        with translate_errors(address(self.client)):
            found = find_index(self.client, self.name)
        query = selection.query(found)
        answer = self._ask({"size": 0, "track_total_hits": True, "query": query})
        return int(answer["hits"]["total"]["value"])

    def delete(self, photo_ids: str | Iterable[str] | None = None, filter: Filter | None = None) -> int:  # noqa: A002
        """Deletes the photos of these ids, or with a region that meets the filter, or both. Returns how many.

        A photo that changes meanwhile stays. Nobody is asked. Raises IndexMissing, ClusterError, and QueryError if
        neither is given.
        """
        ids = None if photo_ids is None else listed("photo_ids", photo_ids)
        with translate_errors(address(self.client)):
            return Removal(self.client, self.name, Selection(ids, Filter() if filter is None else filter)).run().photos

    def info(self) -> IndexInfo:
        """What the index holds: its recipe, counts, size and aliases. Raises IndexMissing, ClusterError."""
        with translate_errors(address(self.client)):
            return described(self.client, find_index(self.client, self.name))

    def _ask(self, body: Any) -> Any:
        with translate_errors(address(self.client)):
            found = find_index(self.client, self.name)
            return ask(self.client, found.asked, body, allow_partial=False)

    def _localiser(self, named: str | Localiser, searching: ClientSearch) -> Localiser:
        if not isinstance(named, str):
            return named
        if named == ZOOM:
            # A service encodes texts only.
            here = (lambda: self._load_encoder(searching.found.recipe)) if self._service else searching.encoder
            return open_localiser(named, here)
        return self._localisers.of(named)

    def _searcher(self) -> ClientSearch:
        with self._lock:
            # Kept: it notices if the name stands for another index, and looks that one up.
            self._searching = self._searching or ClientSearch(self.client, self.name, self._encoder_of)
            return self._searching

    def _encoder_of(self, recipe: Recipe) -> TextEncoder:
        if self._service and self._searching:
            return remote_texts(self._service, self._searching.found)
        if self._model is not None and self._model.recipe == recipe:
            return self._model
        return self._load_encoder(recipe)


def open_index(
    name: str,
    url: Hosts = None,
    model: str | None = None,
    regions: str = DEFAULT_REGIONS,
    access: Access | None = None,
    trust_remote_code: bool = False,
    device: str = "auto",
    batch_size: int = 64,
    dimension: int | None = None,
    encoder: str | None = None,
    **parameters: Plain,
) -> Index:
    """The index with that name; the first photo creates it if it does not exist.

    `url` is the cluster's, or a list of the urls of its nodes, or an `OpenSearch` client, which stays open when the
    index is closed. Else it is OPENSEARCH_URL, else this machine's. `access` says who asks, else the environment does
    (`sorce.access`).

    `model` is a name on the hub, a folder or `mini`. Without it, ingest uses the default model, and searches use the
    index's own. With it, an index of another model is refused. `batch_size` is the number of pictures or texts that the
    model gets at once. `device` is auto, cpu, cuda or mps, and `trust_remote_code` lets a model's own Python code run;
    both hold for localisers, too. `parameters` are those of the regions method. `dimension` cuts the vectors of new
    photos to that many numbers. `encoder` is the url of a running service (`sorce serve`) that encodes the texts of
    searches: they load no model then, and refuse pictures. The service's key is that of SORCE_API_KEY.

    Raises IndexNameError, ClusterError, UnsupportedVersion.
    """
    check_index_name(name)

    def load() -> Model[Any]:
        there, named = look_up(index.client, name), model or DEFAULT_MODEL
        recipe = there.recipe if there else None
        # The weights behind a name of the hub can change: an index goes on with its own.
        found = find_again(recipe, named) if recipe and recipe.model == named else find(named)
        run = device, batch_size, trust_remote_code, *as_before(found, recipe, regions, dimension)
        return load_model(found, regions, parameters, *run)

    def load_texts(recipe: Recipe) -> TextEncoder:
        return load_encoder(recipe, device, model, trust_remote_code, batch_size, texts_first=True)

    index = Index(connect(url, access), name, load, load_texts, encoder)
    index._localisers = Localisers(lambda named: open_localiser(named, None, Runtime(device), trust_remote_code))
    index._owns_client = index.client is not url
    return index


def request_of(what: Sought | Sequence[Sought] | SearchRequest) -> SearchRequest:
    """The request for texts, images, examples and vectors, each in its place. Raises QueryError."""
    if isinstance(what, SearchRequest):
        return what
    several = what if isinstance(what, list | tuple) else [what]
    texts = [each for each in several if isinstance(each, str)]
    return SearchRequest(texts, like=[_example(each) for each in several if not isinstance(each, str)])


def _example(what: Any) -> Example:
    if isinstance(what, Image):
        return LikePicture(what)
    if isinstance(what, np.ndarray):
        return LikeVector(what)
    if isinstance(what, LikePicture | LikeRegion | LikeVector):
        return what
    raise QueryError(
        f"a {type(what).__name__} cannot be searched for; give a text, a PIL image, a numpy vector, LikePicture, "
        "LikeRegion or LikeVector, or a list of these."
    )


def _sources(
    photos: Iterable[str | Path | Source], root: str | Path | None, target: TargetIndex
) -> Iterable[Source | Rejected]:
    naming = Naming(None if root is None else absolute_path(str(root)))
    for photo in photos:
        if isinstance(photo, Source):
            yield photo
        else:
            if isinstance(photo, str) and is_remote(photo):
                yield from StorePhotos(photo)
                continue
            if root is None:
                refuse_other_root(target, None)
            yield from Files([absolute(str(photo))], naming)
