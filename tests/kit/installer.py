"""What install and uninstall do to a cluster's settings, without models."""

from __future__ import annotations

import uuid
from dataclasses import replace

from opensearchpy import OpenSearch

from sorce.plugin.cluster.allow_list import AllowList
from sorce.plugin.cluster.endpoint import Endpoint, parse
from sorce.plugin.cluster.record import INSTALLED, LEAVING, Record


class Installer:
    """One installation: its record, in a search pipeline, and its entry of the trusted list."""

    def __init__(self, client: OpenSearch, endpoint: Endpoint | None = None) -> None:
        self.client = client
        self.name = f"sorce-test-trust-{uuid.uuid4().hex[:8]}:default"
        # An address of no machine. Since it is not private, the other setting is not changed.
        self.endpoint = endpoint or parse(f"https://1.1.1.1/{uuid.uuid4().hex}", "m", None)
        self.record: Record | None = None

    def put(self, record: Record) -> None:
        self.record = record
        body = {"description": record.description(), "request_processors": []}
        self.client.search_pipeline.put(id=self.name, body=body)

    def install(self) -> None:
        trust = AllowList(self.client, [self.name])
        self.put(trust.record(self.endpoint))
        trust.add(self.endpoint)
        assert self.record is not None
        self.put(replace(self.record, state=INSTALLED))

    def uninstall(self) -> None:
        if self.record is not None:
            self.put(replace(self.record, state=LEAVING))
            AllowList(self.client, [self.name]).tidy(self.record)
            self.client.search_pipeline.delete(id=self.name)
            self.record = None
