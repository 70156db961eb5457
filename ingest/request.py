"""What the command line of `sorce ingest` asks for."""

from __future__ import annotations

import json
import os
import sys
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from sorce.errors import BadPhoto, ModelError, SorceError
from sorce.ingest.attributes import AttributeTable
from sorce.ingest.index import NewIndex
from sorce.ingest.lists import PhotoList
from sorce.ingest.pipeline import Options, default_workers
from sorce.ingest.ray_session import Team
from sorce.ingest.sources import NamedPhotos, Sources
from sorce.ingest.write import THREADS
from sorce.mappings import Attribute, Recipe
from sorce.mappings.names import check_alias_name, check_index_name
from sorce.mappings.recipe import Plain
from sorce.models import DEFAULT_MODEL, DEFAULT_REGIONS, METHODS, Model, load_model, parse_parameters
from sorce.models.checkpoint import FOLDER, Checkpoint, find, find_again
from sorce.models.methods import as_before
from sorce.models.objects.settings import refuse_local_detector
from sorce.options import Cluster
from sorce.pictures.files import Files, Naming, absolute, absolute_path, named
from sorce.pictures.remote import StorePhotos, is_remote
from sorce.pictures.uris import path_of

DETECTOR = "detector"
"""The parameter that may name files: a detector's folder, or a file of boxes."""


@dataclass(frozen=True)
class Loading:
    """How to open the model of a run: plain values, which another process can be sent."""

    checkpoint: Checkpoint
    regions: str
    parameters: Mapping[str, Plain]
    device: str
    batch_size: int
    trust_remote_code: bool
    dimension: int | None
    backend: str | None = None

    def __call__(self) -> Model[Any]:
        """Raises ModelError."""
        checkpoint = self.checkpoint
        if checkpoint.is_folder and checkpoint.revision is None:
            # Another machine may have `mini` in another place, or other files in a folder.
            checkpoint = find(checkpoint.name)
        run = self.device, self.batch_size, self.trust_remote_code, self.dimension, self.backend
        return load_model(checkpoint, self.regions, self.parameters, *run)

    def elsewhere(self, recipe: Recipe) -> Loading:
        """For a process in another folder, or on another machine: the same weights as those of the recipe.

        A folder is read there: the recipe tells whether its files are the same.
        """
        found, parameters = self.checkpoint, dict(self.parameters)
        if found.is_folder:
            found = replace(found, place=absolute(found.place), revision=None)
        else:
            found = replace(found, revision=recipe.revision)
        if DETECTOR in recipe.parameters:
            given = str(parameters.get(DETECTOR, ""))
            is_here = given and Path(given).exists()
            parameters[DETECTOR] = absolute(given) if is_here else recipe.parameters[DETECTOR]
        return replace(self, checkpoint=found, parameters=parameters)


