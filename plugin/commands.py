"""`sorce serve`, `sorce plugin` and `sorce search`. Importing this is cheap: torch comes with the first model."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from opensearchpy import OpenSearch

from sorce.access import is_loopback
from sorce.cluster import address, recipe_of, sentences
from sorce.errors import MissingTool, PluginError
from sorce.models import load_encoder
from sorce.models.checkpoint import find
from sorce.options import Cluster, cluster
from sorce.plugin import options
from sorce.plugin.endpoint import KEY_VARIABLE, parse
from sorce.plugin.install import install, uninstall
from sorce.plugin.rights import ROLES, role
from sorce.plugin.search import ClientSearch, Searcher, ServerSearch
from sorce.plugin.status import status
from sorce.plugin.table import as_json as hits_as_json
from sorce.plugin.table import table

if TYPE_CHECKING:
    from sorce.plugin.service import Served


FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--model", metavar="NAME", help="mini, a folder, or a name on the hub.")
@click.option("--index", help="The model of this index instead; with --model FOLDER if it was read from a folder.")
@cluster
@options.device
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8100, show_default=True, help="0 takes a free one.")
@click.option("--tls-cert", type=FILE, metavar="FILE", help="Speak TLS, with this certificate (PEM) ...")
@click.option("--tls-key", type=FILE, metavar="FILE", help="... and its key.")
def serve(host: str, port: int, tls_cert: Path | None, tls_key: Path | None, **what: Any) -> None:
    """Encodes texts over HTTP, in the OpenAI form (POST /v1/embeddings).

    Callers must send what SORCE_API_KEY holds as a bearer token, if it holds anything. It must, as soon as other
    machines can reach the service.

    \b
    Examples:
      sorce serve --model mini
      sorce serve --index photos --host 0.0.0.0 --tls-cert encoder.pem --tls-key encoder.key
    """
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("a certificate and its key go together: --tls-cert and --tls-key.")
    try:
        from sorce.plugin import service
    except ImportError as error:
        raise MissingTool("`sorce serve` needs FastAPI and uvicorn; run pip install 'sorce[serve]'.") from error
    # Before the model is loaded, which takes a while.
    shown = None if tls_cert is None or tls_key is None else service.Certificate(tls_cert, tls_key)
    socket = service.listen(host, port, _key())
    if shown is None and not is_loopback(host):
        click.echo("WARNING: texts and key travel unencrypted; give --tls-cert and --tls-key.", err=True)
    served = _served(**what)
    app = service.application(served)
    address, scheme = f"[{host}]" if ":" in host else host, "http" if shown is None else "https"
    click.echo(f"serving {served.name} at {scheme}://{address}:{socket.getsockname()[1]}/v1/embeddings")
    service.server(app, shown).run(sockets=[socket])


def _served(model: str | None, index: str | None, cluster: Cluster, device: str) -> Served:
    from sorce.plugin.service import Served

    if index is None:
        if model is None:
            raise click.UsageError("say which model: --model or --index.")
        return Served(find(model).model, load_encoder(model, device), _key())
    with _asked(cluster) as client:
        recipe = recipe_of(client, index)
    return Served(recipe.model, load_encoder(recipe, device, model), _key())


@click.group()
def plugin() -> None:
    """Lets the cluster itself encode the texts of searches."""


@plugin.command("install")
@options.index
@click.option("--encoder", required=True, metavar="URL", help="The encoder service, as the cluster reaches it.")
@cluster
@options.folder
@options.device
def install_(index: str, encoder: str, cluster: Cluster, folder: str | None, device: str) -> None:
    """Makes what the cluster needs to encode searches of an index; run again, it mends what is missing.

    Adds the encoder to the cluster's trusted endpoints (and allows private addresses, if it has one), makes remote
    models with their connectors, a search template with its pipeline, the index's default pipeline for `neural`. The
    service's key is read from SORCE_API_KEY. Refuses an encoder that does not give the vectors of the index's model.

    \b
    Examples:
      sorce plugin install --index photos --encoder http://127.0.0.1:8100
      curl -H 'Content-Type: application/json' \\
        'localhost:9200/photos/_search/template?search_pipeline=sorce-photos' \\
        -d '{"id": "sorce-photos", "params": {"text": "a small red umbrella", "size": 5}}'
    """
    with _asked(cluster) as client:
        recipe = recipe_of(client, index)
        endpoint = parse(encoder, recipe.model, _key())
        install(client, index, endpoint, load_encoder(recipe, device, folder))
    click.echo(
        f"searches of '{index}' are encoded at {endpoint.url}; try it: sorce search --index {index} --server TEXT"
    )


@plugin.command("status")
@options.index
@cluster
@options.folder
@options.device
@options.as_json
def status_(index: str, cluster: Cluster, folder: str | None, device: str, as_json: bool) -> int:
    """Tries each step of what is installed, and says what is wrong and how to mend it."""
    with _asked(cluster) as client:
        steps = status(client, index, load_encoder(recipe_of(client, index), device, folder), _key())
    if as_json:
        click.echo(json.dumps([{"step": step.name, "works": step.works, "problem": step.problem} for step in steps]))
    else:
        for step in steps:
            click.echo(f"{'ok   ' if step.works else 'WRONG'}  {step.name}{'' if step.works else f': {step.problem}'}")
    return 0 if all(step.works for step in steps) else 1


@plugin.command("uninstall")
@options.index
@cluster
def uninstall_(index: str, cluster: Cluster) -> None:
    """Takes away what install made, and nothing else."""
    with _asked(cluster) as client:
        uninstall(client, index)
    click.echo(f"nothing of sorce's is left in the cluster for '{index}', but the index itself.")


@plugin.command("role")
@click.argument("name", type=click.Choice(ROLES))
@options.index
def role_(name: str, index: str) -> None:
    """Prints the least that a user must be allowed in a secured cluster, for its administrator.

    \b
    Example:
      sorce plugin role search --index photos | curl -X PUT -H 'Content-Type: application/json' --data-binary @- \\
        --netrc --cacert ca.pem https://localhost:9200/_plugins/_security/api/roles/sorce-search
    """
    click.echo(json.dumps(role(name, index), indent=2))


@click.command()
@click.argument("text")
@options.index
@cluster
@options.request
@click.option("--client/--server", "here", default=True, help="Who encodes the text.  [default: client]")
@options.folder
@options.device
@options.as_json
@click.option(
    "--save", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Draw the boxes into the photos."
)
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where photos of relative paths lie; no file outside it is drawn.",
)
def search(text: str, index: str, cluster: Cluster, here: bool, **given: Any) -> None:
    """Finds photos that show a thing, and where.

    The score ranks a photo: the similarity for one thing; for several, the sum of their similarities less half of that
    to each --not. By --rank product, each box's match times its quality takes the place of the similarity; what a photo
    that was no candidate might rank before is marked unproved. --debias is for boxes that come up whatever is asked.

    \b
    Examples:
      sorce search "a small red umbrella"
      sorce search "a dog" --and "a red ball" --not "a cat" --size 5
      sorce search "a key" --max-area 0.01 --folder flat/kitchen --save found
      sorce search "a kite" --server --json
    """
    request = options.parse_request(text, given)
    with _asked(cluster) as client:
        hits = _searcher(client, index, here, given).search(request)
    if given["as_json"]:
        click.echo(json.dumps(hits_as_json(hits)))
    else:
        click.echo(table(hits) if hits else "nothing found.")
    if given["save"] is not None:
        from sorce.plugin.draw import save

        written = save(hits, given["save"], given["root"], text)
        click.echo(f"drawn: {written[-1]}", err=given["as_json"])


def _searcher(client: OpenSearch, index: str, here: bool, given: dict[str, Any]) -> Searcher:
    if not here:
        return ServerSearch(client, index)
    return ClientSearch(client, index, lambda recipe: load_encoder(recipe, given["device"], given["folder"]))


def _key() -> str | None:
    key = os.environ.get(KEY_VARIABLE) or None
    if key is not None and not (key.isascii() and key.isprintable() and key == key.strip()):
        raise PluginError(f"{KEY_VARIABLE} holds what no header can; take a key of letters, digits and signs of ASCII.")
    return key


@contextmanager
def _asked(cluster: Cluster) -> Iterator[OpenSearch]:
    with cluster.connect() as client, sentences(address(client)):
        yield client
