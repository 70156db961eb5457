"""The second stage in the cluster: a search pipeline that has the hits looked at again, and orders them by that.

The pipeline encodes the texts like the template's own pipeline. Its response processors then send all hits to a
localiser service in one call (`POST /v1/locate`), write what it saw into each hit's `_source.located`, and order the
hits by `located.score`. If the localiser fails, the hits keep their order and have no `located`.

`ml_inference` gives each hit its own result only if there are as many results as hits. Otherwise it would write all
results into every hit. It cannot be told to refuse them. So the answer must say how many photos were asked for, and
the model's interface refuses any answer whose number of results differs, or that has a score that is not a number.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

from opensearchpy import OpenSearch, exceptions

from sorce.cluster import reason, version
from sorce.errors import PluginError
from sorce.mappings.found import FoundIndex
from sorce.mappings.names import Names
from sorce.plugin.cluster.allow_list import AllowList
from sorce.plugin.cluster.endpoint import Endpoint
from sorce.plugin.cluster.installed import get_pipeline
from sorce.plugin.cluster.ml_commons import Form, Json, MlCommons, call, connector_body
from sorce.plugin.cluster.record import INSTALLED, INSTALLING, LEAVING, Record, parse_record
from sorce.plugin.cluster.template import GIVEN_IN_REQUEST, LOCATED, template

READ_SECONDS = 50
"""How long the cluster waits for the localiser: less than a client waits for the cluster."""

RERANK = "rerank"
"""The type of the processor that orders the hits, of the plugin neural-search."""

MAX_PHOTOS = 200
"""Maximum number of hits that the localiser is asked about in one call."""

FORM = Form(
    user="located",
    action={
        "request_body": '{ "uris": ${parameters.uris}, "ids": ${parameters.ids}, "texts": ${parameters.texts}, '
        '"params": ${parameters.params}, "model": %s }'
    },
)

PROBE: Json = {"uris": [], "ids": [], "texts": ["a photo"], "params": {}}
"""A call that any localiser answers at once: no photos."""


def install_located(client: OpenSearch, there: FoundIndex, endpoint: Endpoint) -> None:
    """Lets the cluster have the hits of this index looked at again. A second run repairs what is missing.

    `install` must have run before for the index. A new model is tested before it is used. Raises PluginError.
    """
    refuse_without_processors(client, there.asked)
    names, ml = Names(there.asked), MlCommons(client)
    trust = AllowList(client, [names.located])
    record = trust.record(endpoint)
    _put(client, names, replace(record, state=INSTALLING), _processors(get_pipeline(client, names.located) or {}))
    trust.add(endpoint)
    model = _working(ml, names, endpoint) or _new(ml, names, endpoint)
    _put_template(client, there)
    _put_pipeline(client, names, record, model)
    for other in ml.find("models", names.located).keys() - {model}:
        ml.delete_model(other)
    left = trust.tidy(record)
    _put_pipeline(client, names, replace(record, added=left, state=INSTALLED), model)


def refresh_located(client: OpenSearch, there: FoundIndex) -> None:
    """After an install with a new encoder: the pipeline of the second stage, if there is one, uses it, too."""
    names = Names(there.asked)
    record, model = parse_record(get_pipeline(client, names.located) or {}), located_model(client, names)
    if record is not None and model is not None:
        _put_template(client, there)
        _put_pipeline(client, names, record, model)


def uninstall_located(client: OpenSearch, names: Names) -> None:
    """Removes what `install_located` made, if anything."""
    ml = MlCommons(client)
    found = get_pipeline(client, names.located)
    record = parse_record(found or {})
    if record is not None:
        # Without processors first: OpenSearch does not delete a model that a pipeline names.
        _put(client, names, replace(record, state=LEAVING), {})
    with suppress(exceptions.NotFoundError):
        client.delete_script(id=names.located)
    for model in ml.find("models", names.located):
        ml.delete_model(model)
    if record is not None:
        AllowList(client, [names.located]).tidy(record)
    if found is not None:
        # Last, because it holds the record: an interrupted uninstall can be run again.
        with suppress(exceptions.NotFoundError):
            client.search_pipeline.delete(id=names.located)


def located_model(client: OpenSearch, names: Names) -> str | None:
    """The id of the model that the pipeline of the second stage calls; None if there is none."""
    processors = (get_pipeline(client, names.located) or {}).get("response_processors", [])
    return next((each["ml_inference"]["model_id"] for each in processors if "ml_inference" in each), None)


def located_pipeline(encoding: Json, model: str) -> Json:
    """The pipeline that encodes like `encoding`, and has the hits looked at by the model."""
    look = {
        "model_id": model,
        "function_name": "remote",
        "one_to_one": False,
        "ignore_missing": True,
        "ignore_failure": True,
        "override": True,
        "input_map": [
            {
                "uris": "uri",
                "ids": "photo_id",
                "texts": "$._request.ext.ml_inference.params.texts",
                "params": GIVEN_IN_REQUEST,
            }
        ],
        # Objects, not `located.score`: that would be one key with a dot in it, which `rerank` does not find.
        "output_map": [{"located": "$.results"}],
    }
    order = {"by_field": {"target_field": "located.score", "keep_previous_score": True}, "ignore_failure": True}
    return {**encoding, "response_processors": [{"ml_inference": look}, {RERANK: order}]}


def refuse_without_processors(client: OpenSearch, index: str) -> None:
    """Raises PluginError, with the missing type of processor, if this OpenSearch cannot run the pipeline.

    It runs it for a search without hits, which needs no more than the right to search.
    """
    try:
        client.search(index=index, body={"size": 0, "search_pipeline": located_pipeline({}, "none")})
    except exceptions.RequestError as error:
        raise PluginError(
            f"this OpenSearch cannot order hits by what a localiser saw ({reason(error)}); it needs 2.18 or newer "
            "with the plugins ML Commons and neural-search."
        ) from error


def refuse_bad_localiser(client: OpenSearch, model: str) -> None:
    """Raises PluginError unless the cluster can call the localiser, and its answer has the right form."""
    try:
        answer = client.plugins.ml.predict_model(model_id=model, body={"parameters": PROBE})
        [found] = answer["inference_results"][0]["output"]
        right = found["dataAsMap"] == {"asked": 0, "results": []}
    except exceptions.TransportError as error:
        raise PluginError(f"the cluster's call to the localiser failed: {reason(error)}.") from error
    except (KeyError, IndexError, TypeError, ValueError):
        right = False
    if not right:
        raise PluginError(
            "the service at the localiser's address is not a localiser; start one with `sorce serve --locate`."
        )


def _connector(names: Names, endpoint: Endpoint) -> Json:
    body = connector_body(names.located, FORM, endpoint)
    body["description"] = "Has the hits of searches looked at again, made by sorce"
    body["client_config"]["read_timeout"] = READ_SECONDS
    return body


def _interface() -> Json:
    """JSON schema of the localiser's answer. A schema cannot compare two numbers, so it lists all pairs."""
    box = {"type": ["array", "null"], "items": {"type": "number"}, "minItems": 4, "maxItems": 4}
    result = {"type": "object", "properties": {"score": {"type": "number"}, "box": box}, "required": ["score", "box"]}
    pairs = [
        {"properties": {"asked": {"const": n}, "results": {"minItems": n, "maxItems": n}}}
        for n in range(MAX_PHOTOS + 1)
    ]
    said = _object(asked={"type": "integer"}, results={"type": "array", "items": result}) | {"anyOf": pairs}
    outputs = _object(output={"type": "array", "items": _object(dataAsMap=said)})
    return {"output": json.dumps(_object(inference_results={"type": "array", "items": outputs}))}


