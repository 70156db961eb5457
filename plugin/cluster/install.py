"""Creates what the cluster needs to encode the texts of one index's searches, and removes it again.

The names of the created objects are in `sorce.mappings.names`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from opensearchpy import OpenSearch, exceptions

from sorce.cluster import find_index, version
from sorce.errors import PluginError
from sorce.mappings.found import FoundIndex
from sorce.mappings.names import Names, check_index_name
from sorce.models.model import TextEncoder
from sorce.plugin.cluster.allow_list import AllowList
from sorce.plugin.cluster.bar import put_bar
from sorce.plugin.cluster.endpoint import PROBES, Endpoint, refuse_disagreement
from sorce.plugin.cluster.installed import (
    DEFAULT_PIPELINE,
    Installed,
    get_pipeline,
    is_of_another,
    set_default_pipeline,
)
from sorce.plugin.cluster.locate import refresh_located, uninstall_located
from sorce.plugin.cluster.ml_commons import NEURAL, SEARCH, Form, Json, MlCommons, call, connector_body
from sorce.plugin.cluster.record import INSTALLED, LEAVING, Record
from sorce.plugin.cluster.template import pipeline, template


def install(client: OpenSearch, index: FoundIndex | str, endpoint: Endpoint, encoder: TextEncoder) -> None:
    """Lets the cluster encode the texts of searches of this index. A second run repairs what is missing.

    `index` is a name, or the result of its look-up. `encoder` is the index's own model, loaded here: the endpoint must
    give the same vectors. What exists and works is kept, and a replacement is tested before anything is switched over.
    Objects with names from 0.1.0 are replaced. Raises PluginError, IndexMissing.
    """
    there = index if isinstance(index, FoundIndex) else find_index(client, index)
    names, installed = Names(there.asked), Installed(client, Names(there.asked))
    refuse_other_pipeline(client, there, names)
    refuse_disagreement(endpoint.embed_texts(PROBES), encoder, f"the encoder at {endpoint.url}")
    trust = AllowList(client, _holders(names))
    record = trust.record(endpoint)
    _put_default(client, names, record, installed.default_model)
    trust.add(endpoint)
    making = _Making(MlCommons(client), names, endpoint, encoder)
    search, neural = making.model(SEARCH), making.model(NEURAL)
    client.search_pipeline.put(id=names.search, body=pipeline(search))
    put_bar(client, names, search)
    source = template(version(client), there.recipe, is_compressed=there.is_compressed)
    client.put_script(id=names.search, body={"script": {"lang": "mustache", "source": source}})
    _put_default(client, names, record, neural)
    for each in there.names:
        set_default_pipeline(client, each, names.default)
    refresh_located(client, there)
    making.delete_others(keep=(search, neural))
    _replace_old(client, names, installed)
    left = trust.tidy(record)
    _put_default(client, names, replace(record, added=left, state=INSTALLED), neural)
    refuse_rival(installed, names, search, neural)


def uninstall(client: OpenSearch, index: str) -> None:
    """Removes what `install` created and nothing else. Missing objects, even a missing index, are no error.

    Raises IndexNameError.
    """
    names, ml = Names(check_index_name(index)), MlCommons(client)
    uninstall_located(client, names)
    installed = Installed(client, names)
    record, old = installed.record, installed.old_record
    for user in _users(installed, names, old):
        set_default_pipeline(client, user, None)
    record = record or old
    if record is not None:
        _put_default(client, names, replace(record, state=LEAVING), None)
    if not is_of_another(installed.pipeline(names.search) or {}):
        _delete_pipeline(client, names.search)
    _delete_pipeline(client, names.bar)
    with suppress(exceptions.NotFoundError):
        client.delete_script(id=names.search)
    for model in [*installed.models(SEARCH), *installed.models(NEURAL), *installed.old_models()]:
        ml.delete_model(model)
    for group in ml.find("model_groups", names.search):
        ml.delete_group(group)
    if record is not None:
        AllowList(client, _holders(names)).tidy(record)
    if old is not None:
        _delete_pipeline(client, names.old_default)
    # Last, because it holds the record: an interrupted uninstall can be run again.
    _delete_pipeline(client, names.default)


def refuse_other_pipeline(client: OpenSearch, there: FoundIndex, names: Names) -> None:
    """Raises PluginError if an object of another index, or of somebody else, would be replaced."""
    for each in there.every:
        if each.default_pipeline not in (None, "_none", names.default, names.old_default):
            raise PluginError(
                f"index '{each.name}' has '{each.default_pipeline}' as its default search pipeline, which sorce would "
                f"replace; move what it does to another place and reset {DEFAULT_PIPELINE} first."
            )
    if is_of_another(get_pipeline(client, names.search) or {}):
        first = names.index.removesuffix("-default")
        raise PluginError(
            f"the pipeline '{names.search}' is the default of index '{first}', as sorce 0.1.0 named it; "
            f"run `sorce plugin install --index {first} --encoder URL` first, which gives it another name."
        )


def refuse_rival(installed: Installed, names: Names, search: str, neural: str) -> None:
    """Raises PluginError if a simultaneous install for the same index has replaced or deleted these models."""
    named = (installed.template_model, installed.default_model)
    if named != (search, neural) or {*installed.models(SEARCH), *installed.models(NEURAL)} != {search, neural}:
        raise PluginError(
            f"another `sorce plugin install --index {names.index}` ran at the same time; run it again, once."
        )


def _holders(names: Names) -> tuple[str, str]:
    """The names of the pipelines that may hold the installation's record."""
    return names.default, names.old_default


def _users(installed: Installed, names: Names, old: Record | None) -> list[str]:
    """The indices that will lose their default pipeline."""
    # The old name may be another index's search pipeline. An index that uses that one as its default keeps it.
    return [*installed.users(names.default), *(installed.users(names.old_default) if old is not None else ())]


def _replace_old(client: OpenSearch, names: Names, installed: Installed) -> None:
    """Removes what 0.1.0 created, after its replacement exists."""
    if installed.old_record is not None:
        for user in installed.users(names.old_default):
            set_default_pipeline(client, user, names.default)
        _delete_pipeline(client, names.old_default)
    for model in installed.old_models():
        MlCommons(client).delete_model(model)


def _put_default(client: OpenSearch, names: Names, record: Record, model: str | None) -> None:
    enricher = [{"neural_query_enricher": {"default_model_id": model}}] if model else []
    body = {"description": record.description(), "request_processors": enricher}
    client.search_pipeline.put(id=names.default, body=body)


def _delete_pipeline(client: OpenSearch, name: str) -> None:
    with suppress(exceptions.NotFoundError):
        client.search_pipeline.delete(id=name)


class _Making:
    """Creates, or keeps, the models of one installation."""

    def __init__(self, ml: MlCommons, names: Names, endpoint: Endpoint, encoder: TextEncoder) -> None:
        self._ml, self._names, self._endpoint, self._encoder = ml, names, endpoint, encoder
        self._installed = Installed(ml.client, names)

    def model(self, form: Form) -> str:
        """The id of a model that gives the index's vectors: an existing one that works, else a new one."""
        return self._working(form) or self._new(form)

    def delete_others(self, keep: tuple[str, ...]) -> None:
        for form in (SEARCH, NEURAL):
            for model in self._installed.models(form).keys() - set(keep):
                self._ml.delete_model(model)

    def _working(self, form: Form) -> str | None:
        wanted = connector_body(self._names.model(form.user), form, self._endpoint)["actions"][0]
        for model, source in self._installed.models(form).items():
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
