"""What every user of a model should know."""

from __future__ import annotations

from sorce.mappings import Recipe
from sorce.models.checkpoint import MINI

ON_MINI = (
    "the model 'mini' knows drawn pictograms only, and finds next to nothing in real photos; bring those in with "
    "another model, such as --model google/siglip2-base-patch16-256."
)


def note_of(recipe: Recipe) -> str | None:
    """A sentence for everyone who ingests or searches with this recipe; None if there is nothing to say."""
    return ON_MINI if recipe.model == MINI else None