def _object(**fields: Any) -> Json:
    return {"type": "object", "properties": fields, "required": list(fields)}


def _working(ml: MlCommons, names: Names, endpoint: Endpoint) -> str | None:
    wanted = _connector(names, endpoint)
    for model, source in ml.find("models", names.located).items():
        there = source.get("connector", {})
        same = all(call(source).get(key) == value for key, value in wanted["actions"][0].items())
        if same and there.get("client_config", {}).get("read_timeout") == READ_SECONDS:
            with suppress(PluginError):
                refuse_bad_localiser(ml.client, model)
                return model
    return None


def _new(ml: MlCommons, names: Names, endpoint: Endpoint) -> str:
    group = next(iter(ml.find("model_groups", names.search)))
    model = ml.deploy(names.located, _connector(names, endpoint), group, interface=_interface())
    try:
        refuse_bad_localiser(ml.client, model)
    except PluginError:
        ml.delete_model(model)
        raise
    return model


def _put_template(client: OpenSearch, there: FoundIndex) -> None:
    source = template(version(client), there.recipe, LOCATED, is_compressed=there.is_compressed)
    client.put_script(id=Names(there.asked).located, body={"script": {"lang": "mustache", "source": source}})


def _put_pipeline(client: OpenSearch, names: Names, record: Record, model: str) -> None:
    encoding = get_pipeline(client, names.search)
    if encoding is None:
        raise PluginError(f"pipeline '{names.search}' is gone; run `sorce plugin install` again.")
    _put(client, names, record, located_pipeline(encoding, model))


def _put(client: OpenSearch, names: Names, record: Record, processors: Json) -> None:
    client.search_pipeline.put(
        id=names.located, body={"request_processors": [], **processors, "description": record.description()}
    )


def _processors(found: Json) -> Json:
    return {name: value for name, value in found.items() if name.endswith("_processors")}
