"""The names of what sorce installs in a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

User = Literal["template", "neural"]
"""Who has texts encoded by a model."""


@dataclass(frozen=True)
class Names:
    """They carry the name of the index (or alias), since indices may have different models. For `photos`:

    sorce-photos          search pipeline, stored template, model group; model (with its connector) of the template
    sorce-photos-neural   model (with its connector) of `neural`
    sorce-photos-default  the index's default pipeline: `neural` without a model id; it also keeps the record of how the
                          cluster's settings were before
    """

    index: str

    @property
    def search(self) -> str:
        """Of the template, its pipeline and the model group."""
        return f"sorce-{self.index}"

    @property
    def default(self) -> str:
        """Of the index's default pipeline."""
        return f"{self.search}-default"

    def model(self, user: User) -> str:
        """Of a model and its connector."""
        return self.search if user == "template" else f"{self.search}-{user}"
