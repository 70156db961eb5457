"""The page in Chromium: from typing to hits and to pictures, and what the browser holds after many hits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from figures import Line, at_least, at_most
from page_server import PageBench, memory_while
from timing import Ask, milliseconds

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--enable-precise-memory-info"]
QUERIES, SKIPPED = 30, 3
FEW, MANY = 200, 1000

DOWN = "() => { scrollTo(0, document.documentElement.scrollHeight); document.querySelector('#more')?.click(); }"
SEARCH = """async text => {
  const settled = (find) => new Promise((resolve, reject) => {
    const end = performance.now() + 60000;
    const look = () => {
      if (find()) resolve(performance.now());
      else if (performance.now() > end) reject(new Error('nothing came'));
      else setTimeout(look, 2);
    };
    look();
  });
  const input = document.querySelector('#terms input');
  for (const tile of document.querySelectorAll('#grid [data-id]')) tile.dataset.old = 'yes';
  const started = performance.now();
  input.value = text;
  input.dispatchEvent(new Event('input', {bubbles: true}));
  document.querySelector('#search').requestSubmit();
  const isNew = (tile) => !tile.dataset.old;
  const tiles = () => [...document.querySelectorAll('#grid [data-id]')];
  const hits = await settled(() => tiles().some(isNew)) - started;
  const top = (tile) => tile.getBoundingClientRect().top;
  const row = () => tiles().filter((tile) => Math.abs(top(tile) - top(tiles()[0])) < 2);
  const shown = (tile) => [...tile.querySelectorAll('img')].some((img) => img.complete && img.naturalWidth > 0);
  const pictures = await settled(() => row().length > 0 && row().every(shown)) - started;
  return [hits, pictures];
}"""


def missing() -> str | None:
    """What is not here for a browser; None if all is."""
    if find_spec("playwright") is None:
        return "the package playwright is not installed (pip install 'sorce[browser]')"
    return None if CHROMIUM.exists() else f"there is no {CHROMIUM}"


def measures(bench: PageBench, by_server: Ask) -> Iterator[Line]:
    """`by_server` makes the request of `--server` for the text with a number."""
    with browser() as page:
        yield from times(page, bench, by_server)
        yield from held(page, bench)
        yield from zoomed(page, bench)


@contextmanager
def browser() -> Iterator[Any]:
    # Imported by name: a type checker need not have it.
    with import_module("playwright.sync_api").sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        try:
            yield started.new_page(viewport={"width": 1280, "height": 800})
        finally:
            started.close()


def times(page: Any, bench: PageBench, by_server: Ask) -> Iterator[Line]:
    """Typing and the request of `--server` take turns, so that other load on the machine affects both alike."""
    page.goto(bench.url)
    page.wait_for_selector("#terms input")
    pending: set[Any] = set()
    page.on("request", lambda request: pending.add(request))
    for done in ("requestfinished", "requestfailed"):
        page.on(done, lambda request: pending.discard(request))

    def turn(number: int) -> list[float]:
        hits, pictures = page.evaluate(SEARCH, bench.texts[number])
        # What the page still loads would slow the request.
        while pending:
            page.wait_for_timeout(20)
        return [hits, pictures, milliseconds(by_server, number)]

    rounds = [np.array([turn(number) for number in range(QUERIES + SKIPPED)])[SKIPPED:] for _ in range(2)]
    hits, _, reference = np.median(rounds[1], axis=0).tolist()
    note = f"{hits:.0f} ms / {reference:.0f} ms"
    yield at_most("page: from typing to hits / request of --server (p50)", hits / reference, 2, note)
    for name, each in zip(("cold", "cached"), rounds, strict=True):
        hits, pictures, _ = np.median(each, axis=0).tolist()
        line = f"page: first row of thumbnails, {name}, p50 ms"
        if name == "cold":
            yield Line(line, pictures, note=f"hits after {hits:.0f} ms")
        else:
            yield at_most(line, pictures, 1.5 * hits + 300, f"hits after {hits:.0f} ms")


def held(page: Any, bench: PageBench) -> Iterator[Line]:
    """The heap of JavaScript and the nodes of the document after a few and after many hits."""
    # Not folded: the photos show few scenes, so that folding would leave fewer than MANY.
    page.goto(f"{bench.url}/?fold=off&q={bench.texts[0].replace(' ', '+')}")
    page.wait_for_selector("#status b")
    found = {}
    for wanted in (FEW, MANY):
        for _ in range(200):
            if loaded(page) >= wanted:
                break
            page.evaluate(DOWN)
            page.wait_for_timeout(100)
        found[wanted] = (loaded(page), *metrics(page))
    for place, name in ((1, "heap of JavaScript"), (2, "nodes of the document")):
        ratio = found[MANY][place] / found[FEW][place]
        note = f"{found[FEW][place]:,.0f} after {found[FEW][0]} hits, {found[MANY][place]:,.0f} after {found[MANY][0]}"
        yield at_most(f"page: {name}, {MANY} hits / {FEW}", ratio, 1.2, note)
    yield at_least("page: hits that were loaded", found[MANY][0], MANY)


def loaded(page: Any) -> int:
    """How many hits the page has, as it says above them: "The first 1,000 photos"."""
    return int("".join(each for each in page.locator("#status b").inner_text() if each.isdigit()) or 0)


def metrics(page: Any) -> tuple[float, float]:
    session = page.context.new_cdp_session(page)
    for command in ("HeapProfiler.enable", "HeapProfiler.collectGarbage", "Performance.enable"):
        session.send(command)
    found = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    session.detach()
    return found["JSHeapUsedSize"], found["Nodes"]


def zoomed(page: Any, bench: PageBench) -> Iterator[Line]:
    """A huge photo is opened by its link and zoomed until the browser asks for tiles of its own pixels."""
    top = page.request.get(f"{bench.url}/tiles/{bench.huge}.json").json()["max_level"]
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    def to_the_pixels() -> None:
        page.goto(f"{bench.url}/?photo={bench.huge}&q={bench.texts[0].replace(' ', '+')}")
        page.wait_for_function("() => performance.getEntriesByType('resource').some(e => e.name.includes('/tiles/'))")
        page.mouse.move(640, 400)
        for _ in range(100):
            if any(f"/tiles/{bench.huge}/{top}/" in url for url in asked):
                return
            page.mouse.wheel(0, -400)
            page.wait_for_timeout(100)

    _, most, seconds = memory_while(bench.process, to_the_pixels)
    reached = any(f"/tiles/{bench.huge}/{top}/" in url for url in asked)
    yield at_least("page: a huge photo is zoomed to its pixels", float(reached), 1, f"{seconds:.1f} s")
    yield at_most("page: memory of the server meanwhile (browser), GB", most / 1e9, 1.5)
