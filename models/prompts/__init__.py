"""Regional prompts: a chat model is asked about the photo and its corners (SORCE, arXiv 2505.24441)."""

from sorce.models.prompts.method import PUBLISHED, PromptSettings, RegionalPrompts
from sorce.models.prompts.templates import ASKS, TEMPLATES, Question, Template

__all__ = ["ASKS", "PUBLISHED", "TEMPLATES", "PromptSettings", "Question", "RegionalPrompts", "Template"]
