"""Finds small objects in cluttered photos from a text, with OpenSearch.

import sorce

photos = sorce.open_index("photos", model="mini")
photos.ingest(["./photos"])
for hit in photos.search("a small red umbrella"):
    print(hit.uri, hit.box, hit.similarity)
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sorce.errors import (
    BadPhoto,
    ClusterError,
    DashboardsError,
    EngineError,
    GroundTruthError,
    IndexMissing,
    IndexNameError,
    MissingTool,
    ModelError,
    OtherRoot,
    PluginError,
    QueryError,
    RecipeMismatch,
    SorceError,
    UnsupportedVersion,
)

__version__: str
"""The version of the installed package."""

if TYPE_CHECKING:
    from sorce.access import Access
    from sorce.asynchronous import AsyncIndex, open_index_async
    from sorce.index import Index, open_index
    from sorce.ingest import Options, Report, Source, Watch
    from sorce.listing import IndexInfo, indices
    from sorce.locate import open_localiser
    from sorce.mappings import (
        Box,
        Hit,
        Hits,
        Instance,
        LeftOut,
        Localiser,
        Located,
        LocateRequest,
        Match,
        Photo,
        PhotoFile,
        Picture,
        Recipe,
        Region,
        Rejected,
        Seen,
    )
    from sorce.mappings.example import LikePicture, LikeRegion, LikeVector
    from sorce.mappings.filters import Filter
    from sorce.mappings.request import SearchRequest
    from sorce.mappings.stored import StoredPhoto, StoredRegion
    from sorce.models import TextEncoder
    from sorce.models.methods import Runtime

_PLACES = {
    "sorce.access": ("Access",),
    "sorce.asynchronous": ("AsyncIndex", "open_index_async"),
    "sorce.index": ("Index", "open_index"),
    "sorce.listing": ("IndexInfo", "indices"),
    "sorce.ingest": ("Options", "Report", "Source", "Watch"),
    "sorce.locate": ("open_localiser",),
    "sorce.mappings": (
        *("Box", "Hit", "Hits", "Instance", "LeftOut", "Localiser", "Located", "LocateRequest", "Match", "Photo"),
        *("PhotoFile", "Picture", "Recipe", "Region", "Rejected", "Seen"),
    ),
    "sorce.mappings.example": ("LikePicture", "LikeRegion", "LikeVector"),
    "sorce.mappings.filters": ("Filter",),
    "sorce.mappings.request": ("SearchRequest",),
    "sorce.mappings.stored": ("StoredPhoto", "StoredRegion"),
    "sorce.models": ("TextEncoder",),
    "sorce.models.methods": ("Runtime",),
}

__all__ = [
    "Access",
    "AsyncIndex",
    "BadPhoto",
    "Box",
    "ClusterError",
    "DashboardsError",
    "EngineError",
    "Filter",
    "GroundTruthError",
    "Hit",
    "Hits",
    "Index",
    "IndexInfo",
    "IndexMissing",
    "IndexNameError",
    "Instance",
    "LeftOut",
    "LikePicture",
    "LikeRegion",
    "LikeVector",
    "Localiser",
    "LocateRequest",
    "Located",
    "Match",
    "MissingTool",
    "ModelError",
    "Options",
    "OtherRoot",
    "Photo",
    "PhotoFile",
    "Picture",
    "PluginError",
    "QueryError",
    "Recipe",
    "RecipeMismatch",
    "Region",
    "Rejected",
    "Report",
    "Runtime",
    "SearchRequest",
    "Seen",
    "SorceError",
    "Source",
    "StoredPhoto",
    "StoredRegion",
    "TextEncoder",
    "UnsupportedVersion",
    "Watch",
    "__version__",
    "indices",
    "open_index",
    "open_index_async",
    "open_localiser",
]

# A library call prints nothing: without any handler, Python would print warnings by itself.
logging.getLogger("sorce").addHandler(logging.NullHandler())


def __dir__() -> list[str]:
    # So that a notebook completes the names that are imported on demand.
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("sorce")
    # On demand: every room imports this package first, and the command must not load what it does not run.
    for place, names in _PLACES.items():
        if name in names:
            return getattr(import_module(place), name)
    raise AttributeError(f"module 'sorce' has no attribute '{name}'")
