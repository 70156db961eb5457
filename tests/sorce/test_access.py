"""Who connects, and whom the client trusts: no secret gets out, and each error is one sentence."""

from __future__ import annotations

import hashlib
import hmac
import logging
import sys
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sorce.access import Access
from sorce.cluster import connect
from sorce.engine.certificates import Authority
from sorce.errors import ClusterError, MissingTool
from tests.kit.listening import Request, listening

SECRET = "s3cret-and-long"
VARIABLES = ("CA_FILE", "CLIENT_CERT", "CLIENT_KEY", "USERNAME", "PASSWORD", "PASSWORD_FILE", "TOKEN", "AWS_REGION")


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(f"OPENSEARCH_{name}", raising=False)


def test_what_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{SECRET}\n")
    monkeypatch.setenv("OPENSEARCH_USERNAME", "ada")
    monkeypatch.setenv("OPENSEARCH_PASSWORD_FILE", str(tmp_path / "password"))
    assert Access.from_environment() == Access(username="ada", password=SECRET)


@pytest.mark.parametrize("access", [Access(username="ada", password=SECRET), Access(token=SECRET)])
def test_a_secret_is_not_shown(access: Access) -> None:
    assert SECRET not in f"{access} {access!r} {[access]}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"USERNAME": "ada"}, "a user needs a password"),
        ({"PASSWORD": SECRET}, "and a password a user"),
        ({"USERNAME": "ada", "PASSWORD": SECRET, "TOKEN": SECRET}, "asked by one only"),
        ({"TOKEN": SECRET, "AWS_REGION": "eu-west-1"}, "asked by one only"),
        ({"USERNAME": "ada", "PASSWORD": SECRET, "PASSWORD_FILE": "/f"}, "are both set; unset one"),
        ({"USERNAME": "ada", "PASSWORD_FILE": "/no/such/file"}, "there is no file '/no/such/file'; correct its path."),
        ({"USERNAME": "ada", "PASSWORD_FILE": "/"}, r"PASSWORD_FILE: '/' cannot be read \(Is a directory\)"),
    ],
)
def test_what_does_not_go_together_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], said: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"OPENSEARCH_{name}", value)
    with pytest.raises(ClusterError, match=said) as refused:
        connect("https://127.0.0.1:1")
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("url", [f"https://ada:{SECRET}@127.0.0.1:1", f"http://{SECRET}@h", f"ada:{SECRET}@h:1"])
def test_a_password_in_the_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ClusterError, match="holds a user or a password") as refused:
        connect(url)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("url", ["ftp://h", "https://", "http:///x"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ClusterError, match="is not a cluster's URL"):
        connect(url)


@pytest.mark.parametrize(
    "access", [Access(username="ada", password=SECRET), Access(token=SECRET), Access(aws_region="eu-west-1")]
)
def test_no_secret_travels_unencrypted_to_another_machine(access: Access) -> None:
    with pytest.raises(ClusterError, match=r"unencrypted, for all to read; write https://"):
        connect("http://search.example:9200", access)


@pytest.mark.parametrize(
    ("access", "header"),
    [
        (Access(username="ada", password="pass:w\u00f6rd"), "Basic YWRhOnBhc3M6d8O2cmQ="),
        (Access(token=SECRET), f"Bearer {SECRET}"),
    ],
)
def test_how_a_user_and_a_token_are_sent(access: Access, header: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with listening() as (url, came), connect(url, access) as client:
        client.info()
        assert {each.headers["authorization"] for each in came} == {header}
        assert header.split()[1] not in f"{client!r} {client.transport!r} {client.transport.hosts} {caplog.text}"


def test_requests_are_signed_for_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with listening() as (url, came), connect(url, Access(aws_region="eu-west-1")):
        asked = came[0]
    assert asked.headers["Authorization"] == signed(asked)
    assert SECRET not in str(asked.headers)


def test_a_body_is_signed_with_a_session_s_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-a-session")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with listening() as (url, came), connect(url, Access(aws_region="eu-west-1")) as client:
        client.bulk(body=[{"index": {"_id": "1"}}, {"text": "a kite \u00e0 la carte"}], params={"refresh": "true"})
        asked = came[-1]
    assert (asked.line.split()[1], asked.body.count(b"\n")) == ("/_bulk?refresh=true", 2)
    assert asked.headers["X-Amz-Security-Token"] == "of-a-session"
    assert asked.headers["Authorization"] == signed(asked, "x-amz-security-token")


def signed(asked: Request, *more: str) -> str:
    """AWS Signature Version 4 of a request of at most one parameter, with these headers, too; by AWS's description."""
    names = ";".join(["host", "x-amz-content-sha256", "x-amz-date", *more])
    lower = {name.lower(): value for name, value in asked.headers.items()}
    method, address, _ = asked.line.split()
    path, _, parameter = address.partition("?")
    given = "".join(f"{name}:{lower[name]}\n" for name in names.split(";"))
    request = f"{method}\n{path}\n{parameter}\n{given}\n{names}\n{hashlib.sha256(asked.body).hexdigest()}"
    scope = f"{lower['x-amz-date'][:8]}/eu-west-1/es/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{lower['x-amz-date']}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{SECRET}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    return f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders={names}, Signature={key.hex()}"


def test_without_boto3_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(MissingTool, match=r"pip install 'sorce\[aws\]'"):
        connect("https://127.0.0.1:1", Access(aws_region="eu-west-1"))


EXPIRED = datetime.now(UTC) - timedelta(hours=1)


@pytest.mark.parametrize(
    ("until", "known", "host", "said"),
    [
        (EXPIRED, True, "localhost", "its certificate has expired; have it renewed"),
        (
            None,
            False,
            "localhost",
            "nobody known here signed its certificate; name its authority in OPENSEARCH_CA_FILE",
        ),
        (None, True, "elsewhere.example", "its certificate is for another host"),
    ],
)
def test_a_certificate_that_is_not_to_be_trusted(
    tmp_path: Path, until: datetime | None, known: bool, host: str, said: str
) -> None:
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    (tmp_path / "other.pem").write_bytes(Authority("authority").certificate)
    access = Access(str(tmp_path / ("ca.pem" if known else "other.pem")), username="ada", password=SECRET)
    with listening(authority.issue("node", until, host), tmp_path) as (url, came):
        with pytest.raises(ClusterError, match=f"is not trusted: {said}") as refused:
            connect(url, access)
        assert not came
    assert SECRET not in "".join(traceback.format_exception(refused.value))


def test_insecure_trusts_anyone_and_says_so_each_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with listening(Authority().issue("node", EXPIRED), tmp_path) as (url, _):
        for _ in range(2):
            caplog.clear()
            connect(url, Access(insecure=True)).info()
            assert caplog.messages[0].startswith(f"--insecure: nobody checks that {url} is your cluster;")


def test_plain_and_encrypted_taken_for_each_other_are_told(tmp_path: Path) -> None:
    with listening() as (url, _), pytest.raises(ClusterError, match="does not speak TLS; write http://"):
        connect(url.replace("http:", "https:"))
    with (
        listening(Authority().issue("node"), tmp_path) as (url, _),
        pytest.raises(ClusterError, match="hangs up; if it speaks TLS, write https://"),
    ):
        connect(url.replace("https:", "http:"))


@pytest.mark.fault("10.7.1")
@pytest.mark.parametrize(
    ("access", "said"),
    [
        (Access(ca_file="/no/such.pem"), "OPENSEARCH_CA_FILE: there is no file '/no/such.pem'; correct its path."),
        (Access(client_cert="/no/such.pem"), "OPENSEARCH_CLIENT_CERT: there is no file '/no/such.pem'"),
        (Access(client_cert=__file__, client_key="/no/such.key"), "OPENSEARCH_CLIENT_KEY: there is no file '/no/such"),
        (Access(ca_file="/"), r"OPENSEARCH_CA_FILE: '/' cannot be read \(Is a directory\)"),
        (Access(ca_file=__file__), "OPENSEARCH_CA_FILE: '.*' holds no certificate"),
    ],
)
def test_files_that_are_none_are_named(access: Access, said: str) -> None:
    with pytest.raises(ClusterError, match=said):
        connect("https://127.0.0.1:1", access)
