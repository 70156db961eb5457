"""Remote models of ML Commons, by name, each with its own internal connector."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from opensearchpy import OpenSearch, exceptions

from sorce.cluster import reason
from sorce.errors import PluginError
from sorce.mappings import Vector
from sorce.mappings.names import User
from sorce.plugin.cluster.endpoint import Endpoint

DEPLOY_SECONDS = 60
POLL_SECONDS = 0.2
ANSWER_SECONDS = 10
MAX_FOUND = 10_000
"""As many as one OpenSearch search returns."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Form:
    """The form of a connector's call. The two users of a model, search pipeline and `neural`, need different ones."""

    user: User
    action: Json


# No pre-processing: the texts are written into the body unchanged, which is also correct for quotes. There is no
# parameter for the model's name, so a text that contains ${parameters.model} is refused and not filled in.
SEARCH = Form(
    user="template",
    action={"request_body": '{ "input": ${parameters.texts}, "model": %s }'},
)
NEURAL = Form(
    user="neural",
    action={
        "request_body": '{ "input": ${parameters.input}, "model": %s }',
        "pre_process_function": "connector.pre_process.openai.embedding",
        "post_process_function": "connector.post_process.openai.embedding",
    },
)


def connector_body(name: str, form: Form, endpoint: Endpoint) -> Json:
    headers = {"Content-Type": "application/json"}
    if endpoint.key is not None:
        headers["Authorization"] = "Bearer ${credential.key}"
    action = {**form.action, "request_body": form.action["request_body"] % json.dumps(endpoint.model)}
    return {
        "name": name,
        "description": "Has texts of searches encoded, made by sorce",
        "version": "1",
        "protocol": "http",
        # It must not be empty, and is encrypted; without a key no header refers to it.
        "credential": {"key": endpoint.key or "none"},
        # Set explicitly, because the default time-outs are 30,000 seconds from 2.15 to 3.3.
        "client_config": {"max_connection": 30, "connection_timeout": 5, "read_timeout": 30},
        "actions": [
            {"action_type": "predict", "method": "POST", "url": endpoint.url, "headers": headers, **action},
        ],
    }


def call(model: Json) -> Json:
    """What a model's own connector calls; empty if it has none, since sorce did not create it."""
    found: Json = model.get("connector", {}).get("actions", [{}])[0]
    return found


def is_form(model: Json, form: Form) -> bool:
    """Whether a model's own connector calls the encoder in this form."""
    marker = "pre_process_function"
    return bool(call(model)) and call(model).get(marker) == form.action.get(marker)


