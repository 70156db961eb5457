"""Occasional faults of ML Commons. They cannot be caused on purpose, so a scripted cluster replaces the real one."""

from __future__ import annotations

from typing import Any

import pytest
from opensearchpy import OpenSearch, exceptions

from sorce.plugin.cluster.ml_commons import MlCommons

ML = "/_plugins/_ml"
ANSWERS = {
    f"{ML}/models/_register": {"task_id": "t"},
    f"{ML}/tasks/t": {"state": "COMPLETED", "model_id": "new"},
    f"{ML}/models/new": {"model_state": "DEPLOYED"},
}


class Scripted:
    """A model's deployment ends after the first request to undeploy it; what is waited for only so long never comes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        client = OpenSearch()
        monkeypatch.setattr(client.transport, "perform_request", self._answer)
        self.ml = MlCommons(client)
        self.asked: list[str] = []

    def _answer(self, method: str, path: str, params: Any = None, **_: Any) -> Any:
        path = "/" + path.lstrip("/")
        self.asked.append(f"{method} {path.removeprefix(ML)}")
        if "request_timeout" in (params or {}):
            raise exceptions.ConnectionTimeout("TIMEOUT", "no answer", {})
        if path in ANSWERS:
            return ANSWERS[path]
        if path == f"{ML}/models/m" and self.asked.count("POST /models/m/_undeploy") < 2:
            raise exceptions.RequestError(400, "Model cannot be deleted in deploying or deployed state", {})
        if path == f"{ML}/models/forbidden":
            raise exceptions.AuthorizationException(403, "no permissions", {})
        return {}


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    return Scripted(monkeypatch)


def test_a_model_that_is_never_answered_is_sent_again(scripted: Scripted) -> None:
    assert scripted.ml.deploy("name", {}, "group") == "new"
    register = "POST /models/_register"
    assert scripted.asked == [register, register, "GET /tasks/t", "GET /models/new"]


def test_a_model_whose_deployment_ends_late_is_undeployed_again(scripted: Scripted) -> None:
    scripted.ml.delete_model("m")
    assert scripted.asked == ["POST /models/m/_undeploy", "DELETE /models/m"] * 2


def test_what_a_user_may_not_delete_is_tried_once(scripted: Scripted) -> None:
    with pytest.raises(exceptions.AuthorizationException):
        scripted.ml.delete_model("forbidden")
    assert scripted.asked == ["POST /models/forbidden/_undeploy", "DELETE /models/forbidden"]
