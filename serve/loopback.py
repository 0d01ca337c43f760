"""Keeps a replica's internal port on the loopback when its node is there.

Ray Serve opens a gRPC server for calls between deployments on every interface, whatever
address the node has, and what arrives there is unpickled without a login. No setting
moves it, so the name that Ray's replica looks up to open it is wrapped.
"""

from __future__ import annotations

import ipaddress
from typing import Any

import ray
from ray.serve._private import replica

EVERYWHERE = "[::]:"


def keep_internal_port_local() -> None:
    """Has to run in the replica before its servers open; twice is as good as once."""
    node = ray.util.get_node_ip_address()
    if not ipaddress.ip_address(node).is_loopback:
        return
    open_port = replica.add_port_to_grpc_server
    if getattr(open_port, "is_local", False):
        return

    def open_local_port(server: Any, address: str) -> int:
        port: int = open_port(server, address.replace(EVERYWHERE, f"{node}:"))
        return port

    open_local_port.is_local = True  # type: ignore[attr-defined]
    replica.add_port_to_grpc_server = open_local_port
