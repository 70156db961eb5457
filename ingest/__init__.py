"""Ingests photos: files -> compare -> decode -> encode -> write."""

from sorce.ingest.pipeline import Options, ingest_photos
from sorce.ingest.prune import prune
from sorce.ingest.report import Report, Watch
from sorce.pictures.files import Files, Naming
from sorce.pictures.source import Source

__all__ = ["Files", "Naming", "Options", "Report", "Source", "Watch", "ingest_photos", "prune"]
