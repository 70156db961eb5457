"""A stand-in for OpenSearch Dashboards: its saved-objects API with the answers that are documented, and its lies.

Written from `create_saved_objects.ts`, the types' strict mappings and issues 12657 and 12201. It knows only what sorce
uses. It is no proof that Dashboards shows an object: that cannot be run here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from sorce.dashboards.objects import SavedObject

Json = dict[str, Any]
Key = tuple[str, str, str]
"""Tenant, type and id."""

STRICT = {
    "dashboard": "title description hits panelsJSON optionsJSON version timeRestore timeFrom timeTo refreshInterval "
    "kibanaSavedObjectMeta",
    "visualization": "title visState uiStateJSON description version savedSearchRefName kibanaSavedObjectMeta",
    "search": "title description hits columns sort version kibanaSavedObjectMeta",
}
CHECKED = ("index-pattern", "search")
"""References to these types are checked on import."""


@dataclass
class StandIn:
    """What it holds, and how it is: `policy` is its content policy, `lies` that it writes nothing and says it did."""

    objects: dict[Key, Json] = field(default_factory=dict)
    policy: str | None = None
    external_urls: bool = False
    lies: bool = False
    unsupported: bool = False
    per_page: int = 5
    imports: int = 0

    def import_(self, tenant: str, lines: list[Json], overwrite: bool) -> tuple[int, Json]:
        keys = [(line["type"], line["id"]) for line in lines]
        if len(set(keys)) < len(keys):
            return 400, {"message": f"Non-unique import objects detected: [{keys}]"}
        succeeded = [{"type": kind, "id": name, "meta": {}} for kind, name in keys]
        errors = [error for line in lines if (error := self._error(tenant, line, keys, overwrite)) is not None]
        if not errors and not self.lies:
            self.imports += 1
            for line in lines:
                body = {**line, "updated_at": f"import {self.imports}", "migrationVersion": {line["type"]: "7.9.3"}}
                self.objects[tenant, line["type"], line["id"]] = body
        # 12657: nothing is written, and the results are still filled.
        found: Json = {"successCount": len(lines) - len(errors), "success": not errors, "successResults": succeeded}
        return 200, found | ({"errors": errors} if errors else {})

    def _error(self, tenant: str, line: Json, keys: list[tuple[str, str]], overwrite: bool) -> Json | None:
        about = {"type": line["type"], "id": line["id"]}
        if self.unsupported:
            return {**about, "error": {"type": "unsupported_type"}}
        if line["type"] in STRICT and line["attributes"].keys() - set(STRICT[line["type"]].split()):
            return {**about, "error": {"type": "unknown", "message": "strict_dynamic_mapping_exception"}}
        if not overwrite and (tenant, *about.values()) in self.objects:
            return {**about, "error": {"type": "conflict"}}
        named = [(each["type"], each["id"]) for each in line.get("references", []) if each["type"] in CHECKED]
        missing = [key for key in named if key not in keys and (tenant, *key) not in self.objects]
        if missing:
            references = [{"type": kind, "id": name} for kind, name in missing]
            return {**about, "error": {"type": "missing_references", "references": references, "blocking": []}}
        return None

    def find(self, tenant: str, kind: str, page: int, per_page: int) -> Json:
        found = [body for (owner, each, _), body in self.objects.items() if (owner, each) == (tenant, kind)]
        per_page = min(per_page, self.per_page)
        shown = found[(page - 1) * per_page : page * per_page]
        return {"page": page, "per_page": per_page, "total": len(found), "saved_objects": shown}


@contextmanager
def standing_in(there: StandIn) -> Iterator[str]:
    """Its address, with a base path."""

    class Answering(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, answer = self._answer(body)
            content = answer if isinstance(answer, str) else json.dumps(answer)
            self.send_response(status)
            if there.policy is not None:
                self.send_header("Content-Security-Policy", there.policy)
            self.send_header("Content-Length", str(len(content.encode())))
            self.end_headers()
            self.wfile.write(content.encode())

        do_GET = do_POST = do_DELETE = _handle

        def _answer(self, body: bytes) -> tuple[int, Json | str]:
            url, tenant = urlsplit(self.path), self.headers.get("securitytenant", "")
            path, query = url.path.removeprefix("/base"), parse_qs(url.query)
            if self.command != "GET" and "osd-xsrf" not in self.headers:
                return 400, {"message": "Request must contain a osd-xsrf header."}
            if path == "/app/home":
                settings = {"uiPlugins": [{"id": "visTypeVega", "config": {"enableExternalUrls": there.external_urls}}]}
                return 200, f"<osd-injected-metadata data='{json.dumps(settings).replace(chr(34), '&quot;')}'>"
            if path == "/api/saved_objects/_import":
                return self._import(tenant, body, query.get("overwrite") == ["true"])
            if path == "/api/saved_objects/_find":
                asked = {name: query[name][0] for name in ("type", "page", "per_page")}
                return 200, there.find(tenant, asked["type"], int(asked["page"]), int(asked["per_page"]))
            kind, name = (unquote(part) for part in path.removeprefix("/api/saved_objects/").split("/"))
            if (tenant, kind, name) not in there.objects:
                return 404, {"message": f"Saved object [{kind}/{name}] not found"}
            if self.command == "DELETE":
                del there.objects[tenant, kind, name]
                return 200, {}
            return 200, there.objects[tenant, kind, name]

        def _import(self, tenant: str, body: bytes, overwrite: bool) -> tuple[int, Json]:
            parts = re.search(rb'name="file"; filename="[^"]+(\.\w+)"\r\n.*?\r\n\r\n(.*)\r\n--', body, re.DOTALL)
            if parts is None or parts[1] != b".ndjson":
                return 400, {"message": "Invalid file extension"}
            return there.import_(tenant, [json.loads(line) for line in parts[2].splitlines()], overwrite)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/base"
        finally:
            server.shutdown()
            thread.join()


def bar(text: str) -> list[Json]:
    """What a text in the query bar becomes, in Lucene's language."""
    if not text:
        return [{"match_all": {}}]
    return [{"query_string": {"query": text, "analyze_wildcard": True, "time_zone": "Europe/Berlin"}}]


