"""Regional prompts: a chat model is asked about the photo and about its corners (SORCE, arXiv 2505.24441)."""

from sorce.models.prompts.method import PUBLISHED, RegionalPrompts, Settings
from sorce.models.prompts.templates import ASKS, TEMPLATES, Ask, Template

__all__ = ["ASKS", "PUBLISHED", "TEMPLATES", "Ask", "RegionalPrompts", "Settings", "Template"]
