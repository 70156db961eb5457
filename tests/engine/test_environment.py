"""Programs that the engine package starts do not get the secrets of the caller's environment."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sorce.engine.environment import common_environment, maven_environment
from sorce.engine.paths import Account

SECRETS = (
    "AWS_SECRET_ACCESS_KEY",
    "GITHUB_TOKEN",
    "HF_TOKEN",
    "OPENAI_API_KEY",
    "OPENSEARCH_JAVA_OPTS",
    "OPENSEARCH_PASSWORD",
    "SORCE_API_KEY",
    "XPATH",
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("LC_TIME", "C")
    monkeypatch.setenv("https_proxy", "proxy")
    monkeypatch.setenv("MAVEN_OPTS", "options")


@pytest.mark.fault("10.2.2")
def test_only_what_is_on_the_list_is_passed_on() -> None:
    assert common_environment().keys() <= {"PATH", "LANG", "LANGUAGE", "TZ", "LC_TIME", "LC_ALL", "LC_CTYPE"}
    assert common_environment()["LC_TIME"] == "C"


@pytest.mark.fault("10.s.55")
def test_programs_that_run_as_the_account_see_no_secret() -> None:
    answer = subprocess.run(["env"], capture_output=True, text=True, check=True, **Account.current().popen())
    assert "secret" not in answer.stdout
    assert "PATH=" in answer.stdout


@pytest.mark.fault("10.s.56")
def test_maven_gets_its_own_variables_and_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    given = maven_environment()
    assert (given["MAVEN_OPTS"], given["https_proxy"], given["HOME"]) == ("options", "proxy", str(tmp_path))
    assert not given.keys() & set(SECRETS)


def test_maven_gets_what_the_users_settings_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MIRROR_PASSWORD", "password")
    (tmp_path / ".m2").mkdir()
    (tmp_path / ".m2" / "settings.xml").write_text("<password>${env.MIRROR_PASSWORD}</password>")
    assert maven_environment()["MIRROR_PASSWORD"] == "password"
