"""A search as code that is ready to paste: for a shell, for Python, and for the `sorce` command."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import quote

import orjson

from sorce.cluster import DEFAULT_URL
from sorce.errors import QueryError
from sorce.mappings import Box
from sorce.mappings.example import Example, LikePicture, LikeRegion
from sorce.mappings.filters import Filter
from sorce.mappings.found import FoundIndex
from sorce.mappings.names import Names
from sorce.mappings.option import options_of
from sorce.mappings.query import Json
from sorce.mappings.request import SearchRequest
from sorce.plugin.query.search import ClientSearch
from sorce.plugin.query.server import params, text_query

COMPLETE = {"allow_partial_search_results": "false"}
"""An answer that lacks shards is an error."""


@dataclass(frozen=True, slots=True)
class SearchCode:
    """The same search in four forms.

    `curl` is the plain nested request, with the vectors of the texts. `template` has the cluster encode the texts, and
    needs what `sorce plugin install` makes. A form that cannot hold the search is a comment with the reason.
    """

    curl: str
    python: str
    template: str
    command: str

    def as_dict(self) -> dict[str, str]:
        """As JSON."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


def search_code(request: SearchRequest, searcher: ClientSearch, locate: int = 0) -> SearchCode:
    """The search as code. `locate` of the first hits are looked at again, by Python and the command only.

    Raises QueryError.
    """
    name = searcher.found.asked
    return SearchCode(
        curl=_curl(f"{name}/_search", COMPLETE, searcher.body(request)),
        python=_python(request, name, locate),
        template=_template(request, searcher.found),
        command=_command(request, name, locate),
    )


def _curl(path: str, query: Mapping[str, str], body: Json) -> str:
    """A here-document: it needs no quoting, and a search with vectors is too long for an argument."""
    given = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    encoded = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return (
        f'curl -s "${{OPENSEARCH_URL:-{DEFAULT_URL}}}/{quote(path)}?{given}" '
        f"-H 'Content-Type: application/json' --data-binary @- <<'END'\n{encoded}\nEND\n"
    )


def _template(request: SearchRequest, found: FoundIndex) -> str:
    name = Names(found.asked).search
    try:
        body = {"id": name, "params": params(text_query(found, request))}
    except QueryError as error:
        return f"# {error}\n"
    call = _curl(f"{found.asked}/_search/template", {"search_pipeline": name, **COMPLETE}, body)
    return f"# The cluster encodes the text; `sorce plugin install` must have been run for this index.\n{call}"


def _command(request: SearchRequest, index: str, locate: int) -> str:
    words = ["sorce", "search", "--index", index]
    first, others = request.phrases[:1], request.phrases[1:]
    words += [word for text in others for word in ("--and", text)]
    words += [word for text in request.nots for word in ("--not", text)]
    for examples, negation in ((request.like, ""), (request.not_like, "not-")):
        pictures = [each for each in examples if isinstance(each, LikePicture)]
        if len(pictures) > 1 or any(not isinstance(each, LikePicture | LikeRegion) for each in examples):
            return "# the command takes one picture, and regions of the index; use the form for Python.\n"
        words += [word for each in examples for word in _like(each, negation)]
    for given in (request, request.filter):
        words += _options(given)
    if locate:
        words += ["--locate", str(locate), "--root", "."]
    # After `--`, a text may begin with a hyphen.
    words += ["--", *first] if first and first[0].startswith("-") else first
    return f"{shlex.join(words)}\n"


def _like(example: Example, negation: str) -> list[str]:
    if isinstance(example, LikeRegion):
        return [f"--{negation}like-region", f"{example.photo_id}/{example.region_id}"]
    assert isinstance(example, LikePicture)
    words, box = [f"--{negation}like", example.name], example.box
    return words if box is None else [*words, f"--{negation}box", ",".join(map(repr, box.as_tuple()))]


def _options(given: SearchRequest | Filter) -> Iterator[str]:
    """The options that are not as by default."""
    for each, said in options_of(given):
        value = getattr(given, each.name)
        if value == each.default:
            continue
        if said.kind is bool:
            yield said.flag
        else:
            for one in value if said.repeated else [value]:
                yield from (said.flag, said.written(one))


def _python(request: SearchRequest, index: str, locate: int) -> str:
    arguments = _arguments(request)
    what = repr(request.phrases[0]) if list(arguments) == ["phrases"] and len(request.phrases) == 1 else ""
    what = what or f"sorce.SearchRequest({_joined(arguments)})"
    more = f', locate={locate}, root=Path(".")' if locate else ""
    pictures = any(isinstance(each, LikePicture) for each in (*request.like, *request.not_like))
    imports = [*(["from pathlib import Path", ""] if locate else []), "import sorce"]
    imports += ["from PIL import Image"] if pictures else []
    return "\n".join(
        [
            *imports,
            "",
            f"with sorce.open_index({index!r}) as photos:",
            f"    hits = photos.search({what}{more})",
            "    for hit in hits:",
            "        print(hit.photo_id, hit.best.region_id, hit.box, hit.similarity, hit.file_name)",
            "",
        ]
    )


def _arguments(given: SearchRequest | Filter) -> dict[str, str]:
    """The fields that are not as by default, as Python."""
    found = {each.name: getattr(given, each.name) for each in fields(given)}
    unlike = type(given)("a") if isinstance(given, SearchRequest) else Filter()
    return {
        name: _value(value)
        for name, value in found.items()
        if (value if name == "phrases" else value != getattr(unlike, name))
    }


def _value(value: Any) -> str:
    if isinstance(value, Filter):
        return f"sorce.Filter({_joined(_arguments(value))})"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, LikeRegion):
        return f"sorce.LikeRegion({value.photo_id!r}, {value.region_id})"
    if isinstance(value, LikePicture):
        box = "" if value.box is None else f", {_value(value.box)}"
        return f"sorce.LikePicture(Image.open({value.name!r}){box})"
    if isinstance(value, Box):
        return f"sorce.Box({', '.join(map(repr, value.as_tuple()))})"
    if hasattr(value, "vector"):
        return f"sorce.LikeVector({[float(number) for number in value.vector]!r})"
    return repr(value)


def _joined(arguments: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in arguments.items())
