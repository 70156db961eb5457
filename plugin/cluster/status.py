"""Checks whether the installation for an index works, step by step, each with a real call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np
from opensearchpy import OpenSearch, exceptions

from sorce.cluster import find_index, reason, version
from sorce.errors import PluginError, SorceError
from sorce.mappings.found import FoundIndex
from sorce.mappings.names import Names
from sorce.mappings.request import SearchRequest
from sorce.models.model import TextEncoder
from sorce.plugin.cluster.allow_list import AllowList
from sorce.plugin.cluster.bar import refuse_other_bar
from sorce.plugin.cluster.endpoint import PROBES, Endpoint, refuse_disagreement
from sorce.plugin.cluster.installed import Installed, get_pipeline
from sorce.plugin.cluster.locate import located_model, refuse_bad_localiser, refuse_without_processors
from sorce.plugin.cluster.ml_commons import NEURAL, SEARCH, Form, Json, MlCommons, call
from sorce.plugin.cluster.template import LOCATED, PLAIN, TemplateForm, template
from sorce.plugin.query.asking import send
from sorce.plugin.query.search import ClientSearch
from sorce.plugin.query.server import ServerSearch

CLOSE = 1e-4


@dataclass(frozen=True)
class Step:
    """One condition: what it is, and what is wrong with it (None: nothing).

    If it is not `needed`, nothing that is installed depends on it.
    """

    name: str
    problem: str | None
    needed: bool = True

    @property
    def works(self) -> bool:
        return self.problem is None


def status(client: OpenSearch, index: FoundIndex | str, encoder: TextEncoder, key: str | None) -> list[Step]:
    """All steps; each step needs those before it.

    `index` is a name, or the result of its look-up. `encoder` is the index's own model, loaded here. Raises PluginError
    if nothing is installed, or only objects with names from 0.1.0; IndexMissing.
    """
    there = index if isinstance(index, FoundIndex) else find_index(client, index)
    refuse_missing(client, there)
    checks = _Checks(client, there, encoder, key)
    steps = {
        "connectors": checks.connectors,
        "encoder": checks.service,
        "cluster settings": checks.settings,
        "model of the template": lambda: checks.model(SEARCH),
        "model of neural": lambda: checks.model(NEURAL),
        "template and its pipeline": checks.template,
        "pipeline of Dashboards' query bar": checks.bar,
        "default pipeline": checks.default,
    }
    looks_again = get_pipeline(client, Names(there.asked).located) is not None
    if looks_again:
        steps |= {"localiser": checks.localiser, "template and pipeline that look again": checks.located}
    found = [Step(name, _problem(check)) for name, check in steps.items()]
    able = _problem(lambda: refuse_without_processors(client, there.asked))
    return [*found, Step("processors that look again (install --locate)", able, looks_again)]


def refuse_missing(client: OpenSearch, there: FoundIndex) -> None:
    """Raises PluginError if nothing is installed that could be checked."""
    names = Names(there.asked)
    installed, mend = Installed(client, names), f"`sorce plugin install --index {there.asked} --encoder URL`"
    if installed.is_empty:
        raise PluginError(f"nothing is installed in the cluster to encode searches of '{there.asked}'; run {mend}.")
    if installed.pipeline(names.default) is None and installed.old_record is not None:
        raise PluginError(
            f"what is installed for '{there.asked}' was named by sorce 0.1.0 (such as '{names.old_default}'); "
            f"run {mend} again, which gives it the names of today."
        )


def _problem(check: Callable[[], None]) -> str | None:
    try:
        check()
    except SorceError as error:
        return str(error)
    except exceptions.TransportError as error:
        return f"the cluster refused: {reason(error)}."
    return None


class _Checks:
    """Each check raises an error with a sentence if something does not work."""

    def __init__(self, client: OpenSearch, there: FoundIndex, encoder: TextEncoder, key: str | None) -> None:
        self._client, self._there, self._encoder, self._key = client, there, encoder, key
        self._names, self._ml = Names(there.asked), MlCommons(client)
        self._installed = Installed(client, self._names)
        self._mend = f"run `sorce plugin install --index {there.asked} --encoder URL` again"
        self._mend_located = f"{self._mend}, with --locate"

    def connectors(self) -> None:
        urls = {self._endpoint(form).url for form in (SEARCH, NEURAL)}
        if len(urls) != 1:
            raise PluginError(f"the two connectors call different encoders ({', '.join(sorted(urls))}); {self._mend}.")

    def service(self) -> None:
        endpoint = self._endpoint(SEARCH)
        refuse_disagreement(endpoint.embed_texts(PROBES), self._encoder, f"the encoder at {endpoint.url}")

    def settings(self) -> None:
        self._refuse_untrusted(self._endpoint(SEARCH).url)

    def model(self, form: Form) -> None:
        model, _ = self._model(form)
        whose = f"the cluster's model '{self._names.model(form.user)}'"
        refuse_disagreement(self._ml.embed_texts(form, model, PROBES), self._encoder, whose)

    def template(self) -> None:
        """The cluster's answer must equal that of the client with the local model."""
        name = self._names.search
        stored = self._client.get_script(id=name, params={"filter_path": "script.source"}, ignore=404)
        if stored and stored["script"]["source"] != self._template(PLAIN):
            raise PluginError(f"template '{name}' was made by another sorce, or for another OpenSearch; {self._mend}.")
        request = SearchRequest([PROBES[0]], [PROBES[1]], size=3, fold=None)
        there = ServerSearch(self._client, self._names.index).search(request)
        here = ClientSearch(self._client, self._names.index, lambda _: self._encoder).search(request)
        if not np.allclose([hit.score for hit in there], [hit.score for hit in here], atol=CLOSE):
            raise PluginError(f"the cluster and the client give different answers; {self._mend}.")

    def bar(self) -> None:
        model, _ = self._model(SEARCH)
        refuse_other_bar(self._client, self._names, model)

    def default(self) -> None:
        """Tests `neural` inside `nested`, without a model id."""
        name = self._names.default
        for each in self._there.every:
            if each.default_pipeline != name:
                raise PluginError(
                    f"the default search pipeline of index '{each.name}' is {each.default_pipeline or 'not set'}; "
                    f"{self._mend}."
                )
        if self._installed.default_model is None:
            raise PluginError(f"pipeline '{name}' is missing or names no model; {self._mend}.")
        neural = {"neural": {"regions.vec": {"query_text": PROBES[0], "k": 1}}}
        query = {"nested": {"path": "regions", "score_mode": "max", "query": neural}}
        self._client.search(index=self._names.index, body={"size": 1, "_source": False, "query": query})

    def _template(self, form: TemplateForm) -> str:
        there = self._there
        return template(version(self._client), there.recipe, form, is_compressed=there.is_compressed)

    def localiser(self) -> None:
        model = located_model(self._client, self._names)
        if model is None:
            raise PluginError(f"pipeline '{self._names.located}' names no model; {self._mend_located}.")
        self._refuse_untrusted(str(call(self._ml.find("models", self._names.located).get(model, {})).get("url")))
        refuse_bad_localiser(self._client, model)

    def located(self) -> None:
        """The localiser must look at the first hits of a search, and open at least one of them."""
        name, index = self._names.located, self._names.index
        stored = self._client.get_script(id=name, params={"filter_path": "script.source"}, ignore=404)
        if not stored or stored["script"]["source"] != self._template(LOCATED):
            raise PluginError(
                f"template '{name}' was made by another sorce, or for another OpenSearch; {self._mend_located}."
            )
        body = {"id": name, "params": {"text": PROBES[0], "size": 3}}
        found = send(self._client, index, "_search/template", body, {"search_pipeline": name}, allow_partial=True)
        seen = [hit.get("_source", {}).get("located") for hit in found["hits"]["hits"]]
        if not all(seen):
            raise PluginError("hits come in plain order, since the localiser failed; the cluster's log says why.")
        reasons = [each["reason"] for each in seen if each.get("reason")]
        if reasons and len(reasons) == len(seen):
            raise PluginError(f"the localiser could not open any of {len(seen)} photos: the first {reasons[0]}.")

    def _endpoint(self, form: Form) -> Endpoint:
        _, source = self._model(form)
        url = call(source).get("url")
        if url is None:
            raise PluginError(f"model '{self._names.model(form.user)}' has no connector of its own; {self._mend}.")
        return Endpoint(url, self._there.recipe.model, self._key)

    def _refuse_untrusted(self, url: str) -> None:
        endpoint, trust = Endpoint(url, self._there.recipe.model), AllowList(self._client)
        if endpoint.pattern not in trust.trusted:
            raise PluginError(f"{url} is not among the cluster's trusted endpoints; {self._mend}.")
        if endpoint.is_private and not trust.calls_private:
            host = urlsplit(url).hostname
            raise PluginError(f"the cluster may not call addresses inside the network, such as {host}; {self._mend}.")

    def _model(self, form: Form) -> tuple[str, Json]:
        """Id and source of the one model that should exist."""
        name = self._names.model(form.user)
        models = self._installed.models(form)
        if len(models) != 1:
            raise PluginError(f"there are {len(models)} models '{name}' where there should be one; {self._mend}.")
        [found] = models.items()
        return found
