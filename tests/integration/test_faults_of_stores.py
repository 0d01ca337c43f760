"""MLflow silent and the database locked in a whole installation, under 300 requests a second."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager

import httpx
import psutil
import pytest

from core.services.layout import layout_of
from core.services.processes import tagged_processes
from core.settings import Settings
from tests.installation import Installation
from tests.load import load
from tests.serving_support import RECORD

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

AWAY_S = 15.0


@contextmanager
def mlflow_stopped(settings: Settings) -> Iterator[None]:
    """MLflow takes connections and says nothing, which is worse than its being gone.

    Killed it would be started again at once.
    """
    found = [
        process for process in tagged_processes(layout_of(settings.home)) if _is_mlflow(process)
    ]
    assert found
    for process in found:
        process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(httpx.TimeoutException):
            httpx.get(f"{settings.mlflow_url}/health", timeout=2, trust_env=False)
        yield
    finally:
        for process in found:
            process.send_signal(signal.SIGCONT)


def _is_mlflow(process: psutil.Process) -> bool:
    # Its server is another program below it, told where MLflow's files are.
    return "mlflow" in " ".join(process.cmdline())


@contextmanager
def database_locked(settings: Settings) -> Iterator[None]:
    """Nobody can write to the database."""
    file = settings.home / "pilothouse.db"
    with (
        closing(sqlite3.connect(file, isolation_level=None)) as holder,
        closing(sqlite3.connect(file, isolation_level=None, timeout=0.1)) as other,
    ):
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        yield


Away = Callable[[Settings], AbstractContextManager[None]]


@pytest.mark.parametrize(
    ("what", "away"), [("MLflow stopped", mlflow_stopped), ("database locked", database_locked)]
)
def test_answers_go_on_without(installation: Installation, what: str, away: Away) -> None:
    settings = installation.settings
    with load(settings.serving_url, "/predict/titanic", {"records": [RECORD]}) as running:
        time.sleep(2.0)
        with away(settings):
            time.sleep(AWAY_S)
        time.sleep(2.0)
        summary = running.stop()
    print(f"\n{what} for {AWAY_S:g} s\n{summary}")  # noqa: T201
    assert set(summary.outcomes) == {"200"}
    assert not summary.untrue_ready()
