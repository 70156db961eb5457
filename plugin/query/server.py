"""Search with texts encoded by the cluster, using the template and pipeline made by `sorce plugin install`."""

from __future__ import annotations

import json
from dataclasses import replace

from opensearchpy import OpenSearch, exceptions

from sorce.cluster import reason
from sorce.errors import PluginError, QueryError
from sorce.mappings import Hits, Vector
from sorce.mappings.answer import OtherRanking, read_hits
from sorce.mappings.found import FoundIndex
from sorce.mappings.names import Names
from sorce.mappings.option import options_of
from sorce.mappings.query import Json, Query
from sorce.mappings.ranking import PRODUCT, ranking
from sorce.mappings.regions import VECTOR, read_vectors
from sorce.mappings.request import SearchRequest
from sorce.mappings.selection import regions_of
from sorce.plugin.cluster.template import NOTS, PHRASES, UNKNOWN_PARAMETER, VECTORS
from sorce.plugin.query.asking import send
from sorce.plugin.query.folding import folded
from sorce.plugin.query.following import Following, refuse_moved
from sorce.plugin.query.locating import with_enough
from sorce.plugin.query.search import bound_to
from sorce.plugin.query.server_locating import ServerStage, split_answer, with_seen

# ML Commons replaces text like this before it calls the encoder, even in a user's text.
FILLED_IN = "${parameters"
# It is lost next to another control character. No other Unicode character is lost (tested on 3.6.0).
LOST = "\x7f"


class ServerSearch(Following):
    """Lets the cluster encode the texts, and with a second stage also look at the first hits again.

    With ranking by product, hits come only from the candidates given by `k`, and their order is not proved.
    """

    def __init__(self, client: OpenSearch, index: str | FoundIndex, second: ServerStage | None = None) -> None:
        """`index` is a name, or the result of its look-up. Raises IndexMissing."""
        super().__init__(client, index)
        self._second = second

    def _hits(self, request: SearchRequest, found: FoundIndex) -> Hits:
        """Raises PluginError if nothing is installed for the index, or it was installed by an older sorce."""
        query = text_query(found, request if self._second is None else with_enough(request, self._second.most))
        try:
            hits, wholes = self._read(query, found)
        except OtherRanking as error:
            raise self._older("ranks by similarity alone") from error
        unproved = query.ranking.rank == PRODUCT and not query.request.exact
        hits = replace(hits, found=tuple(replace(hit, unproved=unproved) for hit in hits))
        if request.fold is not None:
            # Before the cut: a near-duplicate on a later page stands under its best hit. Unlike the client, the cluster
            # has looked at near-duplicates, too.
            hits = folded(hits, wholes, request.fold)
        skipped = request.start - query.request.start
        return replace(hits, found=hits.found[skipped : skipped + request.size])

    def _older(self, lack: str) -> PluginError:
        index = self.found.asked
        return PluginError(
            f"what is installed for '{index}' is of an older sorce and {lack}; run `sorce plugin install --index "
            f"{index} --encoder URL` again, or search with --client."
        )

    def _read(self, query: Query, found: FoundIndex) -> tuple[Hits, dict[str, Vector | None]]:
        """The hits, and the vectors of their whole photos, if they are to be folded."""
        names, given, request = Names(found.asked), params(query), query.request
        if request.fold is not None:
            given[VECTORS] = True
        if self._second is None:
            answer = self._send(found, names.search, given, request.allow_partial)
            hits = read_hits(answer, query)
        else:
            more = self._second.params(request)
            answer, seen = split_answer(self._send(found, names.located, {**given, **more}, request.allow_partial))
            hits = with_seen(read_hits(answer, query), seen, found.asked, request.start)
        return hits, self._wholes(answer, request)

    def _wholes(self, answer: Json, request: SearchRequest) -> dict[str, Vector | None]:
        if request.fold is None:
            return {}
        # The template of 0.1.0 passes over parameters that it does not know.
        if any(VECTOR not in hit["inner_hits"] for hit in answer["hits"]["hits"]):
            raise self._older("shows no vectors by which near-duplicates are found")
        return read_vectors(answer)

    def _send(self, found: FoundIndex, name: str, params: Json, allow_partial: bool) -> Json:
        index = found.asked
        try:
            body = {"id": name, "params": params}
            answer: Json = send(self.client, index, "_search/template", body, {"search_pipeline": name}, allow_partial)
        except exceptions.TransportError as error:
            if error.error == "resource_not_found_exception" or "is not defined" in reason(error):
                what, more = ("encode searches", "") if self._second is None else ("look again at photos", " --locate")
                raise PluginError(
                    f"nothing is installed in the cluster to {what} of '{index}'; run "
                    f"`sorce plugin install --index {index} --encoder URL{more}`, or search with --client."
                ) from error
            if UNKNOWN_PARAMETER in str(error.info):
                raise self._older("does not know all parameters of this one") from error
            raise
        refuse_moved(answer, found)
        return answer


def text_query(found: FoundIndex, request: SearchRequest) -> Query:
    """The query with texts in place of the client's vectors. Raises QueryError."""
    if request.like or request.not_like:
        raise QueryError("the cluster encodes texts only; search by an example with --client.")
    regions = regions_of(found)
    request.filter.check(regions, found.asked)
    by = ranking(found.recipe, request.rank, request.debias)
    clauses = request.filter.clauses(regions)
    return Query(bound_to(request, found), request.phrases, request.nots, clauses, by, found.recipe.hash)


def params(query: Query) -> Json:
    """The query as parameters of the stored template, with texts in place of vectors. Raises QueryError."""
    request = query.request
    if any(FILLED_IN in text for text in request.texts):
        raise QueryError(f"the cluster would fill in what follows '{FILLED_IN}' in a text; search with --client.")
    if any(LOST in text for text in request.texts):
        raise QueryError("the cluster would lose the character DEL (U+007F) of a text; search with --client.")
    if "${" in json.dumps(query.clauses):
        raise QueryError("the cluster would fill in what follows '${' in a condition; search with --client.")
    named = dict(zip(PHRASES, request.phrases, strict=False)) | dict(zip(NOTS, request.nots, strict=False))
    given = {each.name: getattr(request, each.name) for each, said in options_of(request) if said.in_template}
    # The client's own defaults depend on more than the template can see.
    given |= {"boxes": request.boxes_to_fetch, "k": query.candidates, "ef_search": request.width}
    if query.ranking.is_plain:
        del given["rank"], given["debias"]
    # Templates of an older sorce do not know it.
    given["start"] = request.start or None
    given["debias"] = given.get("debias") or None
    given["filter"] = query.clauses or None
    return {**named, **{name: value for name, value in given.items() if value is not None}}
