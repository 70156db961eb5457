"""What ML Commons gets wrong now and then, which cannot be had from it at will: a scripted one in its place."""

from __future__ import annotations

from typing import Any

from opensearchpy import OpenSearch, exceptions

from sorce.plugin.cluster.ml_commons import Json, MlCommons

REGISTER = "models/_register?deploy=true"
ANSWERS = {
    REGISTER: {"task_id": "t"},
    "tasks/t": {"state": "COMPLETED", "model_id": "new"},
    "models/new": {"model_state": "DEPLOYED"},
}


class Scripted(MlCommons):
    """A model's deployment ends after the first request to undeploy it; what is waited for only so long never comes."""

    def __init__(self) -> None:
        super().__init__(OpenSearch())
        self.asked: list[str] = []

    def _ask(self, method: str, path: str, body: Json | None = None, seconds: float | None = None) -> Any:  # noqa: ARG002
        self.asked.append(f"{method} {path}")
        if seconds is not None:
            raise exceptions.ConnectionTimeout("TIMEOUT", f"no answer in {seconds} s", {})
        if path in ANSWERS:
            return ANSWERS[path]
        if path == "models/m" and self.asked.count("POST models/m/_undeploy") < 2:
            raise exceptions.RequestError(400, "Model cannot be deleted in deploying or deployed state", {})
        return {}


def test_a_model_that_is_never_answered_is_sent_again() -> None:
    ml = Scripted()
    assert ml.deploy("name", {}, "group") == "new"
    assert ml.asked == [f"POST {REGISTER}", f"POST {REGISTER}", "GET tasks/t", "GET models/new"]


def test_a_model_whose_deployment_ends_late_is_undeployed_again() -> None:
    ml = Scripted()
    ml.delete_model("m")
    assert ml.asked == ["POST models/m/_undeploy", "DELETE models/m"] * 2