class MlCommons:
    """The ML Commons requests that sorce uses."""

    def __init__(self, client: OpenSearch) -> None:
        self.client, self._ml = client, client.plugins.ml

    def find(self, kind: str, name: str | None = None) -> dict[str, Json]:
        """All `connectors`, `models` or `model_groups`, or those with this name: id to source."""
        query: Json = {"match_all": {}} if name is None else {"term": {"name.keyword": name}}
        search = {
            "connectors": self._ml.search_connectors,
            "models": self._ml.search_models,
            "model_groups": self._ml.search_model_group,
        }[kind]
        try:
            found = search(body={"size": MAX_FOUND, "query": query})
        except exceptions.NotFoundError:
            return {}
        return {hit["_id"]: hit["_source"] for hit in found["hits"]["hits"]}

    def create_group(self, name: str, description: str) -> str:
        body = {"name": name, "description": description}
        return str(self._ml.register_model_group(body=body)["model_group_id"])

    def deploy(self, name: str, connector: Json, group: str, **more: Json) -> str:
        """The id of a new model, deployed; `more` holds other fields of the registration. Raises PluginError."""
        # The connector is inside the model. A separate connector could not be deleted with it. Up to 3.6 at least, it
        # counts as used while any model's connector shares a word of its id, and hyphens separate words.
        body = {"name": name, "function_name": "remote", "connector": connector, "model_group_id": group, **more}
        model = str(self._finished(self._register(body), name)["model_id"])
        self._deployed(model, name)
        return model

    def _register(self, body: Json) -> str:
        """The id of the registration task."""
        params = {"deploy": "true"}
        try:
            answer = self._ml.register_model(body=body, params={**params, "request_timeout": ANSWER_SECONDS})
        except exceptions.ConnectionTimeout:
            # 2.19 creates its key for credentials with the first credential; if that is inside a model, it never
            # answers.
            answer = self._ml.register_model(body=body, params=params)
        return str(answer["task_id"])

    def embed_texts(self, form: Form, model: str, texts: Sequence[str]) -> Vector:
        """Vectors as the cluster gets them from the model. Raises PluginError."""
        try:
            if form is SEARCH:
                answer = self._ml.predict_model(model_id=model, body={"parameters": {"texts": list(texts)}})
            else:
                given = {"text_docs": list(texts), "return_number": True}
                answer = self._ml.predict(algorithm_name="text_embedding", model_id=model, body=given)
        except exceptions.TransportError as error:
            raise PluginError(f"the cluster's call to the encoder failed: {reason(error)}.") from error
        outputs = answer["inference_results"][0]["output"]
        if form is SEARCH:
            return np.array([item["embedding"] for item in outputs[0]["dataAsMap"]["data"]], np.float32)
        return np.array([output["data"] for output in outputs], np.float32)

    def addresses(self) -> list[str]:
        """The addresses that the cluster's connectors call, whoever created them."""
        inside = [source["connector"] for source in self.find("models").values() if "connector" in source]
        found = [*self.find("connectors").values(), *inside]
        return [_filled_in(connector, action["url"]) for connector in found for action in connector.get("actions", ())]

    def delete_model(self, model: str) -> None:
        # Undeploy again at each try: a deployment in progress may end after the first try.
        def delete() -> None:
            self._ml.undeploy_model(model_id=model)
            self._ml.delete_model(model_id=model)

        self._retried(delete)

    def delete_group(self, group: str) -> None:
        self._retried(lambda: self._ml.delete_model_group(model_group_id=group))

    def _finished(self, task: str, name: str) -> Json:
        deadline = time.monotonic() + DEPLOY_SECONDS
        while time.monotonic() < deadline:
            state: Json = self._ml.get_task(task_id=task)
            if state["state"] == "COMPLETED":
                return state
            if state["state"] in ("FAILED", "COMPLETED_WITH_ERROR"):
                raise PluginError(f"model '{name}' cannot be deployed: {state.get('error')}.")
            time.sleep(POLL_SECONDS)
        raise PluginError(f"model '{name}' was not registered within {DEPLOY_SECONDS} s; see the cluster's log.")

    def _deployed(self, model: str, name: str) -> None:
        """Waits until the model is deployed: the task completes earlier."""
        deadline = time.monotonic() + DEPLOY_SECONDS
        while time.monotonic() < deadline:
            found = self._ml.get_model(model_id=model)
            if found.get("is_hidden"):
                self.delete_model(model)
                raise PluginError(
                    f"model '{name}' is hidden from other users, because it was made with the certificate of the "
                    "cluster's owner; run the command as a user with the role install."
                )
            state = found["model_state"]
            if state == "DEPLOYED":
                return
            if state == "DEPLOY_FAILED":
                raise PluginError(f"model '{name}' cannot be deployed; see the cluster's log.")
            time.sleep(POLL_SECONDS)
        raise PluginError(f"model '{name}' was not deployed within {DEPLOY_SECONDS} s; see the cluster's log.")

    def _retried(self, delete: Callable[[], object]) -> None:
        """Retries, because a model may still count as deployed for a moment after it is undeployed."""
        deadline = time.monotonic() + DEPLOY_SECONDS
        while True:
            try:
                delete()
                return
            except exceptions.NotFoundError:
                return
            except exceptions.AuthorizationException:
                raise
            except exceptions.TransportError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)


def _filled_in(connector: Json, url: str) -> str:
    for name, value in connector.get("parameters", {}).items():
        url = url.replace(f"${{parameters.{name}}}", str(value))
    return url
