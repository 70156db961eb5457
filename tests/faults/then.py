"""A pytest plugin that lets today's tests of faults run on sorce 0.1.0: modules are found under their old names.

`tests/faults/compare.py` uses it. What did not exist in 0.1.0 can be imported, so that the file's other tests run. A
test fails when it uses it.
"""

from __future__ import annotations

import builtins
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import click.testing

MODULES = {
    "sorce.evaluate.box_metrics": "sorce.evaluate.judge",
    "sorce.evaluate.drawing": "sorce.evaluate.drawn",
    "sorce.evaluate.ground_truth": "sorce.evaluate.truth",
    "sorce.engine.http": "sorce.engine.talk",
    "sorce.engine.paths": "sorce.engine.places",
    "sorce.ingest.alias": "sorce.ingest.move",
    "sorce.ingest.progress": "sorce.ingest.screen",
    "sorce.ingest.retry": "sorce.ingest.patience",
    "sorce.ingest.stats": "sorce.ingest.tally",
    "sorce.mappings.names": "sorce.plugin.names",
    "sorce.mappings.request": "sorce.plugin.search",
    "sorce.mappings.found": "sorce.mappings.lookup",
    "sorce.models.image_processor": "sorce.models.lens",
    "sorce.models.near_duplicates": "sorce.models.distinct",
    "sorce.models.tiling": "sorce.models.plan",
    "sorce.models.tokenizer": "sorce.models.words",
    "sorce.pictures.drawing": "sorce.plugin.draw",
    "sorce.pictures.exif": "sorce.models.exif",
    "sorce.pictures.files": "sorce.ingest.files",
    "sorce.pictures.loading": "sorce.models.upright",
    "sorce.pictures.sandbox": "sorce.models.apart",
    "sorce.pictures.source": "sorce.ingest.source",
    "sorce.plugin.cluster.allow_list": "sorce.plugin.trust",
    "sorce.plugin.cluster.commands": "sorce.plugin.commands",
    "sorce.plugin.cluster.endpoint": "sorce.plugin.endpoint",
    "sorce.plugin.cluster.install": "sorce.plugin.install",
    "sorce.plugin.cluster.ml_commons": "sorce.plugin.remote",
    "sorce.plugin.cluster.role": "sorce.plugin.rights",
    "sorce.plugin.cluster.status": "sorce.plugin.status",
    "sorce.plugin.cluster.template": "sorce.plugin.template",
    "sorce.plugin.query.commands": "sorce.plugin.commands",
    "sorce.plugin.query.options": "sorce.plugin.options",
    "sorce.plugin.query.proof": "sorce.plugin.proof",
    "sorce.plugin.query.search": "sorce.plugin.search",
    "sorce.plugin.query.server": "sorce.plugin.search",
    "sorce.plugin.query.table": "sorce.plugin.table",
    "sorce.plugin.service.app": "sorce.plugin.service",
    "sorce.plugin.service.batching": "sorce.plugin.batching",
    "sorce.plugin.service.commands": "sorce.plugin.commands",
    "sorce.plugin.service.header_timeout": "sorce.plugin.impatient",
    "sorce.plugin.service.openapi": "sorce.plugin.description",
}
OURS = ("sorce", "training", "demo", "roles")
PACKAGES = ("sorce.pictures", "sorce.plugin.cluster", "sorce.plugin.query")
NAMES = {
    "AllowList": "Trust",
    "Backoff": "Wait",
    "BoxMetrics": "BoxVerdicts",
    "ClusterSettings": "Settings",
    "DecodeLimits": "Limits",
    "DecoderPool": "Openers",
    "DecoderProcess": "Opener",
    "GroundTruth": "Truth",
    "GroundTruthError": "TruthError",
    "HeaderTimeout": "Impatient",
    "ImageProcessor": "Lens",
    "LabelledPicture": "Picture",
    "LabelledQuery": "Query",
    "MAX_CANDIDATES": "MOST_CANDIDATES",
    "MAX_CHARACTERS": "MOST_CHARACTERS",
    "MAX_K": "MOST_K",
    "MAX_TEXTS": "MOST_TEXTS",
    "ObjEmbedSettings": "Settings",
    "ObjectsSettings": "Settings",
    "PixelBudget": "Room",
    "Progress": "Screen",
    "PromptSettings": "Settings",
    "Retry": "Patience",
    "SizeMetrics": "SizeVerdicts",
    "Stats": "Tally",
    "TargetIndex": "Index",
    "Tokenizer": "Words",
    "translate_errors": "sentences",
}
FIELDS = {"max_k": "most_k", "min_similarity": "floor"}
"""Fields of a request under their old names."""

