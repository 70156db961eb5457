"""The nodes of one engine's cluster: their places and ports. `tests/ingest/test_nodes.py` starts them."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from sorce.engine import Engine
from sorce.engine.commands import engine as commands
from sorce.engine.nodes import cluster, nodes_of, refuse_cluster
from sorce.engine.process import homes
from sorce.errors import EngineError


@pytest.fixture
def engine(room: Path) -> Engine:
    return Engine(room / "three", room / "three" / "data", port=0)


def test_each_node_has_its_own_folder_and_ports_and_knows_all_others(engine: Engine) -> None:
    nodes = cluster(engine, 3)
    assert nodes_of(engine) == nodes
    assert len({node.home for node in nodes} | {node.data for node in nodes}) == 6
    assert all(node.peers is not None for node in nodes)
    settings = [node.peers.settings for node in nodes if node.peers is not None]
    assert len({node.port for node in nodes} | {each["transport.port"] for each in settings}) == 6
    assert [each["node.name"] for each in settings] == settings[0]["cluster.initial_cluster_manager_nodes"]
    assert len({tuple(each["discovery.seed_hosts"]) for each in settings}) == 1
    for node in nodes:
        node.home.mkdir(exist_ok=True)
    assert homes(engine.home) == [node.home for node in nodes]


def test_the_number_of_nodes_stays_while_there_is_data(engine: Engine) -> None:
    cluster(engine, 3)
    assert len(cluster(engine, 2)) == 2
    engine.data.mkdir()
    with pytest.raises(EngineError, match="this engine holds data of 2 nodes: give another --name for 3"):
        cluster(engine, 3)
    with pytest.raises(EngineError, match="this engine has 2 nodes: add --nodes 2"):
        refuse_cluster(engine)


@pytest.mark.parametrize("option", [["--line", "2.19"], ["--data", "/tmp/x"]])
def test_options_that_do_not_go_with_several_nodes_are_refused(option: list[str]) -> None:
    refused = CliRunner().invoke(commands, ["start", "--nodes", "3", *option])
    assert (refused.exit_code, "--nodes needs line 3.6" in refused.output) == (2, True)
