"""Ports that are asked for now and opened later."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sorce.ports import free_ports


def test_ports_are_different_and_free_and_none_is_one_that_the_system_hands_out() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert all(1024 < port < first for port in ports)
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()


def test_a_port_in_use_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", free_ports(1)[0])) as used:
        taken = used.getsockname()[1]
        drawn = iter([taken, taken, *range(taken + 1, taken + 100)])
        monkeypatch.setattr("random.randrange", lambda *_: next(drawn))
        assert taken not in free_ports(2)
