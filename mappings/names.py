"""The names of the objects that sorce installs in a cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

from sorce.errors import IndexNameError

User = Literal["template", "neural", "located"]
"""Which part of OpenSearch uses a model: two encode texts, and `located` looks at photos again."""


_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\/*?\"<>|,#:%]")
_MAX_BYTES = 255
_MAX_ALIAS_BYTES = _MAX_BYTES - len("-00112233")
"""An alias's indices are named after it and after their recipes."""


def check_index_name(name: str) -> str:
    """The name, if it is valid for one index or alias. Raises IndexNameError.

    This is checked before any request: where a name is expected, OpenSearch accepts wildcards, lists (a,b), exclusions
    (-a), dates (<a-{now/d}>) and `_all`.
    """
    wrong, given = None, cast(object, name)
    # A program may give anything.
    if not isinstance(given, str):
        wrong = "it is not text"
    elif not name:
        wrong = "it is empty"
    elif forbidden := _FORBIDDEN.search(name):
        wrong = f"it holds {forbidden[0]!r}"
    elif name[0] in "-_+" or name in (".", ".."):
        wrong = f"it begins with {name[0]!r}"
    elif name != name.lower():
        wrong = "it holds capital letters"
    elif not name.isprintable():
        wrong = "it holds characters that cannot be shown"
    elif len(name.encode(errors="surrogatepass")) > _MAX_BYTES:
        wrong = f"it is longer than {_MAX_BYTES} bytes"
    if wrong is not None:
        raise IndexNameError(
            f"{name!r} cannot be the name of one index or alias: {wrong}; give one name in lower case, such as photos."
        )
    return name


def check_alias_name(name: str) -> str:
    """The name, if an alias can have it and its indices can be named after it. Raises IndexNameError."""
    if len(check_index_name(name).encode()) > _MAX_ALIAS_BYTES:
        raise IndexNameError(
            f"the alias {name!r} is longer than {_MAX_ALIAS_BYTES} bytes, so its indices cannot be named after it; "
            "give a shorter one."
        )
    return name


@dataclass(frozen=True)
class Names:
    """They contain the name of the index (or alias), since indices may have different models. For `photos`:

    sorce-photos          search pipeline, stored template, model group; model (with its connector) of the template
    sorce-photos:neural   model (with its connector) of `neural`
    sorce-photos:default  the index's default pipeline: `neural` without a model id. It also stores the record of the
                          cluster's settings.
    sorce-photos:located  search pipeline, stored template and model (with its connector) of the second stage. The
                          pipeline also stores that installation's record.
    sorce-photos:bar      search pipeline that encodes what is typed into the query bar of OpenSearch Dashboards

    No index name can contain a colon, so no other index has the same names. sorce 0.1.0 used a hyphen instead:
    `sorce-photos-default` was also the search pipeline of an index `photos-default`.
    """

    index: str

    @property
    def search(self) -> str:
        """Name of the template, its pipeline and the model group."""
        return f"sorce-{self.index}"

    @property
    def default(self) -> str:
        """Name of the index's default pipeline."""
        return f"{self.search}:default"

    @property
    def located(self) -> str:
        """Name of the second stage's template, pipeline, model and connector."""
        return f"{self.search}:located"

    @property
    def bar(self) -> str:
        """Name of the pipeline for the query bar of OpenSearch Dashboards."""
        return f"{self.search}:bar"

    @property
    def old_default(self) -> str:
        """Name of the index's default pipeline made by 0.1.0."""
        return f"{self.search}-default"

    @property
    def old_neural(self) -> str:
        """Name of the model of `neural` made by 0.1.0."""
        return f"{self.search}-neural"

    def model(self, user: User) -> str:
        """Name of a model and its connector."""
        return self.search if user == "template" else f"{self.search}:{user}"
