"""`sorce plugin`. Importing this is fast: torch is imported with the first model."""

from __future__ import annotations

import json

import click

from sorce import options
from sorce.cluster import find_index
from sorce.models import load_encoder
from sorce.options import Cluster
from sorce.plugin.cluster.endpoint import key_from_environment, parse, parse_localiser
from sorce.plugin.cluster.install import install, uninstall
from sorce.plugin.cluster.locate import install_located
from sorce.plugin.cluster.role import ROLES, role
from sorce.plugin.cluster.status import refuse_missing, status
from sorce.terminal import printable


@click.group()
def plugin() -> None:
    """Lets the cluster itself encode the texts of searches."""


@plugin.command("install")
@options.index
@click.option("--encoder", required=True, metavar="URL", help="The encoder service, as the cluster reaches it.")
@click.option(
    "--locate",
    is_flag=False,
    flag_value="",
    metavar="[URL]",
    help="Have hits looked at again, too, by `sorce serve --locate` at this address, or at the encoder's.",
)
@options.cluster
@options.folder
@options.device
@options.trust_remote_code
def install_(
    index: str,
    encoder: str,
    locate: str | None,
    cluster: Cluster,
    folder: str | None,
    device: str,
    trust_remote_code: bool,
) -> None:
    """Makes what the cluster needs to encode searches of an index; run again, it mends what is missing.

    Adds the encoder to the cluster's trusted endpoints, and allows private addresses, if it has one. Makes remote
    models with their connectors, a search template with its pipeline, and the index's default pipeline for `neural`.
    The service's key is read from SORCE_API_KEY. Refuses an encoder that does not give the vectors of the index's
    model.

    \b
    Examples:
      sorce plugin install --index photos --encoder http://127.0.0.1:8100
      curl -H 'Content-Type: application/json' \\
        'localhost:9200/photos/_search/template?search_pipeline=sorce-photos' \\
        -d '{"id": "sorce-photos", "params": {"text": "a small red umbrella", "size": 5}}'

    With --locate, the hits of the template and pipeline sorce-photos:located come in the order of what was seen, each
    with a tight box and its score in _source.located. All hits are looked at, or the first ones: "locate": 20.

    \b
      sorce plugin install --index photos --encoder http://127.0.0.1:8100 --locate
      curl -H 'Content-Type: application/json' \\
        'localhost:9200/photos/_search/template?search_pipeline=sorce-photos:located' \\
        -d '{"id": "sorce-photos:located", "params": {"text": "a small red umbrella", "size": 20}}'
    """
    with cluster.client() as client:
        there = find_index(client, index)
        endpoint = parse(encoder, there.recipe.model, key_from_environment())
        localiser = None if locate is None else parse_localiser(locate, endpoint)
        install(client, there, endpoint, load_encoder(there.recipe, device, folder, trust_remote_code))
        if localiser is not None:
            install_located(client, there, localiser)
    click.echo(
        f"searches of '{index}' are encoded at {endpoint.url}; try it: sorce search --index {index} --server TEXT"
    )


@plugin.command("status")
@options.index
@options.cluster
@options.folder
@options.device
@options.trust_remote_code
@options.as_json
def status_(
    index: str, cluster: Cluster, folder: str | None, device: str, trust_remote_code: bool, as_json: bool
) -> int:
    """Tries each step of what is installed, and says what is wrong and how to mend it.

    A note says what this OpenSearch lacks for `sorce plugin install --locate`, if nothing installed needs it.
    """
    with cluster.client() as client:
        there = find_index(client, index)
        # Before loading the model, which takes a while.
        refuse_missing(client, there)
        encoder = load_encoder(there.recipe, device, folder, trust_remote_code)
        steps = status(client, there, encoder, key_from_environment())
    if as_json:
        click.echo(
            json.dumps(
                [
                    {"step": step.name, "works": step.works, "needed": step.needed, "problem": step.problem}
                    for step in steps
                ]
            )
        )
    else:
        for step in steps:
            problem = "" if step.problem is None else f": {printable(step.problem)}"
            mark = "ok   " if step.works else "WRONG" if step.needed else "note "
            click.echo(f"{mark}  {step.name}{problem}")
    return 0 if all(step.works or not step.needed for step in steps) else 1


@plugin.command("uninstall")
@options.index
@options.cluster
def uninstall_(index: str, cluster: Cluster) -> None:
    """Takes away what install made, and nothing else."""
    with cluster.client() as client:
        uninstall(client, index)
    click.echo(f"what sorce installed for '{index}' is removed; the index itself is kept.")


@plugin.command("role")
@click.argument("name", type=click.Choice(ROLES))
@options.index
def role_(name: str, index: str) -> None:
    """Prints the least that a user must be allowed in a secured cluster, for its administrator.

    `sorce ingest --alias` needs two roles, ingest and alias. Give alias to few users: OpenSearch lets them add the
    index to any alias, so that it receives what others write to that alias. An alias that names its own write index
    (is_write_index) is safe from this.

    \b
    Example:
      sorce plugin role search --index photos | curl -X PUT -H 'Content-Type: application/json' --data-binary @- \\
        --netrc --cacert ca.pem https://localhost:9200/_plugins/_security/api/roles/sorce-search
    """
    click.echo(json.dumps(role(name, index), indent=2))
