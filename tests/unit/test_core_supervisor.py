"""What the process manager's refusals mean."""

from __future__ import annotations

import xmlrpc.client
from pathlib import Path
from typing import Any

import pytest
from supervisor.xmlrpc import Faults

from core.adapters.supervisor import SupervisorDaemon
from core.errors import UnavailableError


class Refusing:
    """A daemon that refuses everything with one code."""

    def __init__(self, code: int) -> None:
        self._code = code

    @property
    def supervisor(self) -> Refusing:
        return self

    def startProcess(self, *_: Any) -> None:
        raise xmlrpc.client.Fault(self._code, "REFUSED")

    stopProcess = startProcess


def daemon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int) -> SupervisorDaemon:
    monkeypatch.setattr("xmlrpc.client.ServerProxy", lambda *_, **__: Refusing(code))
    return SupervisorDaemon(tmp_path / "socket")


def test_one_that_was_faster_is_fine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    daemon(monkeypatch, tmp_path, Faults.ALREADY_STARTED).start_program("ray")
    daemon(monkeypatch, tmp_path, Faults.NOT_RUNNING).stop_program("ray")


def test_any_other_refusal_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="refused: REFUSED"):
        daemon(monkeypatch, tmp_path, Faults.NOT_RUNNING).start_program("ray")
    with pytest.raises(UnavailableError, match="refused: REFUSED"):
        daemon(monkeypatch, tmp_path, Faults.ALREADY_STARTED).stop_program("ray")