ALL_TIME = {"gte": "1996-11-29T00:00:00.000Z", "lte": "2026-11-29T00:00:00.000Z", "format": "strict_date_optional_time"}


def filled(body: Any, text: str = "", pills: Sequence[Json] = (), against: Sequence[Json] = ()) -> Any:
    """A Vega request as Dashboards sends it, with its placeholders filled (`opensearch_query_parser.ts`)."""
    clauses = {
        "%dashboard_context-must_clause%": bar(text),
        "%dashboard_context-filter_clause%": list(pills),
        "%dashboard_context-must_not_clause%": list(against),
    }

    def walk(value: Any) -> Any:
        if isinstance(value, list):
            parts = [clauses.get(each) if isinstance(each, str) else None for each in value]
            return [
                one
                for each, part in zip(value, parts, strict=True)
                for one in (part if part is not None else [walk(each)])
            ]
        if isinstance(value, dict):
            return {name: ALL_TIME if each == {"%timefilter%": True} else walk(each) for name, each in value.items()}
        return value

    return walk(body)


def narrowed(each: SavedObject) -> Json:
    """The query of a visualization or a saved search: that of its search source, in Lucene's language."""
    text = json.loads(each.attributes["kibanaSavedObjectMeta"]["searchSourceJSON"])["query"]
    assert text["language"] == "lucene"
    return {"query_string": {"query": text["query"], "analyze_wildcard": True}} if text["query"] else {"match_all": {}}


def _aggs(each: SavedObject) -> tuple[list[Json], list[Json]]:
    """The buckets in their order, and the metrics."""
    aggs = json.loads(each.attributes["visState"])["aggs"]
    return [a for a in aggs if a["schema"] != "metric"], [a for a in aggs if a["schema"] == "metric"]


def counting(objects: Sequence[SavedObject]) -> set[str]:
    """The parts (of `Ids`) of the visualizations that ask for aggregations."""
    states = {each.id.split("-")[1]: json.loads(each.attributes.get("visState", "{}")) for each in objects}
    return {part for part, state in states.items() if state.get("aggs") or '"aggs": ' in _spec(state)}


def _spec(state: Json) -> str:
    return str(state.get("params", {}).get("spec", ""))


def aggregated(each: SavedObject) -> Json:
    """The aggregations that Dashboards makes of those in `visState`, with an hour as the automatic interval."""
    buckets, metrics = _aggs(each)
    counted = {a["id"]: {a["type"]: {"field": a["params"]["field"]}} for a in metrics if a["type"] != "count"}
    inner: Json = counted
    for a in reversed(buckets):
        params = a["params"]
        if a["type"] == "date_histogram":
            made: Json = {"date_histogram": {"field": params["field"], "fixed_interval": "1h", "min_doc_count": 1}}
        else:
            order = params["orderBy"] if params["orderBy"] in counted else "_count"
            made = {"terms": {"field": params["field"], "size": params["size"], "order": {order: params["order"]}}}
        # Dashboards asks for the metrics at each level, by which the buckets are ordered.
        inner = {a["id"]: {**made, "aggs": {**inner, **counted}}}
    return inner


def rows(each: SavedObject, answer: Json) -> list[tuple[Any, ...]]:
    """The answer as rows: the keys of the buckets, then the metrics."""
    buckets, metrics = _aggs(each)

    def walk(level: Json, left: list[Json], keys: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        if not left:
            values = [level["doc_count"] if a["type"] == "count" else level[a["id"]]["value"] for a in metrics]
            yield (*keys, *values)
            return
        for bucket in level[left[0]["id"]]["buckets"]:
            yield from walk(bucket, left[1:], (*keys, bucket["key"]))

    return list(walk(answer, buckets, ()))
