"""Answers out: in the cluster, beside it, and the client."""

from sorce.plugin.query.search import ClientSearch, Searcher, SearchRequest, ServerSearch

__all__ = ["ClientSearch", "SearchRequest", "Searcher", "ServerSearch"]
