"""A local OpenSearch for the demo, the tests and a first look; everything else in sorce only knows a URL."""

from sorce.engine.node import Engine, Node, running, running_node, start, status, stop

__all__ = ["Engine", "Node", "running", "running_node", "start", "status", "stop"]
