"""Which environment variables the programs started by this room can see.

Each program gets only what it needs: a shell's environment often holds secrets (AWS_*, HF_TOKEN, SORCE_API_KEY), and
any code inside a process can read its environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

_COMMON = r"PATH|LANG|LANGUAGE|LC_\w+|TZ"
# What Maven needs to find itself, Java, its settings and the network.
_MAVEN = rf"{_COMMON}|HOME|USER|TMPDIR|JAVA_HOME|JAVA_TOOL_OPTIONS|MAVEN_\w+|M2_HOME|(?i:https?_proxy|no_proxy)"
_SETTINGS = Path(".m2") / "settings.xml"


def common_environment() -> dict[str, str]:
    """For OpenSearch, its tools, Java and the shell: the program paths, the language and the time zone."""
    return _passed_on(_COMMON)


def maven_environment() -> dict[str, str]:
    """For Maven: also its own variables, the proxies, and the variables that the user's settings.xml names."""
    settings = Path.home() / _SETTINGS
    named: Iterable[str] = re.findall(r"\$\{env\.(\w+)\}", settings.read_text()) if settings.is_file() else ()
    return _passed_on("|".join([_MAVEN, *named]))


def _passed_on(names: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if re.fullmatch(names, name)}
