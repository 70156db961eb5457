"""Finds small objects in cluttered photos from a text, with OpenSearch.

import sorce

photos = sorce.open_index("photos", model="mini")
photos.ingest(["./photos"])
for hit in photos.search("a small red umbrella"):
    print(hit.uri, hit.box, hit.similarity)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sorce.errors import (
    BadPhoto,
    ClusterError,
    EngineError,
    GroundTruthError,
    IndexMissing,
    IndexNameError,
    MissingTool,
    ModelError,
    PluginError,
    QueryError,
    RecipeMismatch,
    SorceError,
    UnsupportedVersion,
)

if TYPE_CHECKING:
    from sorce.access import Access
    from sorce.index import Index, open_index
    from sorce.ingest import Options, Report, Source, Watch
    from sorce.mappings import Box, Hit, Hits, LeftOut, Match, Photo, Recipe, Region, Rejected
    from sorce.mappings.filters import Filter
    from sorce.mappings.request import SearchRequest

__all__ = [
    "Access",
    "BadPhoto",
    "Box",
    "ClusterError",
    "EngineError",
    "Filter",
    "GroundTruthError",
    "Hit",
    "Hits",
    "Index",
    "IndexMissing",
    "IndexNameError",
    "LeftOut",
    "Match",
    "MissingTool",
    "ModelError",
    "Options",
    "Photo",
    "PluginError",
    "QueryError",
    "Recipe",
    "RecipeMismatch",
    "Region",
    "Rejected",
    "Report",
    "SearchRequest",
    "SorceError",
    "Source",
    "UnsupportedVersion",
    "Watch",
    "open_index",
]

_PLACES = {
    "sorce.access": ("Access",),
    "sorce.index": ("Index", "open_index"),
    "sorce.ingest": ("Options", "Report", "Source", "Watch"),
    "sorce.mappings": ("Box", "Hit", "Hits", "LeftOut", "Match", "Photo", "Recipe", "Region", "Rejected"),
    "sorce.mappings.filters": ("Filter",),
    "sorce.mappings.request": ("SearchRequest",),
}


def __getattr__(name: str) -> Any:
    # On demand: every room imports this package first, and the command must not load what it does not run.
    for place, names in _PLACES.items():
        if name in names:
            return getattr(import_module(place), name)
    raise AttributeError(f"module 'sorce' has no attribute '{name}'")
