"""What sorce installs in a cluster for one index, by name, and takes away again.

sorce-photos           search pipeline, stored template, model group, model (with its connector) of the template
sorce-photos-neural    model (with its connector) of `neural`
sorce-photos-default   the index's default pipeline: `neural` without a model id; it also keeps the record of how the
                       cluster's settings were before
"""

from __future__ import annotations

from contextlib import suppress

from opensearchpy import OpenSearch, exceptions

from sorce.cluster import recipe_of, version
from sorce.errors import PluginError
from sorce.mappings.names import Names
from sorce.models.model import TextEncoder
from sorce.plugin.cluster.allow_list import AllowList, Record, records
from sorce.plugin.cluster.endpoint import PROBES, Endpoint, refuse_disagreement
from sorce.plugin.cluster.ml_commons import NEURAL, SEARCH, Form, Json, MlCommons, call, connector_body
from sorce.plugin.cluster.template import pipeline, template

DEFAULT_PIPELINE = "index.search.default_pipeline"


def install(client: OpenSearch, index: str, endpoint: Endpoint, encoder: TextEncoder) -> None:
    """Lets the cluster encode the texts of searches of this index; run again, it mends what is missing.

    `encoder` is the index's own model, loaded here: the endpoint must give the same vectors. What exists and works
    stays as it is, and what replaces something is tried before anything is switched over. Raises PluginError.
    """
    names, recipe = Names(index), recipe_of(client, index)
    refuse_other_pipeline(client, names)
    refuse_disagreement(endpoint.embed_texts(PROBES), encoder, f"the encoder at {endpoint.url}")
    trust = AllowList(client)
    record = trust.record(names.default, endpoint)
    _put_default(client, names, record, existing_model(client, names))
    trust.add(endpoint)
    making = _Making(MlCommons(client), names, endpoint, encoder)
    search, neural = making.model(SEARCH), making.model(NEURAL)
    put_pipeline(client, names.search, pipeline(search))
    source = template(version(client), recipe)
    client.put_script(id=names.search, body={"script": {"lang": "mustache", "source": source}})
    _put_default(client, names, record, neural)
    client.indices.put_settings(index=index, body={DEFAULT_PIPELINE: names.default})
    making.delete_others(keep=(search, neural))
    trust.tidy(record, MlCommons(client).addresses())


def uninstall(client: OpenSearch, index: str) -> None:
    """Takes away what `install` made and nothing else; what is not there is no error."""
    names, ml = Names(index), MlCommons(client)
    # More than one where an alias has moved: the index before it keeps the setting, and no search of it would work.
    if using := indices_of(client, names.default):
        client.indices.put_settings(index=",".join(using), body={DEFAULT_PIPELINE: None})
    _delete(client, f"/_search/pipeline/{names.search}")
    _delete(client, f"/_scripts/{names.search}")
    ml.delete([names.model(form.user) for form in (SEARCH, NEURAL)])
    for group in ml.find("model_groups", names.search):
        ml.delete_group(group)
    record = records(client).get(names.default)
    if record is not None:
        AllowList(client).tidy(record, ml.addresses())
        # Last, since it holds the record: an uninstall that was cut short can be run again.
        _delete(client, f"/_search/pipeline/{names.default}")


def default_pipeline(client: OpenSearch, index: str) -> str | None:
    """The name of the index's default search pipeline, if it has one."""
    try:
        found = client.indices.get_settings(index=index, name=DEFAULT_PIPELINE, params={"flat_settings": "true"})
    except exceptions.NotFoundError:
        return None
    return next((settings["settings"].get(DEFAULT_PIPELINE) for settings in found.values()), None)


def indices_of(client: OpenSearch, pipeline: str) -> list[str]:
    """All indices whose default search pipeline it is."""
    # The cluster's state, since a user of the install role may not ask for all indices' settings.
    params = {"flat_settings": "true", "filter_path": "metadata.indices.*.settings"}
    found = client.cluster.state(metric="metadata", params=params)["metadata"]["indices"]
    return [name for name, index in found.items() if index["settings"].get(DEFAULT_PIPELINE) == pipeline]


def refuse_other_pipeline(client: OpenSearch, names: Names) -> None:
    other = default_pipeline(client, names.index)
    if other not in (None, "_none", names.default):
        raise PluginError(
            f"index '{names.index}' has '{other}' as its default search pipeline, which sorce would replace; "
            f"put what it does elsewhere and reset {DEFAULT_PIPELINE} first."
        )


def put_pipeline(client: OpenSearch, name: str, body: Json) -> None:
    client.transport.perform_request("PUT", f"/_search/pipeline/{name}", body=body)


def existing_model(client: OpenSearch, names: Names) -> str | None:
    """The model that `neural` has by default now."""
    try:
        found = client.transport.perform_request("GET", f"/_search/pipeline/{names.default}")
    except exceptions.NotFoundError:
        return None
    processors = found[names.default].get("request_processors", [])
    return next((each["neural_query_enricher"]["default_model_id"] for each in processors), None)


def _put_default(client: OpenSearch, names: Names, record: Record, model: str | None) -> None:
    enricher = [{"neural_query_enricher": {"default_model_id": model}}] if model else []
    put_pipeline(client, names.default, {"description": record.description(), "request_processors": enricher})


def _delete(client: OpenSearch, path: str) -> None:
    with suppress(exceptions.NotFoundError):
        client.transport.perform_request("DELETE", path)


class _Making:
    """Makes, or keeps, the models of one installation."""

    def __init__(self, ml: MlCommons, names: Names, endpoint: Endpoint, encoder: TextEncoder) -> None:
        self._ml, self._names, self._endpoint, self._encoder = ml, names, endpoint, encoder

    def model(self, form: Form) -> str:
        """The id of a model that gives the index's vectors: one that is there and works, else a new one."""
        return self._working(form) or self._new(form)

    def delete_others(self, keep: tuple[str, ...]) -> None:
        self._ml.delete([self._names.model(form.user) for form in (SEARCH, NEURAL)], keep)

    def _working(self, form: Form) -> str | None:
        name = self._names.model(form.user)
        wanted = connector_body(name, form, self._endpoint)["actions"][0]
        for model, source in self._ml.find("models", name).items():
            if _same_call(call(source), wanted) and self._proven(form, model):
                return model
        return None

    def _new(self, form: Form) -> str:
        name = self._names.model(form.user)
        model = self._ml.deploy(name, connector_body(name, form, self._endpoint), self._group())
        try:
            self._prove(form, model)
        except PluginError:
            self._ml.delete_model(model)
            raise
        return model

    def _group(self) -> str:
        found = self._ml.find("model_groups", self._names.search)
        return next(iter(found), None) or self._ml.create_group(
            self._names.search, f"Encoders of texts for searches of {self._names.index}, made by sorce"
        )

    def _proven(self, form: Form, model: str) -> bool:
        try:
            self._prove(form, model)
        except PluginError:
            return False
        return True

    def _prove(self, form: Form, model: str) -> None:
        refuse_disagreement(self._ml.embed_texts(form, model, PROBES), self._encoder, "the cluster's model")


def _same_call(there: Json, wanted: Json) -> bool:
    return all(there.get(key) == value for key, value in wanted.items() if key != "action_type")
