"""Renders a panel's Vega specification in Chromium as Dashboards does: its loader, its filters, its content policy.

Needs the package `playwright`, Debian's `chromium`, and from npm `vega` and the interpreter of expressions that
Dashboards uses: `.ci/browser` installs them. Written from `vega_base_view.js` and `vega_parser.ts`: answers take the
place of searches, and `sanitize` throws for every address unless `vis_type_vega.enableExternalUrls` is set. It throws
at once, not as a refused promise: so what is drawn after the first picture is not drawn at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Thread
from typing import Any

from opensearchpy import OpenSearch
from PIL import Image

from tests.kit.chromium import INTERPRETER, VEGA
from tests.kit.dashboards import filled

Json = dict[str, Any]

PAGE = (
    "<!doctype html><meta charset=utf-8><body style='margin:0'><script src=/vega.js></script>"
    "<script src=/interpreter.js></script><div id=v>"
)

RENDER = """async ([spec, external]) => {
  window.filters = [];
  window.told = [];
  if (!window.known) {
    vega.expressionFunction('opensearchDashboardsAddFilter', (clause, index) => {
      window.filters.push([clause, index]);
    });
    window.known = true;
  }
  const loader = vega.loader(), sanitize = loader.sanitize.bind(loader);
  loader.sanitize = (uri, options) => {
    if (!external) { throw new Error('External URLs are not enabled'); }
    return sanitize(uri, options);
  };
  if (window.view) { window.view.finalize(); }
  const renderer = spec.config?.kibana?.renderer === 'svg' ? 'svg' : 'canvas';
  delete spec.config?.kibana;
  const expr = vega.expressionInterpreter;
  if (!expr) { throw new Error('no interpreter'); }
  const options = {loader, renderer, container: '#v', hover: true, expr};
  const view = new vega.View(vega.parse(spec, null, {ast: true}), options);
  view.error = (...said) => window.told.push(said.join(' '));
  window.view = view;
  await view.runAsync();
  // What is drawn now are addresses: wait for the pictures, and for the frame that shows them.
  const pictures = [...document.querySelectorAll('#v svg image')].map(each => each.href.baseVal).filter(Boolean);
  await Promise.allSettled(pictures.map(src => Object.assign(new Image(), {src}).decode()));
  await new Promise(shown => requestAnimationFrame(() => requestAnimationFrame(shown)));
}"""

ITEMS = """name => {
  const found = [];
  const walk = item => {
    if (item.marktype && item.name === name) {
      found.push(...item.items.map(({x, y, width, height, text, tooltip}) => ({x, y, width, height, text, tooltip})));
    } else if (item.items) { item.items.forEach(walk); }
  };
  walk(window.view.scenegraph().root);
  return found;
}"""


@dataclass
class Pictures:
    """A server of pictures on another origin, as the page's `/thumb/{photo_id}?w=`: all of one colour.

    That of the photo `missing` is none.
    """

    url: str
    cors: bool = True
    colour: tuple[int, int, int] = (20, 160, 60)
    asked: int = 0
    missing: str | None = None


@contextmanager
def answering(answer: Any) -> Iterator[str]:
    """`answer` gives for a path the content type, the headers and the body."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, headers, body = answer(self.path)
            self.send_response(200)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def serving_pictures() -> Iterator[Pictures]:
    there = Pictures("")

    def answer(path: str) -> tuple[str, Json, bytes]:
        assert path.startswith("/thumb/"), path
        there.asked += 1
        if there.missing is not None and there.missing in path:
            return "application/json", {}, b"{}"
        file = BytesIO()
        Image.new("RGB", (200, 160), there.colour).save(file, "PNG")
        return "image/png", {"Access-Control-Allow-Origin": "*"} if there.cors else {}, file.getvalue()

    with answering(answer) as url:
        there.url = url
        yield there


class Browser:
    """One page of Chromium on the origin of "Dashboards"."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def show(self, spec: Json, *, external_urls: bool) -> None:
        self.page.evaluate(RENDER, [spec, external_urls])
        self.page.wait_for_load_state("networkidle")

    def items(self, mark: str) -> list[Json]:
        """The items of a named mark: their places in pixels, their text and their tooltip."""
        found: list[Json] = self.page.evaluate(ITEMS, mark)
        return found

    def told(self) -> list[str]:
        """What Dashboards would show as errors beside the panel."""
        found: list[str] = self.page.evaluate("window.told")
        return found

    def picture(self) -> Image.Image:
        shot: bytes = self.page.locator("#v canvas, #v svg").screenshot()
        return Image.open(BytesIO(shot)).convert("RGB")


@contextmanager
def browser(started: Any, policy: str | None = None) -> Iterator[Browser]:
    """A page on the origin of "Dashboards", which has this content policy."""

    def answer(path: str) -> tuple[str, Json, bytes]:
        if path == "/vega.js":
            return "text/javascript", {}, VEGA.read_bytes()
        if path == "/interpreter.js":
            return "text/javascript", {}, INTERPRETER.read_bytes()
        return "text/html", {} if policy is None else {"Content-Security-Policy": policy}, PAGE.encode()

    with answering(answer) as url:
        page = started.new_page(viewport={"width": 1120, "height": 960})
        page.goto(url)
        yield Browser(page)
        page.close()


def with_answers(client: OpenSearch, spec: Json, text: str = "", pills: list[Json] | None = None) -> Json:
    """The specification with the cluster's answers in place of its searches."""
    spec = json.loads(json.dumps(spec))
    for data in spec["data"]:
        if "url" in data:
            url = data.pop("url")
            data["values"] = client.search(index=url["index"], body=filled(url["body"], text, pills or []))
    return dict(spec)
