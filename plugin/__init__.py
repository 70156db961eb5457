"""Search: in the cluster, beside it, and in the client."""

from sorce.mappings.request import SearchRequest
from sorce.plugin.query.search import ClientSearch, Searcher
from sorce.plugin.query.server import ServerSearch

__all__ = ["ClientSearch", "SearchRequest", "Searcher", "ServerSearch"]
