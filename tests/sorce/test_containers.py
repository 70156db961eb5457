"""The container files: what a linter and their form say. No container engine runs here, so nothing is built."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from sorce.plugin.service.commands import serve
from tests.sorce.test_house import ROOMS, ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_a_linter_finds_nothing_in_the_dockerfile() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_linter_would_find_something(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM python\nRUN cd /tmp\nCMD sorce serve\n")
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, tmp_path / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert {"DL3006", "DL3003", "DL3025"} <= set(done.stdout.split())


def compose_problems(file: Path) -> str:
    """What the schema of the Compose specification refuses, by the copy that check-jsonschema brings."""
    command = [Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_the_compose_file_keeps_the_specification(tmp_path: Path) -> None:
    assert compose_problems(ROOT / "compose.yaml") == ""
    broken = tmp_path / "compose.yaml"
    broken.write_text((ROOT / "compose.yaml").read_text(encoding="utf-8").replace("healthcheck:", "health:"))
    assert "'health' was unexpected" in compose_problems(broken)


def test_the_image_holds_every_room_and_runs_as_nobody_special() -> None:
    lines = DOCKERFILE.splitlines()
    copied = {line.split()[1] for line in lines if line.startswith("COPY") and len(line.split()) == 3}
    assert copied == set(ROOMS)
    assert "USER 1000" in lines
    assert lines.index("USER 1000") < lines.index('ENTRYPOINT ["sorce"]')
    assert "ARG TORCH=cpu" in lines


def test_services_are_pinned_checked_and_open_to_this_machine_only() -> None:
    for name, service in COMPOSE["services"].items():
        if "build" not in service:
            assert service["image"].rpartition(":")[2].count(".") == 2, name
            assert "test" in service["healthcheck"], name
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), name
    for name in ("encoder", "ingest"):
        assert COMPOSE["services"][name]["volumes"][1].endswith(":/photos:ro")


def test_the_service_has_the_page_and_dashboards_may_show_its_thumbnails(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *options = COMPOSE["services"]["encoder"]["command"]
    assert first == "serve"
    # The folder is there in the container only.
    monkeypatch.setattr("sorce.pictures.uris.is_folder", lambda _: True)
    given = serve.make_context("serve", options).params
    assert (given["indices"], given["page"], given["roots"]) == (("photos",), True, [Path("/photos")])
    [dashboards] = COMPOSE["services"]["dashboards"]["ports"]
    assert given["allow_origins"] == (f"http://localhost:{dashboards.rpartition(':')[2]}",)
    [page] = COMPOSE["services"]["encoder"]["ports"]
    assert f"--page http://localhost:{page.rpartition(':')[2]}" in COMPOSE["services"]["install"]["command"][0]
    # It is reached from other containers, so it needs a key, which the installer signs with.
    assert "SORCE_API_KEY" in COMPOSE["services"]["encoder"]["environment"]
    assert COMPOSE["services"]["install"]["environment"] == COMPOSE["services"]["encoder"]["environment"]


def test_dashboards_gets_both_settings_for_pictures() -> None:
    settings = yaml.safe_load(COMPOSE["configs"]["dashboards"]["content"])
    [page] = COMPOSE["services"]["encoder"]["ports"]
    assert settings["vis_type_vega.enableExternalUrls"] is True
    assert settings["csp.allowedImgSources"] == [f"http://localhost:{page.rpartition(':')[2]}"]


def test_compose_accepts_the_file() -> None:
    docker = shutil.which("docker")
    compose = docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False)
    if not compose or compose.returncode:
        pytest.skip("no `docker compose` on this machine")
    surroundings = {"SORCE_API_KEY": "x", "PHOTOS": "/photos", "PATH": str(Path(str(docker)).parent)}
    command = [str(docker), "compose", "--file", str(ROOT / "compose.yaml"), "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=surroundings)
    assert (done.returncode, done.stderr) == (0, "")
