"""Remote models of ML Commons, by name, each with its own connector inside."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from opensearchpy import OpenSearch, exceptions

from sorce.cluster import reason
from sorce.errors import PluginError
from sorce.mappings import Vector
from sorce.mappings.names import User
from sorce.plugin.cluster.endpoint import Endpoint

ML = "/_plugins/_ml"
DEPLOY_SECONDS = 60
POLL_SECONDS = 0.2
ANSWER_SECONDS = 10

Json = dict[str, Any]


@dataclass(frozen=True)
class Form:
    """How a connector words its call. The two users of a model, the search pipeline and `neural`, need two."""

    user: User
    action: Json
    predict: str
    """Path of the call that tries a model, with its id as `{}`."""
    texts: str
    """Name of the texts in that call."""


# No pre-processing: the texts are written into the body as they are, which is right for quotes too. Without a
# parameter for the model's name, a text that says ${parameters.model} is refused and not filled in.
SEARCH = Form(
    user="template",
    action={"request_body": '{ "input": ${parameters.texts}, "model": "%s" }'},
    predict=ML + "/models/{}/_predict",
    texts="texts",
)
NEURAL = Form(
    user="neural",
    action={
        "request_body": '{ "input": ${parameters.input}, "model": "%s" }',
        "pre_process_function": "connector.pre_process.openai.embedding",
        "post_process_function": "connector.post_process.openai.embedding",
    },
    predict=ML + "/_predict/text_embedding/{}",
    texts="text_docs",
)


def connector_body(name: str, form: Form, endpoint: Endpoint) -> Json:
    headers = {"Content-Type": "application/json"}
    if endpoint.key is not None:
        headers["Authorization"] = "Bearer ${credential.key}"
    action = {**form.action, "request_body": form.action["request_body"] % endpoint.model}
    return {
        "name": name,
        "description": "Has texts of searches encoded, made by sorce",
        "version": "1",
        "protocol": "http",
        # It may not be empty, and is encrypted; without a key no header refers to it.
        "credential": {"key": endpoint.key or "none"},
        # Written out, since the time-outs' defaults are 30,000 seconds from 2.15 to 3.3.
        "client_config": {"max_connection": 30, "connection_timeout": 5, "read_timeout": 30},
        "actions": [
            {"action_type": "predict", "method": "POST", "url": endpoint.url, "headers": headers, **action},
        ],
    }


def call(model: Json) -> Json:
    """What a model's own connector calls; empty where it has none, since sorce did not make it."""
    found: Json = model.get("connector", {}).get("actions", [{}])[0]
    return found


