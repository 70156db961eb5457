"""The stored search template and its search pipeline: the same search, with the text encoded by the cluster.

A request gives `text`. Optional are more phrases (`and`, `and2`, `and3`), `not` and `not2`, `filter` (a list of clauses
on `regions.*`), `vectors` (true shows those of the whole photos), and the options of `sorce.mappings.request` marked
`in_template`. The template renders it into the query of `sorce.mappings.query`, with a reference in place of each of
the client's vectors. The pipeline encodes all texts in one call and inserts the vectors.

Mustache sees neither unknown names nor the type of a value: the string "false" is true for it. So all parameters are
passed on unchanged. A script that runs on each photo found refuses parameters that are unknown or of a wrong type.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from sorce.mappings import Recipe
from sorce.mappings.option import Option, Placeholder, options_of
from sorce.mappings.query import Json, Query, Version, search_body
from sorce.mappings.ranking import NO_HUBNESS, NO_MINIMUM, SIMILARITY, Ranking
from sorce.mappings.request import CANDIDATES_OF_SEVERAL, EF_SEARCH, SearchRequest

# Single texts instead of lists: mustache has no list length, and OpenSearch's version fails beyond a list's end.
PHRASES = ("text", "and", "and2", "and3")
NOTS = ("not", "not2")
TEXTS = (*PHRASES, *NOTS)

SETTINGS: dict[str, Option] = {each.name: said for each, said in options_of(SearchRequest) if said.in_template}
"""Parameters besides the texts and `filter`."""


@dataclass(frozen=True)
class TemplateForm:
    """A stored template: its parameters besides the texts and `filter`, and what its request holds beyond the query."""

    settings: Mapping[str, Option]
    also: Json = field(default_factory=dict)

    @property
    def check(self) -> str:
        """Painless: refuses what mustache ignores."""
        return _check(self.settings)


VECTORS = "vectors"
"""The parameter that a search with `fold` gives. Whoever asks by hand expects no vectors in the answer."""

_KNOWN = SETTINGS | {VECTORS: Option("--fold", "Show the vector of each whole photo.", bool)}

PLAIN = TemplateForm(_KNOWN)

_LOCATE = Option("--locate", "How many of the first hits are looked at again.", int)
_INSTANCES = Option("--boxes", "Maximum number of the localiser's boxes per photo and phrase.", int)
_MIN_LOCATED_SCORE = Option("--min-located-score", "Least score of each of these boxes after the first.", float)

LOCATED = TemplateForm(
    _KNOWN | {"locate": _LOCATE, "instances": _INSTANCES, "min_located_score": _MIN_LOCATED_SCORE},
    # A response processor sees only what `_source` holds, and `rerank` fails without a total.
    {"_source": ["photo_id", "uri"], "track_total_hits": True},
)
"""For the pipeline of the second stage (`sorce.plugin.cluster.locate`)."""

GIVEN_IN_REQUEST = "$._request.post_filter.script.script.params.given"
"""Where a response processor finds all parameters."""

_PARAMS = "ext.ml_inference.params"

# The "not" come last in the list of texts, in reverse order: counted from the end, each has a fixed index.
_PLACES = {name: f"data[{i}].embedding" for i, name in enumerate(PHRASES)} | {
    name: f"data[-{i + 1}].embedding" for i, name in enumerate(NOTS)
}


def pipeline(model_id: str) -> Json:
    """The search pipeline that encodes the texts of a request with the model."""
    encode = {
        "model_id": model_id,
        "input_map": [{"texts": f"{_PARAMS}.texts"}],
        "output_map": [{f"{_PARAMS}.{name}": place for name, place in _PLACES.items()}],
        # With fewer texts some places stay empty, and the request does not refer to them.
        "ignore_missing": True,
    }
    return {"request_processors": [{"ml_inference": encode}]}


def template(version: Version, recipe: Recipe, form: TemplateForm = PLAIN, *, is_compressed: bool = False) -> str:
    """The mustache source of the stored template for an index of that recipe.

    `is_compressed` says that the graph's own scores are rough (`FoundIndex.is_compressed`).
    """
    # Like `default_k`, within mustache's limits: ten times the size is the size with a zero appended.
    size, several = _value("size", "10"), str(CANDIDATES_OF_SEVERAL)
    one = f"{size}0" if is_compressed else _either("rank", f"{size}0", _either("debias", f"{size}0", size))
    writer = _Writer(form.also)
    request = SearchRequest(
        PHRASES,
        NOTS,
        # As text, which OpenSearch parses as a number or refuses: unquoted, 2.19 ignores what follows "5}".
        size=writer.mark(f'"{size}"'),
        start=writer.mark('"' + _value("start", "0") + '"'),
        boxes=writer.mark(_value("boxes", "1")),
        k=writer.mark(_value("k", _either("and", several, _either("not", several, one)))),
        ef_search=writer.mark(_value("ef_search", str(EF_SEARCH))),
        min_similarity=writer.mark(_value("min_similarity", str(NO_MINIMUM))),
    )
    query = Query(request, [_vector(name) for name in PHRASES], [_vector(name) for name in NOTS])
    ranking = Ranking(
        _value("rank", SIMILARITY), writer.mark(_value("debias", "0")), recipe.matching, recipe.has_quality
    )
    filtered = replace(query, clauses=writer.mark("{{#toJson}}filter{{/toJson}}"))
    refusals = _REFUSALS + ("" if recipe.bank else _if("debias", _refusal(NO_HUBNESS)))
    given = json.dumps({"script": {"script": {"source": form.check, "params": {"given": "given"}}}})
    # Outside the query, where references would be filled in, even in a user's text. Also outside the sections below,
    # where `.` no longer means all parameters. Not `#filter`, which would render the body once per clause.
    return (
        refusals
        + '{"post_filter": '
        + given.replace('"given"}', f"{_GIVEN}}}")
        + ", "
        + _if("filter.size", writer.body(filtered, ranking, version)[1:])
        + _unless("filter", writer.body(query, ranking, version)[1:])
    )


class _Writer:
    """Writes JSON that contains mustache: a mark replaces the mustache text until the body is written."""

    def __init__(self, also: Json) -> None:
        self._marked: list[str] = []
        self._also = also

    def mark(self, text: str) -> Any:
        """A mark that may replace a value of any type."""
        self._marked.append(text)
        return Placeholder(f"@{len(self._marked) - 1}@")

    def body(self, query: Query, ranking: Ranking, version: Version) -> str:
        """The request. If `rank` or `debias` is given, its clauses are those of the ranking."""
        body = search_body(query, version) | self._also
        _, *ranked = search_body(replace(query, ranking=ranking), version)["query"]["bool"]["must"]
        clauses = body["query"]["bool"]
        proposed, *plain = clauses["must"]
        clauses["should"] = self.mark(f"[{_if(VECTORS, ','.join(map(self._write, clauses['should'])))}]")
        proposed["bool"]["should"] = self.mark(f"[{self._items(proposed['bool']['should'], PHRASES)}]")
        others = self._items(ranked, TEXTS)
        scored = _either("rank", others, _either("debias", others, self._items(plain, TEXTS)))
        clauses["must"] = self.mark(f"[{_unless('exact', f'{self._write(proposed)},')}{scored}]")
        params = {"texts": self.mark(_TEXTS)}
        return self._write({**body, "query": {"template": body["query"]}, "ext": {"ml_inference": {"params": params}}})

    def _items(self, items: Sequence[Any], names: Sequence[str]) -> str:
        """The items of a JSON list; each after the first is included only if its text is given."""
        first, *others = [self._write(item) for item in items]
        return first + "".join(_if(name, f",{item}") for name, item in zip(names[1:], others, strict=True))

    def _write(self, body: Any) -> str:
        return re.sub(r'"@(\d+)@"', lambda mark: self._marked[int(mark[1])], json.dumps(body))


def _vector(name: str) -> str:
    return f"${{{_PARAMS}.{name}}}"


def _if(name: str, then: str) -> str:
    return f"{{{{#{name}}}}}{then}{{{{/{name}}}}}"


def _unless(name: str, then: str) -> str:
    return f"{{{{^{name}}}}}{then}{{{{/{name}}}}}"


def _either(name: str, then: str, otherwise: str) -> str:
    return _if(name, then) + _unless(name, otherwise)


def _value(name: str, default: str) -> str:
    return f"{{{{{name}}}}}" + _unless(name, default)


def _refusal(sentence: str) -> str:
    """An invalid search body: OpenSearch answers 400 and quotes the sentence."""
    return json.dumps({f"sorce: {sentence}": True})


_GIVEN = "{{#toJson}}.{{/toJson}}"
"""All parameters as JSON."""

_PAINLESS = {int: ("Number", "a number"), float: ("Number", "a number"), bool: ("Boolean", "true or false")}


def _typed(names: Sequence[str], kind: str, what: str) -> str:
    """Painless: refuses a parameter of these names with another type. An empty value counts as absent."""
    known = " || ".join(f"e.getKey() == '{name}'" for name in names)
    refused = f"throw new IllegalArgumentException('sorce: ' + e.getKey() + ' must be {what}');"
    return f"if ({known}) {{ if (!(e.getValue() instanceof {kind})) {{ {refused} }} }} else "


UNKNOWN_PARAMETER = "sorce: there is no parameter "


def _check(settings: Mapping[str, Option]) -> str:
    texts = [*TEXTS, *(name for name, said in settings.items() if said.kind is str)]
    known = ", ".join((*TEXTS, "filter", *settings))
    typed = _typed(texts, "String", "one text")
    for kind in dict.fromkeys(said.kind for said in settings.values() if said.kind is not str):
        painless, what = _PAINLESS[kind]
        typed += _typed([name for name, said in settings.items() if said.kind is kind], painless, what)
    said = f"'{UNKNOWN_PARAMETER}' + e.getKey() + '; there are {known}'"
    unknown = f"if (e.getKey() != 'filter') {{ throw new IllegalArgumentException({said}); }}"
    empty = "if (e.getValue() == null || e.getValue() == '') { continue; }"
    return f"for (e in params.given.entrySet()) {{ {empty} {typed}{unknown} }} return true;"


_TEXTS = '["{{text}}"' + "".join(_if(name, f',"{{{{{name}}}}}"') for name in (*PHRASES[1:], *reversed(NOTS))) + "]"

# A parameter that is given but not understood must not be ignored silently.
_REFUSALS = (
    _unless("text", _refusal("give the parameter text"))
    + "".join(_if(f"{name}.size", _refusal(f"{name} must be one text")) for name in TEXTS)
    + "".join(
        _if(later, _unless(name, _refusal(f"{later} needs {name}")))
        for name, later in (*pairwise(PHRASES[1:]), *pairwise(NOTS))
    )
    # Mustache cannot add, so it cannot know how many candidates reach the last photo.
    + _if("start", _unless("k", _refusal("start needs k, of at least start plus size")))
    + _if("filter", _unless("filter.0", _refusal("filter must be a list of clauses")))
)
