"""What ML Commons gets wrong now and then, which cannot be had from it at will: a scripted one in its place."""

from __future__ import annotations

from typing import Any

from opensearchpy import OpenSearch, exceptions

from sorce.plugin.remote import Json, MlCommons


class Scripted(MlCommons):
    """Gives its connectors these ids; a model's deployment ends after the first request to undeploy it."""

    def __init__(self, *ids: str) -> None:
        super().__init__(OpenSearch())
        self._ids = list(ids)
        self.asked: list[str] = []

    def _ask(self, method: str, path: str, body: Json | None = None) -> Any:  # noqa: ARG002
        self.asked.append(f"{method} {path}")
        if path == "models/_search":
            return {"hits": {"hits": [{"_id": "other", "_source": {"connector_id": "b-used"}}]}}
        if path == "connectors/_create":
            return {"connector_id": self._ids.pop(0)}
        if path == "connectors/a-used":
            raise exceptions.ConflictError(409, "1 models are still using this connector", {})
        if path == "models/m" and self.asked.count("POST models/m/_undeploy") < 2:
            raise exceptions.RequestError(400, "Model cannot be deleted in deploying or deployed state", {})
        return {}


def test_a_connector_s_id_shares_no_word_with_another_s() -> None:
    ml = Scripted("a-b", "plain_one")
    assert ml.create_connector({}) == "plain_one"
    assert ml.asked == ["POST connectors/_create", "DELETE connectors/a-b", "POST connectors/_create"]


def test_where_each_id_has_a_hyphen_one_of_them_is_taken() -> None:
    assert Scripted(*(f"{number}-node" for number in range(20))).create_connector({}).endswith("-node")
    # It shares the word with a model's already: so would the next.
    assert Scripted("a-used", "a-b").create_connector({}) == "a-used"


def test_a_connector_that_no_model_uses_is_left_where_it_counts_as_used() -> None:
    ml = Scripted()
    ml.delete_connector("a-used")
    assert ml.asked == ["POST models/_search", "DELETE connectors/a-used"]


def test_a_model_whose_deployment_ends_late_is_undeployed_again() -> None:
    ml = Scripted()
    ml.delete_model("m")
    assert ml.asked == ["POST models/m/_undeploy", "DELETE models/m"] * 2
