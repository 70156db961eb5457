"""`sorce dashboards`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from sorce import options
from sorce.access import Access
from sorce.dashboards.build import built, view_of
from sorce.dashboards.cluster import add_log, has_log, remove_log
from sorce.dashboards.install import install, uninstall
from sorce.dashboards.objects import Ids, ndjson
from sorce.dashboards.rules import refuse_broken
from sorce.dashboards.server import DEFAULT_URL, URL_VARIABLE, Dashboards, checked_url
from sorce.dashboards.status import status
from sorce.dashboards.workbench import search_configuration
from sorce.errors import DashboardsError
from sorce.options import Cluster
from sorce.terminal import printable

TIME_FIELDS = ("ingested_at", "taken_at")

page_option = click.option(
    "--page",
    metavar="URL",
    callback=lambda _context, _option, url: None if url is None else checked_url(url, "--page"),
    help="The page of sorce, as the users' browsers reach it: for thumbnails and links. SORCE_API_KEY is its key.",
)
time_option = click.option(
    "--time-field",
    type=click.Choice(TIME_FIELDS),
    default=TIME_FIELDS[0],
    show_default=True,
    help="The field of the time range. Photos without taken_at are hidden by it.",
)


@dataclass(frozen=True)
class InstallPlace:
    """Which Dashboards, and which tenant."""

    url: str | None
    tenant: str | None
    insecure: bool

    def connect(self) -> Dashboards:
        return Dashboards(self.url, Access.from_environment(self.insecure), self.tenant)

    def user(self, index: str) -> str:
        """Who uses the templates of the run log: an index, in a tenant."""
        return index if self.tenant is None else f"{index} in {self.tenant}"


def where(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command `--dashboards-url` and `--tenant`."""
    return options.several(
        click.option("--dashboards-url", metavar="URL", help=f"Dashboards; else {URL_VARIABLE}, else {DEFAULT_URL}."),
        click.option("--tenant", help="The tenant of Dashboards, such as global or the user's own.  [default: theirs]"),
    )(command)


@click.group()
def dashboards() -> None:
    """Saved objects for OpenSearch Dashboards: photos by a question, and the log of runs."""


@dashboards.command("build")
@options.index
@options.cluster
@page_option
@time_option
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it here.")
def build_(index: str, cluster: Cluster, page: str | None, time_field: str, out: Path | None) -> None:
    """Write the saved objects as NDJSON, to be imported by hand.

    \b
    Example:
      sorce dashboards build --index photos --page https://photos.example:8100 --out photos.ndjson
    """
    with cluster.client() as client:
        content = ndjson(built(view_of(client, index, page, time_field)))
    refuse_broken(content)
    if out is None:
        sys.stdout.buffer.write(content)
        return
    try:
        out.write_bytes(content)
    except OSError as error:
        raise DashboardsError(f"'{out}' cannot be written ({error.strerror}); name another file.") from error


@dashboards.command("install")
@options.index
@options.cluster
@where
@page_option
@time_option
def install_(
    index: str,
    cluster: Cluster,
    dashboards_url: str | None,
    tenant: str | None,
    page: str | None,
    time_field: str,
) -> None:
    """Put the saved objects into Dashboards; run again, it replaces them by those of today.

    Also makes the index templates of the run log, and a policy that deletes its indices after 90 days. The query bar
    needs what `sorce plugin install` makes.

    \b
    Examples:
      sorce dashboards install --index photos --page https://photos.example:8100
      sorce dashboards install --index photos --dashboards-url https://search.example/_dashboards --tenant global
    """
    place = InstallPlace(dashboards_url, tenant, cluster.insecure)
    with cluster.client() as client, place.connect() as there:
        objects = built(view_of(client, index, page, time_field))
        install(there, Ids(index), objects)
        note = add_log(client, place.user(index))
    click.echo(f"{len(objects)} saved objects are in {there.url}; open the dashboard 'sorce: photos of {index}'.")
    if note is not None:
        click.echo(f"note: {note}", err=True)


@dashboards.command("status")
@options.index
@options.cluster
@where
@page_option
@time_option
@options.as_json
def status_(
    index: str,
    cluster: Cluster,
    dashboards_url: str | None,
    tenant: str | None,
    page: str | None,
    time_field: str,
    as_json: bool,
) -> int:
    """Say what is missing: saved objects, the pipeline of the query bar, lines of opensearch_dashboards.yml.

    Give the options of install again.
    """
    place = InstallPlace(dashboards_url, tenant, cluster.insecure)
    with cluster.client() as client, place.connect() as there:
        checks = status(client, there, view_of(client, index, page, time_field))
        checks["run log"] = None if has_log(client, place.user(index)) else "its index templates are missing."
    if as_json:
        click.echo(json.dumps([{"check": name, "problem": problem} for name, problem in checks.items()]))
    else:
        for name, problem in checks.items():
            shown = "" if problem is None else f": {printable(problem)}"
            click.echo(f"{'ok   ' if problem is None else 'WRONG'}  {name}{shown}")
    return 0 if all(problem is None for problem in checks.values()) else 1


@dashboards.command("workbench")
@options.index
@options.cluster
def workbench_(index: str, cluster: Cluster) -> None:
    """Print a search configuration for the Search Relevance Workbench, which asks what the stored template asks.

    \b
    Example:
      sorce dashboards workbench --index photos | curl -X PUT -H 'Content-Type: application/json' --data-binary @- \\
        localhost:9200/_plugins/_search_relevance/search_configurations
    """
    with cluster.client() as client:
        click.echo(json.dumps(search_configuration(client, index)))


@dashboards.command("uninstall")
@options.index
@options.cluster
@where
def uninstall_(index: str, cluster: Cluster, dashboards_url: str | None, tenant: str | None) -> None:
    """Take away what install made, and nothing else. The logged runs stay."""
    place = InstallPlace(dashboards_url, tenant, cluster.insecure)
    with cluster.client() as client, place.connect() as there:
        gone = uninstall(there, Ids(index))
        remove_log(client, place.user(index))
    click.echo(f"{len(gone)} saved objects of '{index}' are taken away from {there.url}.")
