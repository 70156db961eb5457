"""The release lines of OpenSearch that can be started: the newest, without users, and the oldest supported, secured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Module:
    """A module that the distribution lacks: its class, and the Java runtime permissions its code needs."""

    name: str
    classname: str
    permissions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReleaseLine:
    """A version of OpenSearch with its plugins.

    `version` is a profile of pom.xml. `java` holds the major versions of Java that it runs on. A secured line uses TLS
    and has users.
    """

    version: str
    java: range
    megabytes: int
    secured: bool = False
    modules: tuple[Module, ...] = ()

    def __str__(self) -> str:
        return f"OpenSearch {self.version}"

    @property
    def needs(self) -> str:
        """The versions of Java, in words."""
        return f"Java {self.java.start} " + ("or newer" if self.java.stop > 99 else f"to {self.java.stop - 1}")


# Each permission is copied from the module's `plugin-security.policy` in OpenSearch's own distribution.
PAINLESS = Module("lang-painless", "org.opensearch.painless.PainlessPlugin", ("createClassLoader", "getClassLoader"))
MUSTACHE = Module("lang-mustache", "org.opensearch.script.mustache.MustachePlugin", ("accessDeclaredMembers",))
REINDEX = Module("reindex", "org.opensearch.index.reindex.ReindexPlugin", ())

LINES: Mapping[str, ReleaseLine] = {
    "3.6": ReleaseLine("3.6.0", java=range(21, 100), megabytes=570),
    # It needs Java's security manager, which later versions of Java do not have.
    "2.19": ReleaseLine(
        "2.19.1", java=range(11, 22), megabytes=460, secured=True, modules=(PAINLESS, MUSTACHE, REINDEX)
    ),
}
NEWEST = "3.6"
