"""Every action that changes something is one row, done, refused or failed."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.adapters.database_audit import AuditRecords
from core.domain import RunStatus
from core.domain_watching import Alert, AlertStatus
from core.errors import (
    ConflictError,
    DataContractError,
    InvalidInputError,
    NotFoundError,
    PilothouseError,
    UnavailableError,
)
from core.monitoring.report import Topic
from core.promotion.identity import RETRAINER
from core.training.runs import CAUSE
from tests.unit.alert_values import CRITICAL, OK, check_of, report_of
from tests.unit.core_fakes import PROBLEM, World, make_world

GOOD = b"weight,stones,colour,taste\n40,1,blue,sweet\n50.5,,yellow,\n"
BAD = b"weight,stones,colour,taste\n-40,1,blue,sweet\n-50,9,yellow,\n"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path)
    yield made
    assert made.pilothouse.audit.verify().is_whole
    made.close()


def _rows(world: World) -> list[tuple[str, str, str, str]]:
    """Action, object, outcome and actor of each row, oldest first."""
    rows = reversed(world.pilothouse.audit.list(None))
    entries = [row.entry for row in rows]
    return [(one.action, one.object, one.outcome, one.actor) for one in entries]


def _detail(world: World) -> str:
    return world.pilothouse.audit.list(1)[0].entry.detail


def _refused(error: type[PilothouseError], act: Callable[[], object]) -> None:
    with pytest.raises(error):
        act()


def test_runs(world: World) -> None:
    runs = world.pilothouse.runs
    run = runs.start("plums", profile="1c-1g", overrides={"search.trials": "3"}, actor="ann")
    assert _rows(world) == [("run started", f"run {run.id}", "done", "ann")]
    assert _detail(world) == "profile 1c-1g, search.trials=3"
    _refused(ConflictError, world.start)
    assert _rows(world)[1:] == [("run started", "run of plums", "refused", "ann")]
    assert _detail(world) == f"Run {run.id[:8]} of plums is active already."
    runs.cancel(run.id, actor="ben")
    assert _rows(world)[2:] == [("run cancelled", f"run {run.id}", "done", "ben")]
    _refused(ConflictError, lambda: runs.cancel(run.id, actor="ben"))
    _refused(NotFoundError, lambda: runs.cancel("nobody", actor="ben"))
    assert _rows(world)[3:] == [
        ("run cancelled", f"run {run.id}", "refused", "ben"),
        ("run cancelled", "run nobody", "refused", "ben"),
    ]
    assert {row.entry.problem for row in world.pilothouse.audit.list(None)} == {"plums", ""}


def test_why_the_policy_trains_again_is_the_reason(world: World) -> None:
    cause = {CAUSE: "Critical drift of batch b1.", "alerts": "a1"}
    runs = world.pilothouse.runs
    runs.start("plums", profile=None, overrides={}, actor=RETRAINER, batches=["b1"], cause=cause)
    entry = world.pilothouse.audit.list(1)[0].entry
    assert (entry.reason, entry.role) == ("Critical drift of batch b1.", "system")
    assert entry.detail.endswith(", batch b1")


def test_a_run_that_ray_does_not_take(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object) -> None:
        raise UnavailableError("Ray does not answer.")

    monkeypatch.setattr(world.cluster, "submit", down)
    _refused(UnavailableError, world.start)
    (run,) = world.pilothouse.database.runs(None, 10)
    told = ("run started", f"run {run.id}")
    assert _rows(world) == [(*told, "done", "ann"), (*told, "failed", "ann")]


def test_what_the_policy_cannot_start_is_no_row(world: World) -> None:
    world.cluster.plug.pulled = True
    _refused(
        UnavailableError,
        lambda: world.pilothouse.runs.start("plums", profile=None, overrides={}, actor=RETRAINER),
    )
    assert _rows(world) == []


def test_no_run_starts_without_its_row(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_rows(monkeypatch)
    _refused(UnavailableError, world.start)
    assert world.pilothouse.database.runs(None, 10) == ()
    assert world.cluster.jobs == {}
    (tracked,) = world.tracker.runs.values()
    assert tracked.status is RunStatus.CANCELLED


def test_a_run_that_ends_by_itself_while_it_is_cancelled(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.start()

    def too_late(job_id: str) -> None:
        world.complete(run.id, 0.8)

    monkeypatch.setattr(world.cluster, "stop", too_late)
    _refused(ConflictError, lambda: world.pilothouse.runs.cancel(run.id, actor="ben"))
    told = ("run cancelled", f"run {run.id}")
    assert _rows(world)[1:] == [(*told, "done", "ben"), (*told, "refused", "ben")]
    assert "finished while it was being stopped" in _detail(world)


def test_no_sweep_starts_and_none_is_cancelled_without_its_row(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = _sweep(world)
    with monkeypatch.context() as patch:
        _without_rows(patch)
        _refused(UnavailableError, lambda: world.pilothouse.sweeps.cancel(sweep, actor="ann"))
        assert [status.is_over for status in world.cluster.jobs.values()] == [False]
        assert world.pilothouse.sweeps.get(sweep).status.is_active
    world.pilothouse.sweeps.cancel(sweep, actor="ann")
    jobs = dict(world.cluster.jobs)
    _without_rows(monkeypatch)
    _refused(UnavailableError, lambda: _sweep(world))
    assert world.cluster.jobs == jobs
    assert not any(one.status.is_active for one in world.pilothouse.sweeps.list("plums"))


def _without_rows(patch: pytest.MonkeyPatch) -> None:
    def down(*_: object) -> None:
        raise UnavailableError("The database does not answer.")

    patch.setattr(AuditRecords, "append", down)
    patch.setattr(AuditRecords, "append_in", down)


def _sweep(world: World) -> str:
    sweeps = world.pilothouse.sweeps
    given = {"profiles": ["1c-1g"], "families": ["lr"], "repeat": 2, "overrides": {}}
    return sweeps.start("plums", actor="ann", **given).id


def test_sweeps(world: World) -> None:
    sweep = _sweep(world)
    assert _detail(world) == "profiles 1c-1g; families lr; repeat 2"
    _refused(ConflictError, lambda: _sweep(world))
    world.pilothouse.sweeps.cancel(sweep, actor="ben")
    _refused(ConflictError, lambda: world.pilothouse.sweeps.cancel(sweep, actor="ben"))
    assert _rows(world) == [
        ("sweep started", f"sweep {sweep}", "done", "ann"),
        ("sweep started", "sweep of plums", "refused", "ann"),
        ("sweep cancelled", f"sweep {sweep}", "done", "ben"),
        ("sweep cancelled", f"sweep {sweep}", "refused", "ben"),
    ]


def test_checks(world: World) -> None:
    world.put_into_production()
    world.add_batch("b1")
    before = len(_rows(world))
    checks = world.pilothouse.monitoring
    check = checks.start("plums", batch_id="b1", actor="ann").id
    assert _detail(world) == "v1, batch b1"
    _refused(ConflictError, lambda: checks.start("plums", batch_id="b1", actor="ann"))
    _refused(InvalidInputError, lambda: checks.start("plums", window="soon", actor="ann"))
    checks.cancel(check, actor="ben")
    _refused(ConflictError, lambda: checks.cancel(check, actor="ben"))
    assert _rows(world)[before:] == [
        ("check started", f"check {check}", "done", "ann"),
        ("check started", "check of plums", "refused", "ann"),
        ("check started", "check of plums", "refused", "ann"),
        ("check cancelled", f"check {check}", "done", "ben"),
        ("check cancelled", f"check {check}", "refused", "ben"),
    ]


def test_batches(world: World) -> None:
    def add(content: bytes, name: str) -> str:
        added = world.pilothouse.batches.add("plums", io.BytesIO(content), name=name, actor="ann")
        return added.batch.id

    batch = add(GOOD, "a.csv")
    assert "a.csv, 2 rows, sha256 " in _detail(world)
    assert add(GOOD, "b.csv") == batch
    assert _detail(world).startswith("b.csv is the same file, sha256 ")
    _refused(DataContractError, lambda: add(BAD, "c.csv"))
    assert _detail(world).endswith("(3 offences)")
    _refused(
        NotFoundError,
        lambda: world.pilothouse.batches.add("pears", io.BytesIO(GOOD), name="d.csv", actor="ann"),
    )
    assert _rows(world) == [
        ("batch accepted", f"batch {batch}", "done", "ann"),
        ("batch recognised", f"batch {batch}", "done", "ann"),
        ("batch refused", "file c.csv", "refused", "ann"),
        ("batch refused", "file d.csv", "refused", "ann"),
    ]


def test_no_batch_is_kept_without_its_row(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        _without_rows(patch)
        _refused(
            UnavailableError,
            lambda: world.pilothouse.batches.add(
                "plums", io.BytesIO(GOOD), name="a.csv", actor="ann"
            ),
        )
    assert world.pilothouse.batches.list("plums") == ()


def test_labels(world: World, tmp_path: Path) -> None:
    batch = world.pilothouse.batches.add(
        "plums", io.BytesIO(GOOD), name="a.csv", actor="ann"
    ).batch.id
    label = PROBLEM.contract.label
    file = tmp_path / "labels.csv"
    file.write_text(f"batch_id,row_id,{label.name}\n{batch},1,sweet\nnobody,0,sour\n")
    labels = world.pilothouse.labels
    labels.add("plums", file, actor="ben")
    assert _detail(world) == "1 label joined, 1 of rows that nobody knows."
    labels.add("plums", file, actor="ben")
    assert "known already" in _detail(world)
    file.write_text(f"batch_id,row_id,{label.name}\n{batch},1,perhaps\n")
    _refused(DataContractError, lambda: labels.add("plums", file, actor="ben"))
    assert _detail(world).endswith("(1 offence)")
    assert _rows(world)[1:] == [
        ("labels added", "file labels.csv", "done", "ben"),
        ("labels added", "file labels.csv", "done", "ben"),
        ("labels added", "file labels.csv", "refused", "ben"),
    ]


def _alert(world: World) -> Alert:
    world.pilothouse.alerts.consider(check_of(), report_of({Topic.DRIFT: CRITICAL}))
    return world.pilothouse.alerts.list()[0]


def test_alerts(world: World) -> None:
    alerts, alert = world.pilothouse.alerts, _alert(world)
    alerts.acknowledge(alert.id, note=" I look. ", actor="ann")
    (row,) = world.pilothouse.audit.list(1)
    assert (row.entry.reason, row.entry.detail) == ("I look.", "drift, critical")
    alerts.consider(check_of(), report_of({Topic.DRIFT: OK}))
    _refused(ConflictError, lambda: alerts.acknowledge(alert.id, note="x", actor="ann"))
    assert _rows(world) == [
        ("alert acknowledged", f"alert {alert.id}", "done", "ann"),
        ("alert acknowledged", f"alert {alert.id}", "refused", "ann"),
    ]


def test_no_alert_is_acknowledged_without_its_row(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert = _alert(world)
    with monkeypatch.context() as patch:
        _without_rows(patch)
        _refused(
            UnavailableError,
            lambda: world.pilothouse.alerts.acknowledge(alert.id, note="x", actor="ann"),
        )
    assert world.pilothouse.alerts.get(alert.id).status is AlertStatus.OPEN
