"""Photos in: files -> pictures -> regions -> documents -> index."""

from sorce.ingest.pipeline import Options, ingest_photos, rehearse
from sorce.ingest.prune import count_gone, prune
from sorce.ingest.report import Report, Watch
from sorce.pictures.files import Files, Naming
from sorce.pictures.source import Source

__all__ = [
    "Files",
    "Naming",
    "Options",
    "Report",
    "Source",
    "Watch",
    "count_gone",
    "ingest_photos",
    "prune",
    "rehearse",
]
