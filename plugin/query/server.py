"""Search with texts encoded by the cluster, using the template and pipeline made by `sorce plugin install`."""

from __future__ import annotations

import json
from dataclasses import replace

from opensearchpy import OpenSearch, exceptions

from sorce.cluster import reason
from sorce.errors import PluginError, QueryError
from sorce.mappings import Hits
from sorce.mappings.answer import OtherRanking, read_hits
from sorce.mappings.found import FoundIndex
from sorce.mappings.names import Names
from sorce.mappings.option import options_of
from sorce.mappings.query import Json, Query
from sorce.mappings.ranking import PRODUCT, ranking
from sorce.mappings.regions import WHOLE, by_photo_ids, read_vectors, vectors_body
from sorce.mappings.request import SearchRequest
from sorce.mappings.selection import regions_of
from sorce.plugin.cluster.template import NOTS, PHRASES
from sorce.plugin.query.asking import send
from sorce.plugin.query.folding import folded
from sorce.plugin.query.following import Following
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

    def _hits(self, request: SearchRequest) -> Hits:
        """Raises PluginError if nothing is installed for the index, or it was installed by an older sorce."""
        query = text_query(self.found, request if self._second is None else with_enough(request, self._second.most))
        try:
            hits = self._read(query)
        except OtherRanking as error:
            raise PluginError(
                f"what is installed for '{self.found.asked}' is of an older sorce and ranks by similarity alone; run "
                f"`sorce plugin install --index {self.found.asked} --encoder URL` again, or search with --client."
            ) from error
        unproved = query.ranking.rank == PRODUCT and not query.request.exact
        skipped = request.start - query.request.start
        first = tuple(replace(hit, unproved=unproved) for hit in hits[skipped : skipped + request.size])
        return self._folded(replace(hits, found=first), request)

    def _folded(self, hits: Hits, request: SearchRequest) -> Hits:
        """One more request: the template's answer has no vectors."""
        if request.fold is None or len(hits) < 2:
            return hits
        ids = [hit.photo_id for hit in hits]
        answer = self._ask(vectors_body(by_photo_ids(ids), WHOLE, len(ids)), request.allow_partial)
        return folded(hits, read_vectors(answer), request.fold)

    def _read(self, query: Query) -> Hits:
        names, given, partial = Names(self.found.asked), params(query), query.request.allow_partial
        if self._second is None:
            return read_hits(self._send(names.search, given, partial), query)
        more = self._second.params(query.request)
        answer, seen = split_answer(self._send(names.located, {**given, **more}, partial))
        return with_seen(read_hits(answer, query), seen, self.found.asked, query.request.start)

    def _send(self, name: str, params: Json, allow_partial: bool) -> Json:
        index = self.found.asked
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
            raise
        self._refuse_moved(answer)
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
