"""OpenSearch's limits on an index with default settings, each defined once."""

from __future__ import annotations

from collections.abc import Mapping

MAX_NESTED = 10_000
"""Maximum number of regions per photo, the whole photo included (`index.mapping.nested_objects.limit`)."""

MAX_REGION_ID = 32_767
"""Largest number of a region: the field is a `short`."""

MAX_CANDIDATES = 10_000
"""Largest `k` of a k-NN query. It is also the maximum number of hits per request (`index.max_result_window`)."""

MAX_BOXES = 100
"""Maximum number of inner hits per photo (`index.max_inner_result_window`)."""

SETTINGS: Mapping[str, int] = {
    "index.mapping.nested_objects.limit": MAX_NESTED,
    "index.max_result_window": MAX_CANDIDATES,
    "index.max_inner_result_window": MAX_BOXES,
}
"""The index settings behind these limits. With a lower one, OpenSearch refuses photos or searches that sorce allows."""

MAX_KEYWORD_BYTES = 32_766
"""Maximum bytes of a keyword. OpenSearch rejects the whole document of a longer one."""

MAX_KEYWORD_LETTERS = 64
"""Letters that are kept of a photo's keyword: more are cut, in photos and in what is searched for.

`sorce.pictures.keywords` repeats it, since a decoder does not import this room, which loads numpy.
"""
