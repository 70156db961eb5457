"""Whether the dashboards of an index will work, and which setting is missing."""

from __future__ import annotations

from opensearchpy import OpenSearch, exceptions

from sorce.dashboards.build import built
from sorce.dashboards.csp import allows_pictures
from sorce.dashboards.grid import VEGA_SETTING, image_setting
from sorce.dashboards.install import wrong_objects
from sorce.dashboards.photos import PhotosView
from sorce.dashboards.server import Dashboards
from sorce.mappings.names import Names

FILE = "opensearch_dashboards.yml"


def status(client: OpenSearch, dashboards: Dashboards, view: PhotosView) -> dict[str, str | None]:
    """For each check what is wrong; None: nothing."""
    return {
        "saved objects": _objects(dashboards, view),
        "pipeline of the query bar": _bar(client, view.found.asked),
        "pictures": _pictures(dashboards, view),
    }


def _objects(dashboards: Dashboards, view: PhotosView) -> str | None:
    found = wrong_objects(dashboards, built(view))
    wrong = [f"{kind} {name} {problem}" for (kind, name), problem in found.items() if problem is not None]
    again = f"run `sorce dashboards install --index {view.found.asked}` again"
    return f"{len(wrong)} of {len(found)}, such as {wrong[0]}; {again}." if wrong else None


def _bar(client: OpenSearch, index: str) -> str | None:
    try:
        client.search_pipeline.get(id=Names(index).bar)
    except exceptions.NotFoundError:
        return f"it is missing; run `sorce plugin install --index {index} --encoder URL` again."
    return None


def _pictures(dashboards: Dashboards, view: PhotosView) -> str | None:
    """Which lines of the configuration are missing for pictures in the panel of photos."""
    if view.thumbnails.expression is None:
        return "there are none: give --page, the address of sorce's page, or bring the photos in with --thumbnails."
    start, missing = dashboards.start_page(), []
    if view.page is not None and not allows_pictures(start.policy, dashboards.url, view.page):
        missing.append(image_setting(view.page))
    if start.external_urls is False:
        missing.append(VEGA_SETTING)
    lines = " and ".join(f"'{line}'" for line in missing)
    return f"the grid shows none until {FILE} has {lines} and Dashboards is restarted." if missing else None
