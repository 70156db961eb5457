"""Pictures of the page, for people to look at and for the documentation: `make screenshots`.

The bundled scenes in a local OpenSearch (or the one that SORCE_TEST_URL names), light and dark, desktop and phone.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from sorce.cluster import connect, find_index
from sorce.engine import running
from sorce.index import Index
from sorce.models import load_encoder, load_model
from sorce.plugin.service import app as service
from sorce.plugin.service.page.serving import PageSetup
from sorce.plugin.service.page.settings import PageSettings
from tests.kit.chromium import chromium
from tests.kit.serving import serving
from training.scenes.bundled import FOLDER

QUERY = "?q=red+umbrella&q=kick+scooter&not=dog&boxes=1"
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}


@contextmanager
def scenes_page(folder: Path) -> Iterator[str]:
    """The address of the page over the bundled scenes."""
    shared = os.environ.get("SORCE_TEST_URL")
    if shared is None:
        with running(quick_start=True) as engine:
            yield from _page(engine, folder)
    else:
        yield from _page(shared, folder)


def _page(engine: str, cache: Path) -> Iterator[str]:
    name = f"scenes-{uuid.uuid4().hex[:6]}"
    with connect(engine) as client:
        Index(client, name, partial(load_model, "mini", "tiles", {})).ingest([FOLDER])
        client.indices.put_alias(index=name, name="scenes")
        found, encoder = find_index(client, "scenes"), load_encoder("mini")
        setup = PageSetup(PageSettings([FOLDER], cache=cache), client, [found], lambda _: encoder, lambda _: client)
        app = service.application(service.Served("mini", encoder, page=setup))
        with serving(app) as url:
            yield url
        client.indices.delete(index=name)


def take(started: Any, url: str, folder: Path, name: str, options: dict[str, Any]) -> None:
    """The hits, a photo, and the settings or the first page."""
    context = started.new_context(reduced_motion="reduce", **options)
    page = context.new_page()
    page.goto(f"{url}/{QUERY}")
    page.wait_for_selector(".picture.loaded")
    page.wait_for_load_state("networkidle")
    save(page, folder / f"{name}-hits.png")
    page.locator(".tile a.picture").first.click()
    page.wait_for_selector("#stage .box")
    page.wait_for_function("() => document.querySelector('#stage .view').complete")
    page.locator(".box-entry").first.hover()
    save(page, folder / f"{name}-photo.png")
    page.goto(url)
    page.wait_for_selector(".message")
    save(page, folder / f"{name}-start.png")
    context.close()


def save(page: Any, file: Path) -> None:
    page.screenshot(path=file)
    # For the documentation, below 200 kB.
    with Image.open(file) as shot:
        shot.save(file.with_suffix(".webp"), quality=80)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with scenes_page(folder / "cache") as url, chromium() as started:
        for scheme in ("light", "dark"):
            for device, options in (("desktop", DESKTOP), ("phone", PHONE)):
                take(started, url, folder, f"{device}-{scheme}", {**options, "color_scheme": scheme})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
