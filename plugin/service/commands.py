"""`sorce serve`. Importing this is fast: torch is imported with the first model."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import click

from sorce import options
from sorce.access import is_loopback
from sorce.errors import MissingTool
from sorce.locate import ZOOM
from sorce.logs import terminal_log
from sorce.plugin.cluster.endpoint import key_from_environment
from sorce.plugin.service.opening import refuse_incomplete, served
from sorce.plugin.service.page.options import page_options

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--model", metavar="NAME", help="mini, a folder, or a name on the hub.")
@click.option(
    "--index",
    "indices",
    multiple=True,
    callback=lambda context, option, names: tuple(options.check_index(context, option, name) for name in names),
    help="The model of this index instead; with --model FOLDER if it was read from a folder. Repeat it for the page.",
)
@options.cluster
@click.option("--locate", is_flag=True, help="Look at photos of --index again, too (POST /v1/rerank, /v1/locate).")
@click.option(
    "--root",
    "roots",
    multiple=True,
    metavar="FOLDER|PREFIX",
    callback=options.roots,
    help="A folder, or a prefix such as s3://bucket/photos, from which --locate and --page may open photos, also those "
    "of relative paths; may be repeated.",
)
@click.option(
    "--localiser",
    default=ZOOM,
    show_default=True,
    metavar="NAME",
    help="The localiser: zoom, a folder, or a name on the hub.",
)
@page_options
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

    With --page it also serves a page for searches in a browser. It shows pictures below the roots only, by the ids of
    photos. Other machines reach it only with a key, which people type in once.

    \b
    Examples:
      sorce serve --model mini
      sorce serve --index photos --page --root /srv/photos
      sorce serve --index photos --locate --root /srv/photos
      sorce serve --index photos --host 0.0.0.0 --tls-cert encoder.pem --tls-key encoder.key
    """
    _end_by_sigterm()
    _refuse_half(tls_cert, tls_key)
    try:
        from sorce.plugin.service import app as service
    except ImportError as error:
        raise MissingTool(
            "`sorce serve` needs FastAPI, uvicorn and prometheus-client; run pip install 'sorce[serve]'."
        ) from error
    refuse_incomplete(what)
    if access_log:
        click.get_current_context().with_resource(terminal_log("sorce.service.access"))
    # Before loading the model, which takes a while.
    shown = None if tls_cert is None or tls_key is None else service.Certificate(tls_cert, tls_key)
    socket = service.listen(host, port, key_from_environment())
    if shown is None and not is_loopback(host):
        click.echo("WARNING: texts and key travel unencrypted; give --tls-cert and --tls-key.", err=True)
    serving = served(**what)
    app = service.application(serving)
    name, scheme = f"[{host}]" if ":" in host else host, "http" if shown is None else "https"
    address = f"{scheme}://{name}:{socket.getsockname()[1]}"
    click.echo(f"serving {serving.name} at {address}/v1/embeddings")
    if serving.page is not None:
        click.echo(f"the page is at {address}{serving.page.settings.base_path}/")
    service.server(app, shown).run(sockets=[socket])


def _end_by_sigterm() -> None:
    """Service managers take an end by SIGTERM for a good one, and the exit code of Ctrl-C for a failure."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _refuse_half(certificate: Path | None, key: Path | None) -> None:
    if (certificate is None) != (key is None):
        raise click.UsageError("a certificate and its key go together: --tls-cert and --tls-key.")
