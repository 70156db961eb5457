"""The regions methods, by name. Heavy packages are imported only when a method is used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sorce.errors import ModelError
from sorce.mappings import Recipe
from sorce.mappings.recipe import Plain
from sorce.models import patches, tiling
from sorce.models.checkpoint import Checkpoint, find, find_again
from sorce.models.model import Model, TextEncoder
from sorce.models.objects import settings as objects
from sorce.models.objembed import settings as objembed

if TYPE_CHECKING:
    from sorce.models.encoder import Encoder

DEFAULT_MODEL = "google/siglip2-base-patch16-256"
DEFAULT_REGIONS = "tiles"


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a model runs on: the device (`auto`, cpu, cuda or mps), and the number of images or texts in a batch.

    `dimension` cuts the vectors; None leaves them whole. With `texts_first`, the half for pictures is loaded when a
    picture is encoded, where a model can be opened in halves. `backend` is what resizes pictures, by the recipe of an
    index that is there; None: what the model's own processor uses. Raises ModelError for a batch size that is no whole
    number from 1.
    """

    device: str = "auto"
    batch_size: int = 64
    dimension: int | None = None
    texts_first: bool = False
    backend: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.batch_size, bool) or not isinstance(self.batch_size, int) or self.batch_size < 1:
            raise ModelError(f"batch_size is {self.batch_size!r}; give a whole number from 1.")


@dataclass(frozen=True, slots=True)
class Method:
    """A regions method: its parameters with defaults, and how to load its model or the text part that a search needs.

    `per_photo` is the maximum number of regions of a photo by default.
    """

    name: str
    summary: str
    per_photo: int
    load: Callable[[Checkpoint, Runtime, Any], Model[Any]]
    load_texts: Callable[[Checkpoint, Runtime, Recipe], TextEncoder]
    parameters: Mapping[str, Plain] = field(default_factory=dict)
    cuts: bool = False
    """Whether its vectors may be cut: they are all the encoder's own."""
    settings: Callable[..., Any] = dict
    """Makes of the parameters what `load` takes. Raises ModelError for a value out of range."""


def _encoder(checkpoint: Checkpoint, run: Runtime) -> Encoder:
    from sorce.models.encoder import Encoder

    return Encoder(checkpoint, run.device, run.batch_size, dimension=run.dimension, backend=run.backend)


def _texts(checkpoint: Checkpoint, run: Runtime, recipe: Recipe | None = None) -> TextEncoder:
    def whole() -> Encoder:
        return _encoder(
            checkpoint, run if recipe is None else replace(run, dimension=recipe.dimension, backend=recipe.backend)
        )

    if run.texts_first:
        from sorce.models.text_tower import open_text_tower

        tower = open_text_tower(checkpoint, run.device, run.batch_size, whole)
        if tower is not None:
            return tower
    return whole()


def _whole(checkpoint: Checkpoint, run: Runtime, _: Mapping[str, Any]) -> Model[Any]:
    from sorce.models.whole import Whole

    return Whole(_encoder(checkpoint, run))


def _tiles(checkpoint: Checkpoint, run: Runtime, settings: tiling.TileSettings) -> Model[Any]:
    from sorce.models.tiles import Tiles

    return Tiles(_encoder(checkpoint, run), settings)


def _clusters(checkpoint: Checkpoint, run: Runtime, settings: patches.ClusterSettings) -> Model[Any]:
    from sorce.models.clusters import Clusters

    return Clusters(_encoder(checkpoint, run), settings)


def _prompts(checkpoint: Checkpoint, run: Runtime, parameters: Mapping[str, Any]) -> Model[Any]:
    from sorce.models.prompts import PromptSettings, RegionalPrompts

    return RegionalPrompts(checkpoint, PromptSettings(**parameters), run.device, run.batch_size)


def _prompts_texts(checkpoint: Checkpoint, run: Runtime, recipe: Recipe) -> TextEncoder:
    from sorce.models.prompts import PromptSettings, RegionalPrompts

    return RegionalPrompts(checkpoint, PromptSettings.of(recipe), run.device, run.batch_size)


def _objects(checkpoint: Checkpoint, run: Runtime, settings: objects.ObjectsSettings) -> Model[Any]:
    from sorce.models.objects.opening import open_objects

    return open_objects(checkpoint, settings, run.device, run.batch_size, run.backend)


def _objects_texts(checkpoint: Checkpoint, run: Runtime, recipe: Recipe) -> TextEncoder:
    from sorce.models.objects.opening import open_texts

    return open_texts(checkpoint, str(recipe.parameters["vectors"]), run.device, run.batch_size, recipe.backend)


def _objembed(checkpoint: Checkpoint, run: Runtime, settings: objembed.ObjEmbedSettings) -> Model[Any]:
    from sorce.models.objembed.method import open_regions

    return open_regions(checkpoint, settings, run.device, run.batch_size)


def _objembed_texts(checkpoint: Checkpoint, run: Runtime, recipe: Recipe) -> TextEncoder:
    from sorce.models.objembed.method import open_texts

    return open_texts(checkpoint, recipe, run.device, run.batch_size)


PARSERS: Mapping[type, Callable[[str], Plain]] = {int: int, float: float, str: str}

METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method("whole", "one vector for the whole photo", 1, _whole, _texts, cuts=True),
        Method(
            "tiles",
            "overlapping squares on several scales, cut from the original pixels",
            tiling.MAX_STORED,
            _tiles,
            _texts,
            asdict(tiling.TileSettings()),
            cuts=True,
            settings=tiling.TileSettings,
        ),
        Method(
            "clusters",
            "patches of the whole photo, grouped by what they show",
            1 + patches.CLUSTERS,
            _clusters,
            _texts,
            asdict(patches.ClusterSettings()),
            settings=patches.ClusterSettings,
        ),
        Method(
            "objects",
            "what a detector takes for an object, cut out with a margin or embedded by OWLv2 itself",
            objects.ObjectsSettings().max_regions,
            _objects,
            _objects_texts,
            asdict(objects.ObjectsSettings()),
            settings=objects.ObjectsSettings,
        ),
        Method(
            "objembed",
            "a detector's boxes, all embedded in one pass over the photo that they are in, each with its predicted IoU",
            objembed.MAX_REGIONS,
            _objembed,
            _objembed_texts,
            asdict(objembed.ObjEmbedSettings()),
            settings=objembed.ObjEmbedSettings,
        ),
        Method(
            "prompts",
            "a chat model asked about the photo and each of its corners",
            5,
            _prompts,
            _prompts_texts,
            {"prompts": "positional", "template": "auto", "min_pixels": 0, "max_pixels": 0},
        ),
    )
}


def load_model(
    model: Checkpoint | str = DEFAULT_MODEL,
    regions: str = DEFAULT_REGIONS,
    parameters: Mapping[str, Plain] | None = None,
    device: str = "auto",
    batch_size: int = 64,
    trust_remote_code: bool = False,
    dimension: int | None = None,
    backend: str | None = None,
) -> Model[Any]:
    """Loads a model by its weights (`mini`, a folder, a name on the hub, or a found checkpoint) and regions method.

    Missing parameters have the method's defaults. `trust_remote_code` allows the model's or detector's own Python code
    to run. `dimension` cuts the vectors to that many numbers, if the model was trained for that. `backend` is what
    resizes pictures, by the recipe of an index that gets more photos (`Recipe.backend`). Raises ModelError if the
    weights cannot be loaded, or the method or a parameter is unknown.
    """
    # Refused before a model is fetched.
    settings = method_settings(regions, parameters or {}, dimension)
    checkpoint = _at_hand(find(model) if isinstance(model, str) else model, trust_remote_code)
    return _method(regions).load(checkpoint, Runtime(device, batch_size, dimension, backend=backend), settings)


def method_settings(regions: str, parameters: Mapping[str, Plain], dimension: int | None = None) -> Any:
    """The settings of a regions method. Raises ModelError for what it does not know, cannot use, or cannot cut."""
    method = _method(regions)
    if unknown := sorted(parameters.keys() - method.parameters.keys()):
        known = f"only {', '.join(method.parameters)}" if method.parameters else "none"
        raise ModelError(f"regions method '{regions}' has no parameter '{unknown[0]}'; it knows {known}.")
    if dimension is not None and not method.cuts:
        able = " or ".join(name for name, each in METHODS.items() if each.cuts)
        raise ModelError(
            f"regions method '{regions}' has vectors that are not cut; leave the dimension out, or choose {able}."
        )
    return method.settings(**{**method.parameters, **parameters})


def as_before(
    found: Checkpoint, there: Recipe | None, regions: str, dimension: int | None
) -> tuple[int | None, str | None]:
    """The dimension and the back end for more photos of an index: its own, if its weights were found."""
    if there is None or (found.model, found.revision) != (there.model, there.revision):
        return dimension, None
    cuts = regions in METHODS and METHODS[regions].cuts
    return dimension or (there.dimension if cuts else None), there.backend


def parse_parameters(regions: str, texts: Iterable[str]) -> dict[str, Plain]:
    """Reads parameters of a regions method that a user wrote as `name=value`. Raises ModelError."""
    known = _method(regions).parameters
    given: dict[str, Plain] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name not in known:
            names = ", ".join(f"{name}={default}" for name, default in known.items()) or "none"
            raise ModelError(f"'{text}' is not a parameter of regions method '{regions}'; it knows {names}.")
        kind = type(known[name])
        try:
            given[name] = PARSERS[kind](value)
        except ValueError as error:
            raise ModelError(f"'{text}' holds no {kind.__name__}; write it like {name}={known[name]}.") from error
    return given


def load_encoder(
    model: Recipe | str,
    device: str = "auto",
    folder: str | None = None,
    trust_remote_code: bool = False,
    batch_size: int = 64,
    texts_first: bool = False,
) -> TextEncoder:
    """Loads the part of a model that a search needs, by an index's recipe or by the name of the weights.

    If an index's weights came from a folder, `folder` is its path. `trust_remote_code` allows the model's own Python
    code to run. With `texts_first`, the half for pictures is loaded when a picture is encoded. Raises ModelError
    if the weights cannot be loaded, or differ from the recipe's.
    """
    found = find(model) if isinstance(model, str) else find_again(model, folder)
    checkpoint = _at_hand(found, trust_remote_code)
    run = Runtime(device, batch_size, texts_first=texts_first)
    if isinstance(model, str):
        return _texts(checkpoint, run)
    return _method(model.regions).load_texts(checkpoint, run, model)


def _at_hand(checkpoint: Checkpoint, trust_remote_code: bool) -> Checkpoint:
    """Raises ModelError if it is not on this machine and the hub does not answer, before torch is imported."""
    if not checkpoint.is_folder:
        from sorce.models.hub import at_hand

        checkpoint = at_hand(checkpoint)
    return replace(checkpoint, trust_remote_code=trust_remote_code)


def _method(name: str) -> Method:
    if name not in METHODS:
        raise ModelError(
            f"this sorce has no regions method '{name}'; choose one of {', '.join(METHODS)}, or a newer sorce."
        )
    return METHODS[name]
