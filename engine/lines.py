"""The lines of OpenSearch that run here: the newest one, open to all, and the oldest that sorce supports, secured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Module:
    """A module that the line's distribution lacks: its class, and the runtime permissions that its code needs."""

    name: str
    classname: str
    permissions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReleaseLine:
    """A version of OpenSearch with its plugins; `version` is a profile of pom.xml, `java` the majors it runs on.

    A secured line speaks TLS and knows users.
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
        """The Java, in words."""
        return f"Java {self.java.start} " + ("or newer" if self.java.stop > 99 else f"to {self.java.stop - 1}")


# Of the maker's `plugin-security.policy` files: what the code below needs of Java's security manager.
PAINLESS = Module("lang-painless", "org.opensearch.painless.PainlessPlugin", ("createClassLoader", "getClassLoader"))
MUSTACHE = Module("lang-mustache", "org.opensearch.script.mustache.MustachePlugin", ("accessDeclaredMembers",))
REINDEX = Module("reindex", "org.opensearch.index.reindex.ReindexPlugin", ())

LINES: Mapping[str, ReleaseLine] = {
    "3.6": ReleaseLine("3.6.0", java=range(21, 100), megabytes=570),
    # The security manager, which it needs, is gone from later Javas.
    "2.19": ReleaseLine(
        "2.19.1", java=range(11, 22), megabytes=460, secured=True, modules=(PAINLESS, MUSTACHE, REINDEX)
    ),
}
NEWEST = "3.6"
