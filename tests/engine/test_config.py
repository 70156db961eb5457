from pathlib import Path

import pytest

from sorce.engine.config import LOCAL_SETTINGS, write_config
from sorce.engine.java import Java

OPTIONS = """\
# a comment
-Xms1g
-Xmx1g
11-:-XX:+UseG1GC
-XX:+HeapDumpOnOutOfMemoryError
-XX:HeapDumpPath=data
-XX:ErrorFile=logs/hs_err_pid%p.log
9-:-Xlog:gc*,gc+age=trace,safepoint:file=logs/gc.log:utctime,pid,tags
20-:--add-modules=jdk.incubator.vector
"""


@pytest.mark.parametrize("has_vectors", [True, False])
def test_jvm_options_have_the_heap_and_only_modules_that_java_has(tmp_path: Path, has_vectors: bool) -> None:
    (tmp_path / "opensearch" / "config").mkdir(parents=True)
    (tmp_path / "opensearch" / "config" / "jvm.options").write_text(OPTIONS)
    java = Java(Path("/java"), "25.0.3", has_vectors)
    (tmp_path / "node").mkdir()
    write_config(tmp_path / "node", tmp_path / "opensearch", {"http.port": 1}, ["-Xms512m", "-Xmx512m"], java)
    written = (tmp_path / "node" / "config" / "jvm.options").read_text().splitlines()
    expected = ["-Xms512m", "-Xmx512m", "11-:-XX:+UseG1GC", f"-XX:ErrorFile={tmp_path}/node/logs/hs_err_pid%p.log"]
    assert written == expected + ["20-:--add-modules=jdk.incubator.vector"] * has_vectors


def test_what_the_plugin_has_to_set_itself_is_not_set_here() -> None:
    theirs = {"trusted_connector_endpoints_regex", "connector.private_ip_enabled", "only_run_on_ml_node"}
    assert not {f"plugins.ml_commons.{name}" for name in theirs} & LOCAL_SETTINGS.keys()
