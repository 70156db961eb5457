"""What all tests share: a real OpenSearch."""

import os
from collections.abc import Iterator

import pytest

from sorce.engine import running


@pytest.fixture(scope="session")
def opensearch() -> Iterator[str]:
    """The URL of a real OpenSearch, started for this run; or the one that SORCE_TEST_URL names, which stays."""
    shared = os.environ.get("SORCE_TEST_URL")
    if shared:
        yield shared.rstrip("/")
    else:
        with running() as url:
            yield url