ABSENT_FIELDS = {"like": (), "start": 0, "exclude_folder": (), "allow_partial": False, "fold": None}
"""What the test kit reads of a request, and 0.1.0 lacks: as if it were not given."""

IN_A_PROCESS = "import runpy, tests.faults.then; runpy.run_module('{}', run_name='__main__', alter_sys=True)"

OPTIONS = {
    "--max-k": "--most-k",
    "--max-regions": "--most",
    "--min-object-size": "--smallest",
    "--min-similarity": "--floor",
    "--retry-timeout": "--patience",
}


class _Old(Loader):
    """A module of today: the old one itself, so that a test which replaces a name in it replaces what runs."""

    def __init__(self, old: str | None) -> None:
        self._old = old

    def exec_module(self, module: ModuleType) -> None:
        module.__path__ = []
        if self._old is not None:
            sys.modules[module.__name__] = _renamed(import_module(self._old))


def _renamed(module: ModuleType) -> ModuleType:
    """The module, with the names of today beside its own, and with what 0.1.0 lacks."""

    def absent(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(module, NAMES[name]) if NAMES.get(name) in vars(module) else _absent(f"{module.__name__}.{name}")

    module.__getattr__ = absent  # type: ignore[method-assign]
    return module


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:  # noqa: ARG002
        if name in PACKAGES or name in MODULES:
            return ModuleSpec(name, _Old(MODULES.get(name)), is_package=True)
        return None


class _Absent(type):
    """The class of what 0.1.0 lacks. It may be used while tests are collected, and fails when a test uses it."""

    is_running = False

    def __getattr__(cls, name: str) -> Any:
        if name == "__file__":
            return cls.__name__
        if name.startswith("__"):
            raise AttributeError(name)
        return _absent(f"{cls.__name__}.{name}")

    def __call__(cls, *_: object, **__: object) -> Any:
        return cls._used()

    def __iter__(cls) -> Any:
        return iter([cls._used()])

    def __add__(cls, _: object) -> Any:
        return cls._used()

    __or__ = __ror__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __lt__ = __gt__ = __le__ = (
        __ge__
    ) = __add__

    def _used(cls) -> Any:
        if _Absent.is_running:
            raise NotImplementedError(f"sorce 0.1.0 has no {cls.__name__}")
        return _absent(cls.__name__)


def pytest_collection_finish() -> None:
    _Absent.is_running = True


def _absent(name: str) -> Any:
    return _Absent(name, (), {})


def _accept_new_options(value: type, *otherwise: object) -> None:
    """Fields have their old names. While tests are collected, what 0.1.0 refuses is made from `otherwise` instead."""
    init: Any = value.__init__  # type: ignore[misc]

    def tolerant(self: Any, *args: object, **kwargs: object) -> None:
        try:
            init(self, *args, **{FIELDS.get(name, name): given for name, given in kwargs.items()})
        except (TypeError, import_module("sorce.errors").SorceError):
            if _Absent.is_running:
                raise
            init(self, *otherwise)

    value.__init__ = tolerant  # type: ignore[misc]
    for new, old in FIELDS.items():
        setattr(value, new, property(lambda self, old=old: getattr(self, old)))
    for name, absent in ABSENT_FIELDS.items():
        setattr(value, name, absent)


def _leave_out_the_hash_of_recipes() -> None:
    """The test kit writes it into each document. 0.1.0 has none."""
    import_module("sorce.mappings.recipe").Recipe.hash = ""
    module = import_module("sorce.mappings.document")
    document = module.document
    module.document = lambda photo, regions, at, _hash: document(photo, regions, at)


def _let_tests_import_what_is_absent() -> None:
    really = builtins.__import__

    def imports(
        name: str,
        globals: Any = None,  # noqa: A002
        locals: Any = None,  # noqa: A002
        fromlist: Any = (),
        level: int = 0,
    ) -> Any:
        by_a_test = "/tests/" in str((globals or {}).get("__file__"))
        if not (by_a_test and name.split(".")[0] in OURS):
            return really(name, globals, locals, fromlist, level)
        module = _imported(name)
        for each in fromlist or ():
            if not hasattr(module, each):
                there = _imported(f"{name}.{each}") if f"{name}.{each}" in MODULES else _absent(f"{name}.{each}")
                setattr(module, each, there)
        return module if fromlist else sys.modules[name.split(".")[0]]

    builtins.__import__ = imports


def _imported(name: str) -> ModuleType:
    """The module, or an empty one where 0.1.0 has none."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in (name, *(name.rsplit(".", n)[0] for n in range(1, name.count(".") + 1))):
            raise
        return sys.modules.setdefault(name, ModuleType(name))


def _start_without_haste() -> None:
    """0.1.0 has no `quick_start`: its engines start, and take longer."""
    engine = import_module("sorce.engine")
    for name in ("running", "running_node"):
        setattr(engine, name, _without_haste(getattr(engine, name)))
    engine.Engine.__init__ = _without_haste(engine.Engine.__init__)
    engine.Engine.named = classmethod(_without_haste(engine.Engine.named.__func__))


def _without_haste(function: Any) -> Any:
    return lambda *args, quick_start=False, **kwargs: function(*args, **kwargs)  # noqa: ARG005


def _old_words(words: Any) -> Any:
    return [OPTIONS.get(word, word) for word in words] if isinstance(words, (list, tuple)) else words


def _translate_commands() -> None:
    invoke = click.testing.CliRunner.invoke

    def translated(self: Any, cli: Any, args: Any = None, *more: Any, **others: Any) -> Any:
        return invoke(self, cli, _old_words(args), *more, **others)

    click.testing.CliRunner.invoke = translated  # type: ignore[method-assign]


def _take_an_encoder() -> None:
    """Today's `Index` is given what loads an encoder. That of 0.1.0 has a method for it."""
    index = import_module("sorce.index").Index
    init = index.__init__

    def with_encoder(self: Any, client: Any, name: str, model: Any, encoder: Any = None) -> None:
        init(self, client, name, model)
        if encoder is not None:
            self._encoder_of = encoder

    index.__init__ = with_encoder


def _translate_processes() -> None:
    """A process that runs a module of the tests finds the old names, too."""
    init: Any = subprocess.Popen.__init__

    def translated(self: Any, args: Any, *more: Any, **others: Any) -> None:
        if isinstance(args, list) and args[1:2] == ["-m"] and args[2].startswith("tests."):
            args = [args[0], "-c", IN_A_PROCESS.format(args[2]), *args[3:]]
        init(self, args, *more, **others)

    subprocess.Popen.__init__ = translated  # type: ignore[method-assign]


sys.meta_path.insert(0, _Finder())
for _place in ("sorce.cluster", "sorce.errors", "sorce.ingest.index", "sorce.ingest.decode", "sorce"):
    _module = import_module(_place)
    for _new, _name in NAMES.items():
        if hasattr(_module, _name) and not hasattr(_module, _new):
            setattr(_module, _new, getattr(_module, _name))
import_module("sorce.plugin.service").__path__ = []
_renamed(import_module("sorce.models.querybank"))
_translate_commands()
_translate_processes()
_take_an_encoder()
_start_without_haste()
_let_tests_import_what_is_absent()
_leave_out_the_hash_of_recipes()
_accept_new_options(import_module("sorce.mappings.filters").Filter)
_accept_new_options(import_module("sorce.plugin.search").SearchRequest, ["a text"])
