"""Further nodes of an installation's Ray cluster, on this machine, and what runs on which."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from core.adapters.ray_token import TokenFromFile
from core.settings import Settings
from tests.installation import Installation

JOIN_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Joined:
    """A node that has joined: Ray's id of it, and the process that keeps it."""

    id: str
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """Ends the node as a lost machine does: everything on it, at one moment."""
        for one in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Ends what is left of it."""
        family = self._family()
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        _, alive = psutil.wait_procs(family, timeout=STOP_TIMEOUT_S)
        for one in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        self.process.wait()

    def _family(self) -> list[psutil.Process]:
        try:
            found = psutil.Process(self.process.pid)
            return [found, *found.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


class Cluster:
    """What Ray's dashboard says of nodes and actors."""

    def __init__(self, settings: Settings) -> None:
        auth = TokenFromFile(settings.ray_token_file)
        self._http = httpx.Client(
            base_url=settings.ray_dashboard_url, auth=auth, trust_env=False, timeout=30
        )

    def node_ids(self) -> set[str]:
        """Nodes that are alive."""
        rows = self._rows("nodes")
        return {row["node_id"] for row in rows if row["state"] == "ALIVE"}

    def head_id(self) -> str:
        """The head's node."""
        (head,) = [row["node_id"] for row in self._rows("nodes") if row["is_head_node"]]
        return str(head)

    def actors(self, kind: str) -> Sequence[Mapping[str, Any]]:
        """Living actors whose class is called so, such as ``RayDPExecutor``."""
        rows = self._rows("actors")
        return [row for row in rows if row["state"] == "ALIVE" and kind in row["class_name"]]

    def close(self) -> None:
        self._http.close()

    def _rows(self, of: str) -> list[dict[str, Any]]:
        response = self._http.get(f"/api/v0/{of}?detail=1&limit=1000").raise_for_status()
        rows: list[dict[str, Any]] = response.json()["data"]["result"]["result"]
        return rows


@contextmanager
def cluster_of(settings: Settings) -> Iterator[Cluster]:
    cluster = Cluster(settings)
    try:
        yield cluster
    finally:
        cluster.close()


@contextmanager
def joined(installation: Installation, log: Path) -> Iterator[Joined]:
    """Has a node join as people do; ends it again if it is still there."""
    with cluster_of(installation.settings) as cluster:
        before = cluster.node_ids()
        with log.open("wb") as out:
            process = subprocess.Popen(
                [str(Path(sys.executable).with_name("pilothouse")), "service", "ray-node"],
                env=dict(installation.environment),
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + JOIN_TIMEOUT_S
        while not (new := cluster.node_ids() - before):
            assert process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.3)
    (id_,) = new
    node = Joined(id_, process)
    try:
        yield node
    finally:
        node.stop()
