"""The configuration of one node. Several nodes can run from one unpacked OpenSearch, each with its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from sorce.engine.java import Java

LOCAL_SETTINGS: dict[str, Any] = {
    "cluster.name": "sorce",
    "node.name": "sorce",
    "discovery.type": "single-node",
    "network.host": "127.0.0.1",
    # By default ML Commons stops working when 90 % of the machine's memory is in use, including the file cache. It also
    # stops when 85 % of the heap is in use, including garbage, which a small heap sometimes reaches. And it needs 5 GB
    # of free disk, which remote models do not need.
    "plugins.ml_commons.native_memory_threshold": 100,
    "plugins.ml_commons.jvm_heap_memory_threshold": 95,
    "plugins.ml_commons.disk_free_space_threshold": "1gb",
    # By default OpenSearch keeps 5 to 15 % of the disk free, which is many gigabytes on a laptop. Below that it creates
    # no index, or makes indices read-only.
    "cluster.routing.allocation.disk.watermark.low": "2gb",
    "cluster.routing.allocation.disk.watermark.high": "1gb",
    "cluster.routing.allocation.disk.watermark.flood_stage": "500mb",
}


def write_config(home: Path, opensearch: Path, settings: dict[str, Any], java_options: list[str], java: Java) -> Path:
    """Create the folder `config` anew in this home, from the one of the unpacked OpenSearch. Returns its path.

    OpenSearch's user owns the old folder and could have put links in it. So nothing is written there.
    """
    folder = home / "config"
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)
    # Closed to others from the start. copytree would use the mode of the distribution's folder, which is open.
    folder.mkdir(mode=0o700)
    for path in (opensearch / "config").iterdir():
        if path.is_dir():
            shutil.copytree(path, folder / path.name)
        else:
            shutil.copy(path, folder)
    given = (opensearch / "config" / "jvm.options").read_text()
    (folder / "jvm.options").write_text(_jvm_options(given, home / "logs", java_options, java))
    # JSON is valid YAML, and its quoting rules are simpler.
    lines = (f"{name}: {json.dumps(value)}\n" for name, value in (LOCAL_SETTINGS | settings).items())
    (folder / "opensearch.yml").write_text("".join(lines))
    return folder


def _jvm_options(given: str, logs: Path, own: list[str], java: Java) -> str:
    """OpenSearch's own options plus ours, without those that write into OpenSearch's folder."""
    lines = list(own)
    for line in given.splitlines():
        dropped = line.startswith(("#", "-Xm")) or "HeapDump" in line or "gc.log" in line
        if dropped or (not java.has_vectors and "jdk.incubator.vector" in line):
            continue
        lines.append(line.replace("=logs/", f"={logs}/"))
    return "\n".join(lines) + "\n"
