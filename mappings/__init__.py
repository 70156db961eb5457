"""The contract: how a photo is stored and how it is searched. No other room knows the field names."""

from sorce.mappings.hits import Hit, Hits, LeftOut, Match
from sorce.mappings.located import Instance, Localiser, Located, LocateRequest, Seen
from sorce.mappings.recipe import Recipe, refuse_mismatch
from sorce.mappings.values import Attribute, Box, Kind, Photo, PhotoFile, Picture, Region, Rejected, Vector

__all__ = [
    "Attribute",
    "Box",
    "Hit",
    "Hits",
    "Instance",
    "Kind",
    "LeftOut",
    "Localiser",
    "LocateRequest",
    "Located",
    "Match",
    "Photo",
    "PhotoFile",
    "Picture",
    "Recipe",
    "Region",
    "Rejected",
    "Seen",
    "Vector",
    "refuse_mismatch",
]
