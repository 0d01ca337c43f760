"""Finds and ends processes of one installation by the mark they carry, and no others."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from pathlib import Path

import psutil

from core.errors import SetupError
from core.services.layout import TAG, Layout

#: Ray's nodes need a few seconds to take their children down with them.
TERM_WAIT_S = 10.0
KILL_WAIT_S = 5.0
_SWEEP_LIMIT_S = 40.0
#: Ray's workers write their name over their environment, which hides the mark; their logs
#: in the installation's own folder still tell whose they are.
_RENAMED = "ray"


def tagged_processes(layout: Layout) -> Sequence[psutil.Process]:
    """Processes of an installation and what they started.

    Not counted: this process and those it stems from, and whatever hangs on a terminal,
    because that is a person's shell that inherited the mark. Our services have none.
    """
    me = psutil.Process()
    spared = {me.pid, *(parent.pid for parent in me.parents())}
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        if process.pid in spared or process.pid in found or not _is_ours(process, layout):
            continue
        found[process.pid] = process
        for child in _children(process):
            if child.pid not in spared:
                found[child.pid] = child
    return tuple(found.values())


def users_of(folder: Path, besides: Collection[str]) -> Sequence[int]:
    """Pids of other processes of this user that have a file below a folder open.

    ``besides`` are entries of the folder that anybody may have open.
    """
    me = psutil.Process().pid
    return tuple(
        process.pid
        for process in psutil.process_iter()
        if process.pid != me and _has_open(process, folder, besides)
    )


def end_tagged(
    layout: Layout, term_wait_s: float = TERM_WAIT_S, kill_wait_s: float = KILL_WAIT_S
) -> int:
    """Ends every process of an installation and waits until none is left.

    Returns:
        How many were found.

    Raises:
        SetupError: some cannot be ended.
    """
    seen: set[int] = set()
    deadline = time.monotonic() + _SWEEP_LIMIT_S
    while processes := tagged_processes(layout):
        if time.monotonic() > deadline:
            names = ", ".join(f"{process.pid}" for process in processes)
            raise SetupError(
                f"Processes {names} of this installation do not end.", fix="End them by hand."
            )
        seen.update(process.pid for process in processes)
        _signal_all(processes, "terminate")
        _, alive = psutil.wait_procs(processes, timeout=term_wait_s)
        _signal_all(alive, "kill")
        psutil.wait_procs(alive, timeout=kill_wait_s)
    return len(seen)


def _is_ours(process: psutil.Process, layout: Layout) -> bool:
    try:
        mark = process.environ().get(TAG)
        if mark is None and process.name().startswith(_RENAMED):
            return any(
                Path(file.path).is_relative_to(layout.runtime) for file in process.open_files()
            )
        return mark == layout.installation and not _has_terminal(process.pid)
    except (psutil.Error, OSError):
        return False  # gone meanwhile, or another user's


def _has_open(process: psutil.Process, folder: Path, besides: Collection[str]) -> bool:
    try:
        files = [Path(file.path) for file in process.open_files()]
    except (psutil.Error, OSError):
        return False  # gone meanwhile, or another user's
    return any(
        file.is_relative_to(folder) and file.relative_to(folder).parts[0] not in besides
        for file in files
    )


def _has_terminal(pid: int) -> bool:
    """Whether a process has a controlling terminal: field 7 of Linux's ``stat``.

    psutil knows only the terminals that were there when it first looked.
    """
    after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2]
    return after_name.split()[4] != "0"


def _children(process: psutil.Process) -> Sequence[psutil.Process]:
    try:
        children = process.children(recursive=True)
        return [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
    except psutil.Error:
        return ()


def _signal_all(processes: Sequence[psutil.Process], method: str) -> None:
    for process in processes:
        try:
            getattr(process, method)()
        except psutil.Error:
            continue  # gone meanwhile