@dataclass(frozen=True)
class Request:
    """The command line."""

    paths: Sequence[str]
    index: str | None
    alias: str | None
    cluster: Cluster
    model: str | None
    regions: str | None
    min_object_size: float | None
    max_regions: int | None
    parameters: Sequence[str]
    dimension: int | None
    device: str
    trust_remote_code: bool
    batch_size: int
    workers: int | None
    ray: bool
    ray_address: str | None
    num_gpus: float | None
    writers: int | None
    lists: Sequence[str]
    checksum: bool
    watch: bool
    from_events: str | None
    root: str | None
    root_moved: bool
    ignore: Sequence[str]
    limit: int | None
    attributes: Mapping[str, Attribute]
    table: AttributeTable
    shards: int | None
    replicas: int | None
    compression: str
    settings: Sequence[tuple[str, str]]
    settings_file: str | None
    retry_timeout: float
    force: bool
    thumbnails: bool
    optimize: bool
    prune: bool
    prune_anyway: bool
    dry_run: bool
    no_run_log: bool
    rejects: str | None
    as_json: bool
    quiet: bool

    @property
    def name(self) -> str:
        """The name under which the photos are searched. Raises IndexNameError."""
        return check_index_name(self.index or "") if self.alias is None else check_alias_name(self.alias)

    @property
    def options(self) -> Options:
        return Options(
            self.attributes,
            self.force,
            self.workers or default_workers(),
            self.retry_timeout,
            self.table.rows,
            self.thumbnails,
            checksum=self.checksum,
        )

    @property
    def team(self) -> Team | None:
        """How Ray is used, if it is. Raises click.UsageError for options that do not go together."""
        with_ray = self.ray or self.ray_address is not None
        only = {"--num-gpus": self.num_gpus is not None, "--writers": self.writers is not None}
        never = {"--dry-run": self.dry_run, "--watch": self.watch, "--from-events": self.from_events is not None}
        for option in [name for name, given in (never if with_ray else only).items() if given]:
            raise click.UsageError(f"{option} {'does not go with' if with_ray else 'needs'} --ray.")
        if (self.ray_address or "").startswith("ray://"):
            raise click.UsageError("--ray-address is host:port or auto; run this on a machine of the cluster.")
        return Team(self.ray_address, self.workers, self.num_gpus or 0, self.writers or THREADS) if with_ray else None

    @property
    def comes_from_a_list(self) -> bool:
        """Whether the paths are a list on stdin, which may be empty."""
        return "-" in self.paths

    def sources(self) -> Sources:
        """Raises SorceError if a path is outside the root."""
        naming = Naming(None if self.root is None else absolute_path(self.root))
        listed = list(listed_on_stdin()) if self.comes_from_a_list else []
        paths = [path for path in self.paths if path != "-" and not is_remote(path)]
        paths += [path for path in listed if not is_remote(path)]
        streamed = [path for path in listed if is_remote(path)]
        others: list[StorePhotos | NamedPhotos | PhotoList] = []
        others += [StorePhotos(path, self.ignore) for path in self.paths if is_remote(path)]
        others += [NamedPhotos(streamed)] if streamed else []
        others += [PhotoList(file, naming) for file in self.lists]
        return Sources(Files(named(paths, ()), naming, self.ignore), others)

    def new_index(self) -> NewIndex:
        """How to create the index if there is none. Raises SorceError."""
        settings: dict[str, Any] = {} if self.settings_file is None else settings_of(Path(self.settings_file))
        settings |= {full_name(name): value for name, value in self.settings}
        counts = {"index.number_of_shards": self.shards, "index.number_of_replicas": self.replicas}
        settings |= {name: value for name, value in counts.items() if value is not None}
        return NewIndex(settings, compression=self.compression)

    def load_model(self, there: Recipe | None) -> Model[Any]:
        """Raises ModelError."""
        return self.loading(there)()

    def loading(self, there: Recipe | None) -> Loading:
        """Options not on the command line come from the index, or else are the defaults. Raises ModelError."""
        regions = self.regions or (DEFAULT_REGIONS if there is None else there.regions)
        parameters = self.given_parameters(regions)
        if there is not None and there.regions == regions and regions in METHODS:
            # A recipe may hold parameters that a user cannot set, such as a detector's revision.
            known = {name: there.parameters[name] for name in METHODS[regions].parameters if name in there.parameters}
            if DETECTOR in known and DETECTOR not in parameters:
                refuse_local_detector(str(known[DETECTOR]))
            parameters = {**known, **parameters}
        checkpoint = self.checkpoint(there)
        before = as_before(checkpoint, there, regions, self.dimension)
        run = self.device, self.batch_size, self.trust_remote_code, *before
        return Loading(checkpoint, regions, parameters, *run)

    def checkpoint(self, there: Recipe | None) -> Checkpoint:
        """The exact weights of the index, unless others are named: the weights behind a hub name can change."""
        if there is None or self.model not in (None, there.model):
            return find(self.model or DEFAULT_MODEL)
        if there.model == FOLDER:
            raise ModelError(f"index '{self.name}' was made with a model from a folder; name that folder with --model.")
        return find_again(there)

    def given_parameters(self, regions: str) -> dict[str, Plain]:
        """The parameters given on the command line."""
        usual: dict[str, Plain] = {"min_object_size": self.min_object_size, "max_regions": self.max_regions}
        given = {name: value for name, value in usual.items() if value is not None}
        return {**given, **(parse_parameters(regions, self.parameters) if self.parameters else {})}


def listed_on_stdin() -> Iterator[str]:
    """The absolute paths and the URIs of a list: one per line, or separated by NUL if there is one (`find -print0`).

    A byte order mark at its beginning, as Windows writes it, is no part of a path. Raises SorceError.
    """
    content = sys.stdin.buffer.read().removeprefix(BOM_UTF8)
    if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        # Each of its letters has a zero byte.
        try:
            content = content.decode("utf-16").encode()
        except UnicodeError as error:
            raise SorceError("the list on standard input is cut short, or no UTF-16; write it in UTF-8.") from error
    listed = content.split(b"\0") if b"\0" in content else [line.rstrip(b"\r") for line in content.split(b"\n")]
    decoded = (os.fsdecode(path) for path in listed if path)
    return (path if is_remote(path) else absolute(_local(path)) for path in decoded)


def _local(path: str) -> str:
    """The path of a `file:` URI; another path as it is."""
    try:
        return str(path_of(path, None)) if path.startswith("file://") else path
    except BadPhoto as error:
        raise SorceError(f"'{path}' {error}.") from error


def settings_of(file: Path) -> dict[str, Any]:
    """Index settings from a JSON file: flat, nested, or below `settings` or `index`. Raises SorceError."""
    try:
        given = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise SorceError(f"the settings in '{file}' cannot be read ({error}); write one JSON object.") from error
    if not isinstance(given, dict):
        raise SorceError(
            f"the settings in '{file}' are not a JSON object; write one, such as {{\"number_of_shards\": 3}}."
        )
    given = given["settings"] if set(given) == {"settings"} else given
    return {full_name(name): value for name, value in _flat(given)}


def full_name(name: str) -> str:
    """Adds `index.` to the name of an index setting if it is left out."""
    return name if name.startswith("index.") else f"index.{name}"


def _flat(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", each) for inner, each in _flat(value))
        else:
            yield name, value
