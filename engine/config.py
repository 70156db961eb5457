"""The configuration of one node, so that several can run from one unpacked OpenSearch."""

import json
import shutil
from pathlib import Path
from typing import Any

from sorce.engine.java import Java


def write_config(folder: Path, distribution: Path, settings: dict[str, Any], heap: str, java: Java) -> None:
    """Write what OPENSEARCH_PATH_CONF points to; a keystore that OpenSearch made there stays."""
    shutil.copytree(distribution / "config", folder, dirs_exist_ok=True)
    options = (distribution / "config" / "jvm.options").read_text()
    (folder / "jvm.options").write_text(_jvm_options(options, folder.parent / "logs", heap, java))
    # JSON is YAML, and needs no second thought about quotes.
    lines = (f"{name}: {json.dumps(value)}\n" for name, value in (LOCAL_SETTINGS | settings).items())
    (folder / "opensearch.yml").write_text("".join(lines))


LOCAL_SETTINGS: dict[str, Any] = {
    "cluster.name": "sorce",
    "node.name": "sorce",
    "discovery.type": "single-node",
    "network.host": "127.0.0.1",
    # ML Commons refuses to work with 90 % of the machine's memory in use, and counts the file cache;
    # with 85 % of the heap in use, and counts garbage, of which a small heap is full at times;
    # and with less than 5 GB of disk, which a remote model has no use for.
    "plugins.ml_commons.native_memory_threshold": 100,
    "plugins.ml_commons.jvm_heap_memory_threshold": 95,
    "plugins.ml_commons.disk_free_space_threshold": "1gb",
    # The shares that OpenSearch leaves free by default (5 to 15 %) are many gigabytes of a laptop's disk:
    # it would refuse to make indices, or make them read-only, with plenty left.
    "cluster.routing.allocation.disk.watermark.low": "2gb",
    "cluster.routing.allocation.disk.watermark.high": "1gb",
    "cluster.routing.allocation.disk.watermark.flood_stage": "500mb",
}


def _jvm_options(given: str, logs: Path, heap: str, java: Java) -> str:
    """OpenSearch's own options, with this heap, and without what would be written into its folder."""
    lines = [f"-Xms{heap}", f"-Xmx{heap}"]
    for line in given.splitlines():
        dropped = line.startswith(("#", "-Xm")) or "HeapDump" in line or "gc.log" in line
        if dropped or (not java.has_vectors and "jdk.incubator.vector" in line):
            continue
        lines.append(line.replace("=logs/", f"={logs}/"))
    return "\n".join(lines) + "\n"
