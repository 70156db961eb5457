"""Fixtures of the plugin's tests: an index with answers known by numpy, an encoder service, the installed plugin."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opensearchpy import OpenSearch

from sorce.plugin.cluster.endpoint import parse
from sorce.plugin.cluster.install import install, uninstall
from sorce.plugin.service import app as service
from tests.kit.corpus import RECIPE, Corpus, Words
from tests.kit.indexed import indexed
from tests.kit.serving import serving


@pytest.fixture(scope="module")
def index(client: OpenSearch, corpus: Corpus) -> Iterator[str]:
    """The corpus, indexed; nothing installed."""
    with indexed(client, corpus) as name:
        yield name


@pytest.fixture(scope="module")
def encoder_url() -> Iterator[str]:
    with serving(service.application(service.Served(RECIPE.model, Words()))) as url:
        yield url


@pytest.fixture(scope="module")
def installed(client: OpenSearch, index: str, encoder_url: str) -> Iterator[str]:
    """The index, with the plugin installed for it."""
    install(client, index, parse(encoder_url, RECIPE.model, None), Words())
    yield index
    uninstall(client, index)
