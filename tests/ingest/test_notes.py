"""The notes that an ingest prints about its model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from opensearchpy import OpenSearch

from sorce.ingest import Options, Watch, ingest_photos
from sorce.ingest.index import TargetIndex
from sorce.mappings import Recipe
from sorce.models import note_of
from tests.ingest.conftest import CountingModel, files


class Notes(Watch):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def noted(self, note: str) -> None:
        self.said.append(note)


@pytest.mark.fault("12.1.1")
def test_each_ingest_with_mini_says_that_it_knows_pictograms_only(
    client: OpenSearch, index: TargetIndex, folder: Path
) -> None:
    for _ in range(2):
        model, notes = CountingModel(), Notes()
        model.recipe = replace(model.recipe, model="mini")
        ingest_photos(client, index.name, model, files(folder), Options(workers=2), notes)
        assert notes.said == [note_of(model.recipe)]
        assert "knows drawn pictograms only" in notes.said[0]


def test_of_other_models_there_is_nothing_to_say() -> None:
    assert note_of(Recipe("google/siglip2-base-patch16-256", "1", "tiles", 768, "pillow-bicubic")) is None
