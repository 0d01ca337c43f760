"""A process that decides is killed by SIGKILL with the turn of the trail in its hand."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.domain import RequestStatus
from core.settings import CODE_ROOT
from tests.integration.deciding_child import REASON, restore, save
from tests.unit.lifecycle import NAME, lifecycle
from tests.unit.stores import address_in
from tests.unit.test_promotion_properties import require_whole, settle


@pytest.mark.timeout(120)
def test_the_next_one_finds_nothing_of_it_and_need_not_wait(tmp_path: Path) -> None:
    with lifecycle(tmp_path) as life:
        for _ in range(2):
            life.train(life.process())
            settle(life)
        (request,) = life.process().promotions.requests(NAME, open_only=True)
        save(life)
        rows = life.process().audit.count()
        child = ("-m", "tests.integration.deciding_child", tmp_path, request.id, "after append_in")
        done = subprocess.run(
            [sys.executable, *child, address_in(tmp_path / "home")], cwd=CODE_ROOT, check=False
        )
        assert done.returncode == -signal.SIGKILL
        restore(life)
        assert life.process().audit.count() == rows
        life.process().promotions.approve(request.id, reason=REASON, actor="bob")
        worker = settle(life)
        require_whole(life, worker)
        assert worker.promotions.get(request.id).status is RequestStatus.APPROVED
