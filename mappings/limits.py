"""OpenSearch's limits on an index with default settings: each stands here once."""

MAX_NESTED = 10_000
"""Most regions of one photo, the whole photo included (`index.mapping.nested_objects.limit`)."""

MAX_CANDIDATES = 10_000
"""Largest `k` of a k-NN query. It is also the most hits of one request (`index.max_result_window`)."""

MAX_BOXES = 100
"""Most inner hits of one photo (`index.max_inner_result_window`)."""
