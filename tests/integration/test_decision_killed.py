"""A process that approves is killed by SIGKILL; the worker makes the decision whole."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.domain import RequestStatus
from core.promotion.audit import Action
from core.settings import CODE_ROOT
from tests.integration.deciding_child import restore, save
from tests.unit.lifecycle import NAME, lifecycle
from tests.unit.test_promotion_properties import require_whole, settle


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("step", "decided"),
    [
        pytest.param("read", False, marks=pytest.mark.long),
        # In the transaction, after its first row.
        ("after append_in", False),
        ("before set_alias", True),
        pytest.param("after set_alias", True, marks=pytest.mark.long),
        pytest.param("before deploy", True, marks=pytest.mark.long),
    ],
)
def test_an_approval_survives_sigkill(tmp_path: Path, step: str, decided: bool) -> None:
    with lifecycle(tmp_path) as life:
        for _ in range(2):
            life.train(life.process())
            settle(life)
        (request,) = life.process().promotions.requests(NAME, open_only=True)
        save(life)
        child = subprocess.run(
            [sys.executable, "-m", "tests.integration.deciding_child", tmp_path, request.id, step],
            cwd=CODE_ROOT,
            check=False,
        )
        assert child.returncode == -signal.SIGKILL
        restore(life)
        worker = settle(life)
        require_whole(life, worker)
        status = worker.promotions.get(request.id).status
        assert status is (RequestStatus.APPROVED if decided else RequestStatus.OPEN)
        assert life.replicas.answers == {NAME: 2 if decided else 1}
        told = [row.entry.action for row in worker.audit.list(None)]
        assert told.count(Action.DECISION_COMPLETED) == int(decided)
