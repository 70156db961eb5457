"""OpenSearch's limits on an index with default settings: each stands here once."""

MAX_NESTED = 10_000
"""Most regions of one photo, the whole photo included (`index.mapping.nested_objects.limit`)."""

MAX_CANDIDATES = 10_000
"""Largest `k` of a k-NN query. It is also the most hits of one request (`index.max_result_window`)."""

MAX_BOXES = 100
"""Most inner hits of one photo (`index.max_inner_result_window`)."""

MAX_KEYWORD_BYTES = 32_766
"""Most bytes of a keyword. A longer one is refused, and its whole document with it."""
