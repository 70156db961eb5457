"""A local OpenSearch for the demo, the tests and a first look. The rest of sorce only needs a URL."""

from sorce.engine.lifecycle import start, status, stop
from sorce.engine.node import Engine, Node
from sorce.engine.temporary import running, running_node, running_nodes

__all__ = ["Engine", "Node", "running", "running_node", "running_nodes", "start", "status", "stop"]
