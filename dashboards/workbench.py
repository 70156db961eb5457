"""A search configuration for the Search Relevance Workbench of OpenSearch: the stored template, as the workbench asks.

The form is that of the documentation (`PUT _plugins/_search_relevance/search_configurations`, 3.1 and newer): the query
is a JSON string, in which `%SearchText%` stands for each text of a query set. The local engines have no workbench.
"""

from __future__ import annotations

import json
from typing import Any

from opensearchpy import OpenSearch, exceptions

from sorce.errors import PluginError
from sorce.mappings.names import Names

SEARCH_TEXT = "%SearchText%"


def search_configuration(client: OpenSearch, index: str) -> dict[str, Any]:
    """The body of the request. Raises PluginError if the index has no stored template."""
    name = Names(index).search
    try:
        body = {"id": name, "params": {"text": SEARCH_TEXT}}
        rendered = client.transport.perform_request("POST", "/_render/template", body=body)["template_output"]
    except (exceptions.NotFoundError, exceptions.RequestError) as error:
        raise PluginError(
            f"there is no template '{name}'; run `sorce plugin install --index {index} --encoder URL` first."
        ) from error
    return {"name": name, "index": index, "query": json.dumps(rendered), "searchPipeline": name}
