"""What a cluster holds for the searches of one index: under this sorce's names, and under those of 0.1.0."""

from __future__ import annotations

from typing import Any

from opensearchpy import OpenSearch, exceptions

from sorce.mappings.names import Names
from sorce.plugin.cluster.ml_commons import NEURAL, SEARCH, Form, Json, MlCommons, is_form
from sorce.plugin.cluster.record import Record, parse_record

DEFAULT_PIPELINE = "index.search.default_pipeline"


class Installed:
    """What exists now; each call asks the cluster."""

    def __init__(self, client: OpenSearch, names: Names) -> None:
        self._client, self._names, self._ml = client, names, MlCommons(client)

    def models(self, form: Form) -> dict[str, Json]:
        """Ids and sources of the models of a form.

        In 0.1.0, the model of `neural` for the index `photos` had the same name as the template's model for an index
        `photos-neural`. Their connectors distinguish them.
        """
        other = NEURAL if form is SEARCH else SEARCH
        found = self._ml.find("models", self._names.model(form.user))
        return {model: source for model, source in found.items() if not is_form(source, other)}

    def old_models(self) -> list[str]:
        """Ids of the models of `neural` that 0.1.0 made."""
        found = self._ml.find("models", self._names.old_neural)
        return [model for model, source in found.items() if is_form(source, NEURAL)]

    def pipeline(self, name: str) -> Json | None:
        """A search pipeline."""
        return get_pipeline(self._client, name)

    @property
    def default_model(self) -> str | None:
        """The model that `neural` uses when a search names none."""
        processors = (self.pipeline(self._names.default) or {}).get("request_processors", [])
        enrichers = (each.get("neural_query_enricher", {}) for each in processors)
        return next((found["default_model_id"] for found in enrichers if "default_model_id" in found), None)

    @property
    def template_model(self) -> str | None:
        """The model that the template's pipeline calls."""
        processors = (self.pipeline(self._names.search) or {}).get("request_processors", [])
        return next((each["ml_inference"].get("model_id") for each in processors if "ml_inference" in each), None)

    @property
    def record(self) -> Record | None:
        found = self.pipeline(self._names.default)
        return None if found is None else parse_record(found)

    @property
    def old_record(self) -> Record | None:
        """What 0.1.0 wrote; also None if the name belongs to another index: such a pipeline holds no record."""
        found = self.pipeline(self._names.old_default)
        return None if found is None else parse_record(found)

    @property
    def is_empty(self) -> bool:
        """Whether nothing exists under any of the names."""
        pipelines = (self.pipeline(name) for name in (self._names.search, self._names.bar, self._names.default))
        return (
            all(found is None or is_of_another(found) for found in pipelines)
            and self.old_record is None
            and not any(self.models(form) for form in (SEARCH, NEURAL))
            and not self._client.get_script(id=self._names.search, ignore=404).get("found")
        )

    def users(self, pipeline: str) -> list[str]:
        """All indices that have it as default search pipeline: more than one if an alias has moved."""
        # From the cluster's state, because the install role may not read the settings of all indices.
        params: dict[str, Any] = {"flat_settings": "true", "filter_path": "metadata.indices.*.settings"}
        state = self._client.cluster.state(metric="metadata", params=params)
        indices = state.get("metadata", {}).get("indices", {})
        return [name for name, index in indices.items() if index["settings"].get(DEFAULT_PIPELINE) == pipeline]


def get_pipeline(client: OpenSearch, name: str) -> Json | None:
    """A search pipeline; None if there is none."""
    try:
        found: Json = client.search_pipeline.get(id=name)
    except exceptions.NotFoundError:
        return None
    return found.get(name)


def is_of_another(pipeline: Json) -> bool:
    """Whether the pipeline with an index's search name is another index's default pipeline, as 0.1.0 named it."""
    return parse_record(pipeline) is not None


def set_default_pipeline(client: OpenSearch, index: str, pipeline: str | None) -> None:
    """Sets or resets an index's default search pipeline; an index deleted meanwhile is ignored."""
    params = {"ignore_unavailable": "true", "allow_no_indices": "true"}
    client.indices.put_settings(index=index, body={DEFAULT_PIPELINE: pipeline}, params=params)
