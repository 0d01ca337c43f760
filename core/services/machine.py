"""What this machine has: cores, memory, disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psutil

_MIB = 2**20
#: Where a container reads its own limit and use, for cgroup v2 and v1.
_CGROUP_FILES = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def usable_cores() -> int:
    """Physical cores that this process may use."""
    physical = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    return max(1, min(physical, len(os.sched_getaffinity(0))))


def available_memory_mb() -> int:
    """MiB that programs can still take, under a container's limit if there is one."""
    free = int(psutil.virtual_memory().available)
    for limit_file, use_file in _CGROUP_FILES:
        limit, use = _number(Path(limit_file)), _number(Path(use_file))
        if limit is not None and use is not None:
            free = min(free, max(0, limit - use))
    return free // _MIB


def free_disk_mb(folder: Path) -> int:
    """MiB free where ``folder`` is, or will be once it exists."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return shutil.disk_usage(existing).free // _MIB


def is_writable(folder: Path) -> bool:
    """Whether ``folder`` can be written, or be made."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
