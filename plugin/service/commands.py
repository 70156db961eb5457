"""`sorce serve`. Importing this is fast: torch is imported with the first model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sorce import options
from sorce.access import is_loopback
from sorce.cluster import recipe_of
from sorce.errors import MissingTool
from sorce.locate import ZOOM, open_localiser
from sorce.logs import terminal_log
from sorce.models import load_encoder
from sorce.models.checkpoint import find
from sorce.models.methods import Runtime
from sorce.options import Cluster
from sorce.plugin.cluster.endpoint import key_from_environment

if TYPE_CHECKING:
    from sorce.plugin.service.app import Served

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--model", metavar="NAME", help="mini, a folder, or a name on the hub.")
@click.option(
    "--index",
    callback=options.check_index,
    help="The model of this index instead; with --model FOLDER if it was read from a folder.",
)
@options.cluster
@click.option("--locate", is_flag=True, help="Look at photos of --index again, too (POST /v1/rerank, /v1/locate).")
@click.option(
    "--root",
    "roots",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder from which --locate may open photos, also those of relative paths; may be repeated.",
)
@click.option(
    "--localiser",
    default=ZOOM,
    show_default=True,
    metavar="NAME",
    help="The localiser: zoom, a folder, or a name on the hub.",
)
@options.device
@options.trust_remote_code
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8100, show_default=True, help="0 takes a free one.")
@click.option("--tls-cert", type=FILE, metavar="FILE", help="Speak TLS, with this certificate (PEM) ...")
@click.option("--tls-key", type=FILE, metavar="FILE", help="... and its key.")
@click.option("--access-log", is_flag=True, help="Log each request on standard error, with its id.")
def serve(host: str, port: int, tls_cert: Path | None, tls_key: Path | None, access_log: bool, **what: Any) -> None:
    """Encodes texts over HTTP, in the OpenAI form (POST /v1/embeddings).

    Callers must send what SORCE_API_KEY holds as a bearer token, if it holds anything. It must, as soon as other
    machines can reach the service. GET /metrics is for Prometheus; callers on this machine need no key for it.

    With --locate it also looks at photos again, and gives a tight box and a score for each. It opens only photos that
    the index holds, and only files below the roots. The cluster is asked as the environment says; the role search is
    enough.

    \b
    Examples:
      sorce serve --model mini
      sorce serve --index photos --locate --root /srv/photos
      sorce serve --index photos --host 0.0.0.0 --tls-cert encoder.pem --tls-key encoder.key
    """
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("a certificate and its key go together: --tls-cert and --tls-key.")
    try:
        from sorce.plugin.service import app as service
    except ImportError as error:
        raise MissingTool(
            "`sorce serve` needs FastAPI, uvicorn and prometheus-client; run pip install 'sorce[serve]'."
        ) from error
    _refuse_incomplete(what)
    if access_log:
        click.get_current_context().with_resource(terminal_log("sorce.service.access"))
    # Before loading the model, which takes a while.
    shown = None if tls_cert is None or tls_key is None else service.Certificate(tls_cert, tls_key)
    socket = service.listen(host, port, key_from_environment())
    if shown is None and not is_loopback(host):
        click.echo("WARNING: texts and key travel unencrypted; give --tls-cert and --tls-key.", err=True)
    served = _served(**what)
    app = service.application(served)
    address, scheme = f"[{host}]" if ":" in host else host, "http" if shown is None else "https"
    click.echo(f"serving {served.name} at {scheme}://{address}:{socket.getsockname()[1]}/v1/embeddings")
    service.server(app, shown).run(sockets=[socket])


def _refuse_incomplete(what: Mapping[str, Any]) -> None:
    if what["locate"] and not (what["index"] and what["roots"]):
        raise click.UsageError("--locate needs --index, whose photos it looks at, and --root, where it may open them.")
    if what["roots"] and not what["locate"]:
        raise click.UsageError("--root is where --locate may open photos; give both or none.")


def _served(index: str | None, model: str | None, cluster: Cluster, **how: Any) -> Served:
    from sorce.plugin.service.app import Served

    where = how["device"], model, how["trust_remote_code"]
    if index is None:
        if model is None:
            raise click.UsageError("say which model: --model or --index.")
        encoder = load_encoder(model, how["device"], None, how["trust_remote_code"])
        return Served(find(model).model, encoder, key_from_environment())
    with cluster.client() as client:
        recipe = recipe_of(client, index)
    looker = None
    if how["locate"]:
        from sorce.plugin.service.looking import PhotoLooker

        # A second copy of the model: each is used by one thread only.
        localiser = open_localiser(
            how["localiser"], lambda: load_encoder(recipe, *where), Runtime(how["device"]), how["trust_remote_code"]
        )
        looker = PhotoLooker(cluster.connect(), index, recipe, localiser, how["roots"])
    return Served(recipe.model, load_encoder(recipe, *where), key_from_environment(), looker)
