"""Decisions: whole or not at all, once, and with their rows of the audit trail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.adapters.database import Database
from core.adapters.database_audit import AuditRecords
from core.adapters.database_decisions import DecisionRecords
from core.domain import (
    Approval,
    GateResult,
    Promotion,
    PromotionRequest,
    RequestStatus,
    Run,
    RunStatus,
    Verdict,
)
from core.errors import ConflictError, NotFoundError
from core.promotion.audit import Action, AuditEntry
from core.promotion.change import Change, Seen
from tests.unit.core_fakes import make_trail
from tests.unit.races import race
from tests.unit.stores import address_in

NOW = datetime(2026, 1, 31, 8, 15, 30, 123456, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
RUN = Run("r1", "plums", RunStatus.QUEUED, "2c-2g", "ann", NOW)
REQUEST = PromotionRequest(
    id="q1",
    problem="plums",
    version=2,
    run_id="r1",
    status=RequestStatus.OPEN,
    requested_by="ann",
    requested_at=NOW,
    incumbent_version=1,
    gates=(
        GateResult("AUC", Verdict.PASS, 0.9, 0.8, "good"),
        GateResult("contract", Verdict.CANNOT_TELL, None, None, "who knows", hard=True),
    ),
    evidence_path="evidence/q1.json",
    evidence_sha256="0" * 64,
    request_reason="it was better",
)
PROMOTION = Promotion("p1", "plums", 1, "r0", "bootstrap", "ann", "the first", NOW)
FULL = replace(
    PROMOTION,
    id="p2",
    version=2,
    rule="automatic rollback",
    request_id="q1",
    live_at=LATER,
    undoes="p1",
    four_eyes="in force",
    passed_over=("AUC: cannot tell",),
)


def _url(folder: Path) -> str:
    return address_in(folder)


def _records(database: Database, folder: Path) -> DecisionRecords:
    return DecisionRecords(database, make_trail(database, folder))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(_url(tmp_path))
    made.migrate()
    yield made
    made.close()


@pytest.fixture
def records(database: Database, tmp_path: Path) -> DecisionRecords:
    return _records(database, tmp_path)


def _entry(action: Action = Action.PROMOTED, actor: str = "ann") -> AuditEntry:
    return AuditEntry(NOW, actor, "local operator", action, "plums v2", problem="plums")


def _opened(request: PromotionRequest, *closed: PromotionRequest) -> Change:
    return Change(request.problem, (_entry(),), opened=request, closed=closed)


def _decided(by: str, status: RequestStatus = RequestStatus.APPROVED) -> PromotionRequest:
    return replace(REQUEST, status=status, decided_by=by, decided_at=LATER, reason="so")


def _trail(database: Database) -> list[str]:
    return [row.entry.actor for row in reversed(AuditRecords(database, b"key").list(100))]


class TestReadBack:
    def test_a_request_is_read_back_whole(self, records: DecisionRecords) -> None:
        records.decide(_opened(REQUEST))
        assert records.request("q1") == REQUEST
        with pytest.raises(NotFoundError):
            records.request("nobody")

    def test_promotions_are_read_back_whole_and_newest_first(
        self, records: DecisionRecords
    ) -> None:
        assert records.production("plums") is None
        for promotion in (PROMOTION, FULL, replace(PROMOTION, id="other", problem="pears")):
            records.decide(Change(promotion.problem, (), promotion=promotion))
        assert records.promotions("plums") == (FULL, PROMOTION)
        assert records.production("plums") == FULL

    def test_the_first_time_live_counts(self, records: DecisionRecords) -> None:
        records.decide(Change("plums", (), promotion=PROMOTION))
        records.mark_live("p1", LATER)
        records.mark_live("p1", LATER + timedelta(days=1))
        assert records.promotions("plums") == (replace(PROMOTION, live_at=LATER),)

    def test_what_is_kept_outlives_the_process(
        self, records: DecisionRecords, database: Database, tmp_path: Path
    ) -> None:
        records.decide(replace(_opened(REQUEST), promotion=PROMOTION))
        database.close()
        again = Database(_url(tmp_path))
        again.migrate()
        assert _records(again, tmp_path).request("q1") == REQUEST
        assert _records(again, tmp_path).promotions("plums") == (PROMOTION,)
        again.close()


class TestDecide:
    def test_one_request_a_problem_is_open(self, records: DecisionRecords) -> None:
        records.decide(_opened(REQUEST))
        second = replace(REQUEST, id="q2", requested_at=LATER)
        with pytest.raises(ConflictError):
            records.decide(_opened(second))
        old = replace(REQUEST, status=RequestStatus.SUPERSEDED, superseded_by="q2")
        records.decide(_opened(second, old))
        records.decide(_opened(replace(REQUEST, id="other", problem="pears")))
        assert records.requests("plums") == (second, old)
        assert [r.id for r in records.requests(open_only=True)] == ["q2", "other"]

    @pytest.mark.parametrize("first", [RequestStatus.APPROVED, RequestStatus.REJECTED])
    def test_a_late_decision_leaves_nothing_and_says_who_was_faster(
        self, records: DecisionRecords, database: Database, first: RequestStatus
    ) -> None:
        database.add_run(RUN)
        records.decide(_opened(REQUEST))
        records.decide(Change("plums", (_entry(),), closed=(_decided("bob", first),)))
        late = Change(
            "plums",
            (_entry(actor="eve"),),
            considered_run="r1",
            closed=(_decided("eve"),),
            approval=Approval("q1", "eve", LATER, "yes"),
            promotion=PROMOTION,
        )
        with pytest.raises(ConflictError, match=f"bob decided it at .*: {first.value}"):
            records.decide(late)
        assert records.request("q1") == _decided("bob", first)
        assert (records.promotions("plums"), records.approvals("q1")) == ((), ())
        assert _trail(database) == ["ann", "ann"]
        database.save_active_run(replace(RUN, status=RunStatus.FINISHED))
        assert [run.id for run in database.unconsidered_runs()] == ["r1"]

    def test_a_superseded_request_names_the_one_in_its_place(
        self, records: DecisionRecords
    ) -> None:
        records.decide(_opened(REQUEST))
        old = replace(REQUEST, status=RequestStatus.SUPERSEDED, superseded_by="q2")
        records.decide(Change("plums", (), closed=(old,)))
        with pytest.raises(ConflictError, match="request q2 has taken its place"):
            records.decide(Change("plums", (), closed=(_decided("eve"),)))

    def test_production_that_has_moved_is_told(self, records: DecisionRecords) -> None:
        records.decide(Change("plums", (), Seen(None), promotion=PROMOTION))
        second = replace(PROMOTION, id="p2", version=2, decided_by="bob", rule="rollback")
        for seen in (Seen(None), Seen("another")):
            with pytest.raises(ConflictError, match=r"v1 by ann \(bootstrap\)"):
                records.decide(Change("plums", (), seen, promotion=second))
        records.decide(Change("plums", (), Seen("p1"), promotion=second))
        assert records.production("plums") == second

    def test_one_person_approves_once(self, records: DecisionRecords) -> None:
        records.decide(_opened(REQUEST))
        bob, eve = (Approval("q1", who, NOW, "yes") for who in ("bob", "eve"))
        records.decide(Change("plums", (), Seen(None, 0), approval=bob))
        with pytest.raises(ConflictError):
            records.decide(Change("plums", (), Seen(None, 1), approval=bob))
        with pytest.raises(ConflictError, match="approved at this moment"):
            records.decide(Change("plums", (), Seen(None, 0), approval=eve))
        later = replace(eve, approved_at=LATER)
        records.decide(Change("plums", (), Seen(None, 1), approval=later))
        assert records.approvals("q1") == (bob, later)

    def test_of_two_who_decide_at_once_one_wins(
        self, records: DecisionRecords, database: Database, tmp_path: Path
    ) -> None:
        records.decide(_opened(REQUEST))

        def act(own: DecisionRecords, index: int) -> None:
            by = str(index)
            promotion = replace(PROMOTION, id=f"p{index}", decided_by=by)
            own.decide(
                Change(
                    "plums",
                    (_entry(actor=by),),
                    Seen(None),
                    closed=(_decided(by),),
                    promotion=promotion,
                )
            )

        assert sorted(_race(tmp_path, act)) == ["ConflictError", "done"]
        (promotion,) = records.promotions("plums")
        assert promotion.decided_by == records.request("q1").decided_by
        assert _trail(database) == ["ann", promotion.decided_by]

    def test_of_two_who_write_at_once_both_have_their_row(
        self, database: Database, tmp_path: Path
    ) -> None:
        def act(own: DecisionRecords, index: int) -> None:
            for _ in range(20):
                own.decide(Change("plums", (_entry(actor=str(index)),)))

        assert _race(tmp_path, act) == ["done", "done"]
        rows = AuditRecords(database, b"key").list(100)
        assert [row.sequence for row in reversed(rows)] == list(range(1, 41))


class TestUnfinished:
    def test_what_was_decided_is_to_be_shown(self, records: DecisionRecords) -> None:
        second = replace(PROMOTION, id="p2", version=2)
        for promotion in (PROMOTION, second, replace(PROMOTION, id="other", problem="pears")):
            records.decide(Change(promotion.problem, (), promotion=promotion))
        records.decide(_opened(REQUEST))
        left = records.unfinished()
        assert [p.id for p in left.promotions] == ["p1", "p2", "other"]
        assert left.requests == (REQUEST,)
        assert left.problems == ("pears", "plums")
        records.finish(left.of("plums"))
        assert [p.id for p in records.unfinished().promotions] == ["other"]
        assert records.unfinished().requests == ()

    def test_a_decided_request_is_to_be_shown_again(self, records: DecisionRecords) -> None:
        records.decide(_opened(REQUEST))
        as_opened = records.unfinished()
        records.decide(Change("plums", (), closed=(_decided("bob"),)))
        # Whoever has shown the open request has not shown what became of it.
        records.finish(as_opened)
        assert records.unfinished().requests == (_decided("bob"),)

    def test_a_promotion_may_be_shown_again(
        self, records: DecisionRecords, database: Database
    ) -> None:
        records.decide(Change("plums", (), promotion=PROMOTION))
        records.finish(records.unfinished(), [_entry(Action.DECISION_COMPLETED, "worker")])
        assert records.unfinished().problems == ()
        assert _trail(database) == ["worker"]
        records.decide(Change("plums", (), shown_again="p1"))
        assert records.unfinished().promotions == (PROMOTION,)


def test_what_the_trail_says_of_aliases(records: DecisionRecords) -> None:
    def told(action: Action, detail: str, problem: str = "plums") -> None:
        entry = replace(_entry(action), detail=detail, problem=problem)
        records.decide(Change(problem, (entry,)))

    assert records.told_of_aliases("plums") == ""
    told(Action.ALIAS_MOVED, "production points at v1")
    told(Action.PROMOTED, "something else")
    told(Action.ALIAS_RESTORED, "of another problem", "pears")
    assert records.told_of_aliases("plums") == "production points at v1"
    told(Action.ALIAS_RESTORED, "right again")
    assert records.told_of_aliases("plums") == ""


def _race(folder: Path, act: Callable[[DecisionRecords, int], None]) -> list[str]:
    return race(_url(folder), lambda database, index: act(_records(database, folder), index))