class MlCommons:
    """What sorce asks of ML Commons."""

    def __init__(self, client: OpenSearch) -> None:
        self._client = client

    def find(self, kind: str, name: str | None = None) -> dict[str, Json]:
        """All `connectors`, `models` or `model_groups`, or those of this name: id to source."""
        query: Json = {"match_all": {}} if name is None else {"term": {"name.keyword": name}}
        try:
            found = self._ask("POST", f"{kind}/_search", {"size": 1000, "query": query})
        except exceptions.NotFoundError:
            return {}
        return {hit["_id"]: hit["_source"] for hit in found["hits"]["hits"]}

    def create_group(self, name: str, description: str) -> str:
        body = {"name": name, "description": description}
        return str(self._ask("POST", "model_groups/_register", body)["model_group_id"])

    def deploy(self, name: str, connector: Json, group: str) -> str:
        """The id of a new model, deployed. Raises PluginError."""
        # The connector lies in the model. As a document of its own it would outlive it: up to 3.6 at least, it counts
        # as used, and cannot be deleted, while any model's connector shares a word of its id, and a hyphen parts words.
        body = {"name": name, "function_name": "remote", "connector": connector, "model_group_id": group}
        model = str(self._finished(self._register(body), name)["model_id"])
        self._deployed(model, name)
        return model

    def _register(self, body: Json) -> str:
        """The id of the task."""
        path = "models/_register?deploy=true"
        try:
            answer = self._ask("POST", path, body, ANSWER_SECONDS)
        except exceptions.ConnectionTimeout:
            # 2.19 makes its key for credentials when the first of them comes; if that is in a model, it never answers.
            answer = self._ask("POST", path, body)
        return str(answer["task_id"])

    def embed_texts(self, form: Form, model: str, texts: Sequence[str]) -> Vector:
        """Vectors as the cluster gets them from the model. Raises PluginError."""
        given: Json = {form.texts: list(texts)}
        body = {"parameters": given} if form is SEARCH else {**given, "return_number": True}
        try:
            answer = self._client.transport.perform_request("POST", form.predict.format(model), body=body)
        except exceptions.TransportError as error:
            raise PluginError(f"the cluster cannot have texts encoded: {reason(error)}.") from error
        outputs = answer["inference_results"][0]["output"]
        if form is SEARCH:
            return np.array([item["embedding"] for item in outputs[0]["dataAsMap"]["data"]], np.float32)
        return np.array([output["data"] for output in outputs], np.float32)

    def addresses(self) -> list[str]:
        """What the cluster's connectors call, whoever made them."""
        inside = [source["connector"] for source in self.find("models").values() if "connector" in source]
        found = [*self.find("connectors").values(), *inside]
        return [_filled_in(connector, action["url"]) for connector in found for action in connector.get("actions", ())]

    def delete(self, names: Sequence[str], keep: Sequence[str] = ()) -> None:
        """Deletes the models of these names but those to keep."""
        for name in names:
            for model in self.find("models", name).keys() - set(keep):
                self.delete_model(model)

    def delete_model(self, model: str) -> None:
        # Undeployed again at each try: a deployment that was under way may end after the first.
        self._patiently(("POST", f"models/{model}/_undeploy"), ("DELETE", f"models/{model}"))

    def delete_group(self, group: str) -> None:
        self._patiently(("DELETE", f"model_groups/{group}"))

    def _finished(self, task: str, name: str) -> Json:
        deadline = time.monotonic() + DEPLOY_SECONDS
        while time.monotonic() < deadline:
            state: Json = self._ask("GET", f"tasks/{task}")
            if state["state"] == "COMPLETED":
                return state
            if state["state"] in ("FAILED", "COMPLETED_WITH_ERROR"):
                raise PluginError(f"model '{name}' cannot be deployed: {state.get('error')}.")
            time.sleep(POLL_SECONDS)
        raise PluginError(f"model '{name}' was not registered within {DEPLOY_SECONDS} s; see the cluster's log.")

    def _deployed(self, model: str, name: str) -> None:
        """The task is complete before the model is deployed."""
        deadline = time.monotonic() + DEPLOY_SECONDS
        while time.monotonic() < deadline:
            found = self._ask("GET", f"models/{model}")
            if found.get("is_hidden"):
                self.delete_model(model)
                raise PluginError(
                    f"model '{name}' is hidden from all others, as is each made with the owner's certificate; "
                    "ask as a user with the install role."
                )
            state = found["model_state"]
            if state == "DEPLOYED":
                return
            if state == "DEPLOY_FAILED":
                raise PluginError(f"model '{name}' cannot be deployed; see the cluster's log.")
            time.sleep(POLL_SECONDS)
        raise PluginError(f"model '{name}' was not deployed within {DEPLOY_SECONDS} s; see the cluster's log.")

    def _patiently(self, *requests: tuple[str, str]) -> None:
        """A model may count as deployed for a moment after that has ended."""
        deadline = time.monotonic() + DEPLOY_SECONDS
        while True:
            try:
                for method, path in requests:
                    self._ask(method, path, {} if method == "POST" else None)
                return
            except exceptions.NotFoundError:
                return
            except exceptions.TransportError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)

    def _ask(self, method: str, path: str, body: Json | None = None, seconds: float | None = None) -> Any:
        params = {} if seconds is None else {"request_timeout": seconds}
        return self._client.transport.perform_request(method, f"{ML}/{path}", params=params, body=body)


def _filled_in(connector: Json, url: str) -> str:
    for name, value in connector.get("parameters", {}).items():
        url = url.replace(f"${{parameters.{name}}}", str(value))
    return url
