"""The encoder service over TLS."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from sorce.engine.certificates import Authority
from sorce.errors import PluginError
from sorce.plugin.cluster.endpoint import parse
from sorce.plugin.service import app as service
from tests.kit.corpus import RECIPE, Words


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    authority.issue("encoder").write(tmp_path / "encoder.pem", tmp_path / "encoder.key")
    return authority


@pytest.fixture
def url(authority: Authority, tmp_path: Path) -> Iterator[str]:  # noqa: ARG001
    shown = service.Certificate(tmp_path / "encoder.pem", tmp_path / "encoder.key")
    socket = service.listen("127.0.0.1", 0, "key")
    server = service.server(service.application(service.Served(RECIPE.model, Words(), "key")), shown)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    yield f"https://127.0.0.1:{socket.getsockname()[1]}"
    server.should_exit = True
    thread.join(60)
    socket.close()


def test_texts_and_key_travel_encrypted(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    endpoint = parse(url, RECIPE.model, "key")
    assert endpoint.pattern.startswith("^https://")
    assert np.allclose(endpoint.embed_texts(["a kite"]), Words().embed_texts(["a kite"]))
    with pytest.raises(PluginError, match=r"refused \(401\)"):
        parse(url, RECIPE.model, "other").embed_texts(["a kite"])


def test_a_service_whose_certificate_nobody_knows_gets_no_key(url: str) -> None:
    with pytest.raises(PluginError, match=r"is not trusted \(.*\); have it show a certificate that this machine knows"):
        parse(url, RECIPE.model, "key").embed_texts(["a kite"])


def test_nothing_is_answered_unencrypted(url: str) -> None:
    with pytest.raises(httpx.HTTPError):
        httpx.get(url.replace("https:", "http:") + "/health")


@pytest.mark.parametrize(("certificate", "key"), [("ca.pem", "encoder.key"), ("encoder.key", "encoder.key")])
@pytest.mark.usefixtures("authority")
def test_files_that_do_not_belong_together_are_a_sentence(tmp_path: Path, certificate: str, key: str) -> None:
    with pytest.raises(PluginError, match="are not a certificate and its key"):
        service.Certificate(tmp_path / certificate, tmp_path / key)


@pytest.mark.long
@pytest.mark.usefixtures("authority")
def test_the_command_serves_over_tls(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from sorce.cli import main; main()", "serve", "--model", "mini", "--port", "0"]
    files = ["--tls-cert", str(tmp_path / "encoder.pem"), "--tls-key", str(tmp_path / "encoder.key")]
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([*command, *files], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        said = re.fullmatch(r"serving mini at (https://127\.0\.0\.1:\d+)/v1/embeddings\n", process.stdout.readline())
        assert said is not None
        trusted = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        transport = httpx.HTTPTransport(verify=trusted, retries=5)
        with httpx.Client(transport=transport, timeout=60) as client:
            assert client.get(f"{said[1]}/health").json()["model"] == "mini"
        process.terminate()


def test_a_certificate_without_its_key_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "x.pem").touch()
    command = [
        sys.executable,
        "-c",
        "from sorce.cli import main; main()",
        "serve",
        "--tls-cert",
        str(tmp_path / "x.pem"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "go together: --tls-cert and --tls-key" in done.stderr
