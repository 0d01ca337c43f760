"""CPU time and memory of processes of one node, each with what descends from it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

#: Finding out who descends from whom costs more than a look, and is needed more seldom.
REFRESH_S = 5.0


@dataclass(frozen=True)
class Reading:
    """One process of this node now, with all that descends from it.

    ``cpu_s`` counts from the start of the process; ``own_rss_mb`` is the process alone.
    """

    pid: int
    cpu_s: float
    rss_mb: float
    own_rss_mb: float


class ProcessReader:
    """Reads processes of the node it lives on, each with all that descends from it.

    An executor's Python workers are such descendants; XGBoost trains in them. The CPU time
    of one that has ended stays with the process that waited for it, so a sum over those
    that live and what they waited for loses nothing, however short a worker's life was.
    """

    def __init__(self, refresh_s: float = REFRESH_S) -> None:
        self._refresh_s = refresh_s
        self._found_at = -refresh_s
        #: Each process that was asked for, followed by its descendants.
        self._trees: dict[int, list[psutil.Process]] = {}
        #: The most CPU time that a tree was seen with.
        self._cpu_s: dict[int, float] = {}

    def read(self, pids: Sequence[int]) -> tuple[Reading, ...]:
        """CPU time and memory of processes with their descendants; one that is gone is left out."""
        now = time.monotonic()
        # Looking for descendants goes through every process of the node.
        if now - self._found_at >= self._refresh_s or set(pids) - set(self._trees):
            self._found_at = now
            self._trees = _trees(pids)
        readings = (self._reading(pid) for pid in pids if pid in self._trees)
        return tuple(one for one in readings if one is not None)

    def _reading(self, pid: int) -> Reading | None:
        cpu_s = rss_mb = own_rss_mb = 0.0
        for process in self._trees[pid]:
            try:
                times = process.cpu_times()
                memory = process.memory_info().rss
            except psutil.Error:
                if process.pid == pid:
                    self._cpu_s.pop(pid, None)
                    return None
                continue
            cpu_s += times.user + times.system + times.children_user + times.children_system
            rss_mb += memory / 2**20
            if process.pid == pid:
                own_rss_mb = memory / 2**20
        # A child that ends while it is read is missed once: its parent was read before it.
        self._cpu_s[pid] = max(cpu_s, self._cpu_s.get(pid, 0.0))
        return Reading(pid, self._cpu_s[pid], rss_mb, own_rss_mb)


def _trees(pids: Sequence[int]) -> dict[int, list[psutil.Process]]:
    """Each of ``pids`` that lives, followed by its descendants, parents before children."""
    children: dict[int, list[psutil.Process]] = defaultdict(list)
    roots: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        try:
            children[process.ppid()].append(process)
        except psutil.Error:
            continue
        if process.pid in pids:
            roots[process.pid] = process
    trees = {}
    for pid, root in roots.items():
        tree = [root]
        for member in tree:  # grows while it is walked
            tree += children[member.pid]
        trees[pid] = tree
    return trees
