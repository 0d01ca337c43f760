from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from core.services.layout import TAG, Layout, layout_of
from core.services.processes import end_tagged, tagged_processes, users_of

SLEEP = "import time; time.sleep(60)"
READY = f"print(1, flush=True); {SLEEP}"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY}"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return layout_of(tmp_path)


@contextmanager
def running(code: str, tag: str | None, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, **({TAG: tag} if tag else {})}
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        start_new_session=True,
        **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, **options},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def pids(layout: Layout) -> set[int]:
    return {process.pid for process in tagged_processes(layout)}


def test_finds_its_own_and_nothing_else(layout):
    with running(SLEEP, layout.installation) as ours, running(SLEEP, "other") as other:
        with running(SLEEP, None) as stranger:
            found = pids(layout)

    assert ours.pid in found
    assert not {other.pid, stranger.pid, os.getpid(), os.getppid()} & found


def test_finds_children_that_hide_their_mark(layout):
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEP!r}], env={{}})"
    with running(code, layout.installation) as parent:
        while not (children := psutil.Process(parent.pid).children()):
            pass
        assert {parent.pid, children[0].pid} <= pids(layout)
        end_tagged(layout)
        assert not children[0].is_running()


def test_spares_a_shell_on_a_terminal(layout):
    controller, terminal = pty.openpty()
    take_terminal = f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); {READY}"
    with running(take_terminal, layout.installation, stdin=terminal) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        assert shell.pid not in pids(layout)
    os.close(controller)
    os.close(terminal)


def test_ends_also_what_ignores_the_polite_request(layout):
    with running(STUBBORN, layout.installation) as process:
        assert process.stdout is not None
        process.stdout.readline()

        assert end_tagged(layout, term_wait_s=0.2) == 1
        assert not psutil.pid_exists(process.pid)
    assert end_tagged(layout) == 0


def test_finds_who_has_a_file_of_a_folder_open(tmp_path):
    def opening(path: Path) -> str:
        return f"kept = open({str(path)!r}, 'a'); {READY}"

    (tmp_path / "logs").mkdir()
    with (
        running(opening(tmp_path / "pilothouse.db"), None) as holder,
        running(opening(tmp_path / "logs" / "worker.log"), None) as reader,
        (tmp_path / "ours").open("w"),
    ):
        for process in (holder, reader):
            assert process.stdout is not None
            process.stdout.readline()
        assert users_of(tmp_path, besides=["logs"]) == (holder.pid,)
        assert set(users_of(tmp_path, besides=[])) == {holder.pid, reader.pid}
