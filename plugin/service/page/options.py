"""The options of `sorce serve` for the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from sorce.options import several
from sorce.plugin.service.page.settings import (
    CACHE_MEGABYTES,
    LEAST_CACHE_MEGABYTES,
    PageSettings,
    default_cache,
)

page_options = several(
    click.option("--page", is_flag=True, help="Serve the page for searches in a browser, too, at the address itself."),
    click.option(
        "--base-path", default="", metavar="PATH", help="The path of the page behind a proxy, such as /photos."
    ),
    click.option(
        "--allow-origin",
        "allow_origins",
        multiple=True,
        metavar="ORIGIN",
        help="An origin whose pages may show the page's thumbnails, such as OpenSearch Dashboards; may be repeated.",
    ),
    click.option("--show-paths", is_flag=True, help="Let the page name the paths of files on this machine."),
    click.option(
        "--pass-credentials",
        is_flag=True,
        help="Ask the cluster as the page's user (basic or bearer), and not as the service's.",
    ),
    click.option(
        "--cache",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Where the page's pictures are kept.  [default: sorce/pictures in the user's cache]",
    ),
    click.option(
        "--cache-size",
        "cache_megabytes",
        type=click.IntRange(LEAST_CACHE_MEGABYTES),
        default=CACHE_MEGABYTES,
        show_default=True,
        metavar="MB",
        help="Most megabytes of pictures that are kept.",
    ),
)

_OF_PAGE = {
    "base_path": "--base-path",
    "allow_origins": "--allow-origin",
    "show_paths": "--show-paths",
    "pass_credentials": "--pass-credentials",
    "cache": "--cache",
}


def page_settings(given: Mapping[str, Any]) -> PageSettings | None:
    """None without `--page`. Raises click.UsageError for an option that would do nothing, PluginError."""
    if not given["page"]:
        for name, flag in _OF_PAGE.items():
            if given[name]:
                raise click.UsageError(f"{flag} is for the page; give --page, too.")
        return None
    return PageSettings(
        roots=given["roots"],
        base_path=given["base_path"],
        allow_origins=given["allow_origins"],
        show_paths=given["show_paths"],
        pass_credentials=given["pass_credentials"],
        cache=given["cache"] or default_cache(),
        cache_megabytes=given["cache_megabytes"],
    )
