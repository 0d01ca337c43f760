"""Which ports an installation has open, and to whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

import psutil

from core.services.layout import Layout
from core.services.processes import tagged_processes


@dataclass(frozen=True)
class Listener:
    """A port on which a process of an installation takes connections."""

    address: str
    port: int

    @property
    def is_local(self) -> bool:
        """Whether nobody but this machine can reach it."""
        found = ip_address(self.address)
        if isinstance(found, IPv6Address) and found.ipv4_mapped:
            return found.ipv4_mapped.is_loopback
        return found.is_loopback


def listeners(layout: Layout) -> Sequence[Listener]:
    """Every port of every process of an installation, over TCP or UDP."""
    ours = {process.pid for process in tagged_processes(layout)}
    return [
        Listener(connection.laddr.ip, connection.laddr.port)
        for connection in psutil.net_connections(kind="inet")
        if connection.pid in ours
        and connection.laddr
        # UDP knows no listening: a socket without a peer takes what comes.
        and connection.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)
        and not connection.raddr
    ]
