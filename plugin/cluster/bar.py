"""The search pipeline for the query bar of OpenSearch Dashboards: what a user types there is the text to search for.

Dashboards puts a text in Lucene's language into a panel's query as a `query_string`. The pipeline finds the first one,
wherever it stands, encodes its text, and offers the vector to the panel's `template` query as `BAR_VECTOR`.
"""

from __future__ import annotations

from opensearchpy import OpenSearch

from sorce.errors import PluginError
from sorce.mappings.names import Names
from sorce.mappings.query import Json
from sorce.plugin.cluster.installed import get_pipeline

BAR_VECTOR = "ext.ml_inference.params.text"
"""What a panel's query refers to as `${...}`: the vector of the first `query_string` in it."""


def bar_pipeline(model_id: str) -> Json:
    """The pipeline, given the model that the template's pipeline uses."""
    encode = {
        "model_id": model_id,
        # The path matches every `query_string`, in the order of the request, so the result is a list: the model's
        # connector takes a list of texts. The panel itself has one as the last, so the list is never empty.
        "input_map": [{"texts": "$.query..query_string.query"}],
        "output_map": [{BAR_VECTOR: "data[0].embedding"}],
    }
    return {"request_processors": [{"ml_inference": encode}]}


def put_bar(client: OpenSearch, names: Names, model_id: str) -> None:
    client.search_pipeline.put(id=names.bar, body=bar_pipeline(model_id))


def refuse_other_bar(client: OpenSearch, names: Names, model_id: str) -> None:
    """Raises PluginError unless the cluster holds this pipeline with this model."""
    if get_pipeline(client, names.bar) != bar_pipeline(model_id):
        raise PluginError(
            f"the pipeline '{names.bar}' for the query bar of OpenSearch Dashboards is missing or another one; run "
            f"`sorce plugin install --index {names.index} --encoder URL` again."
        )
