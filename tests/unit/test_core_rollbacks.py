"""Requests by people, four eyes, rollback, aliases that were moved, what served when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.adapters.mlflow_registry import PRODUCTION
from core.bootstrap import Pilothouse
from core.domain import RequestStatus
from core.domain_watching import AlertKind
from core.errors import ConflictError, InvalidInputError, NotFoundError, RefusedError
from core.monitoring.watching import ALIASES_EVERY
from core.promotion.audit import Action, AuditEntry, Outcome
from core.promotion.ports import Obstacle
from core.promotion.promotions import PromotionService
from tests.unit.lifecycle import NAME, Lifecycle, lifecycle
from tests.unit.test_promotion_properties import require_whole, settle

REASON = "better on every slice"


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Lifecycle]:
    """v1 serves, v2 waits; ann has started both runs, and people can be told apart."""
    with lifecycle(tmp_path) as made:
        for _ in range(2):
            made.train(made.process())
            settle(made)
        yield made


@pytest.fixture
def panel(life: Lifecycle) -> Pilothouse:
    return life.process()


@pytest.fixture
def promotions(panel: Pilothouse) -> PromotionService:
    return panel.promotions


def _open(promotions: PromotionService) -> str:
    (request,) = promotions.requests(NAME, open_only=True)
    return request.id


def _promote(life: Lifecycle, promotions: PromotionService, by: str = "bob") -> int:
    done = promotions.approve(_open(promotions), reason=REASON, actor=by).promotion
    settle(life)
    assert done is not None
    return done.version


def _versions(promotions: PromotionService) -> list[int]:
    return [one.version for one in promotions.history(NAME)]


def _last(panel: Pilothouse, action: Action) -> AuditEntry:
    found = [row.entry for row in panel.audit.list(None) if row.entry.action == action]
    return found[0]


class TestFourEyes:
    def test_who_started_the_run_is_refused_and_that_is_told(
        self, panel: Pilothouse, promotions: PromotionService
    ) -> None:
        request_id = _open(promotions)
        with pytest.raises(RefusedError, match="ann started the run"):
            promotions.approve(request_id, reason=REASON, actor="ann")
        entry = _last(panel, Action.DECISION_REFUSED)
        assert (entry.actor, entry.outcome, entry.request_id) == (
            "ann",
            Outcome.REFUSED,
            request_id,
        )
        assert promotions.get(request_id).status is RequestStatus.OPEN
        # To turn down what one has made oneself needs no second person.
        assert promotions.reject(request_id, reason=REASON, actor="ann").decided_by == "ann"

    def test_who_asked_is_refused_too(self, promotions: PromotionService) -> None:
        promotions.reject(_open(promotions), reason=REASON, actor="bob")
        request = promotions.request(NAME, 2, actor="bob", reason="let us try it after all")
        assert (request.requested_by, request.request_reason) == (
            "bob",
            "let us try it after all",
        )
        for actor in ("ann", "bob"):
            with pytest.raises(RefusedError):
                promotions.approve(request.id, reason=REASON, actor=actor)
        done = promotions.approve(request.id, reason=REASON, actor="eve")
        assert done.promotion is not None
        assert (done.four_eyes, done.promotion.four_eyes) == ("in force", "in force")

    def test_two_people_where_two_are_asked(self, tmp_path: Path) -> None:
        with lifecycle(tmp_path / "two", approvals_required=2) as life:
            for _ in range(2):
                life.train(life.process())
                settle(life)
            promotions = life.process().promotions
            request_id = _open(promotions)
            first = promotions.approve(request_id, reason=REASON, actor="bob")
            assert (first.promotion, first.missing) == (None, 1)
            assert first.request.status is RequestStatus.OPEN
            with pytest.raises(ConflictError, match="bob has approved this request already"):
                promotions.approve(request_id, reason=REASON, actor="bob")
            second = promotions.approve(request_id, reason=REASON, actor="eve")
            assert second.promotion is not None
            assert [one.approved_by for one in promotions.approvals(request_id)] == ["bob", "eve"]
            require_whole(life, settle(life))


class TestGates:
    def test_what_is_passed_over_is_in_the_record(
        self, life: Lifecycle, panel: Pilothouse, promotions: PromotionService
    ) -> None:
        life.train(panel, better=False)
        settle(life)
        done = promotions.approve(_open(promotions), reason=REASON, actor="bob").promotion
        assert done is not None
        assert done.passed_over == ("AUC: fail",)
        assert promotions.history(NAME)[0].passed_over == ("AUC: fail",)
        assert "Passed over: AUC: fail." in _last(panel, Action.PROMOTED).detail

    def test_a_version_that_fails_a_hard_gate_cannot_even_be_asked_for(
        self, life: Lifecycle, panel: Pilothouse, promotions: PromotionService
    ) -> None:
        version = life.train(panel, hard=False)
        settle(life)
        assert life.registry.get(NAME, version).tags["promotion_state"] == "kept out"
        assert _last(panel, Action.CANDIDATE_KEPT_OUT).object == f"{NAME} v{version}"
        with pytest.raises(RefusedError, match="parity with Spark"):
            promotions.request(NAME, version, actor="bob", reason=REASON)
        entry = _last(panel, Action.CANDIDATE_KEPT_OUT)
        assert (entry.actor, entry.outcome) == ("bob", Outcome.REFUSED)

    @pytest.mark.parametrize("frozen", [b"{}", None])
    def test_evidence_that_has_changed_makes_a_request_stale(
        self, life: Lifecycle, promotions: PromotionService, frozen: bytes | None
    ) -> None:
        request = promotions.get(_open(promotions))
        del life.evidence.kept[request.evidence_path]
        if frozen is not None:
            life.evidence.kept[request.evidence_path] = frozen
        with pytest.raises(ConflictError, match="is stale now"):
            promotions.approve(request.id, reason=REASON, actor="bob")
        assert promotions.get(request.id).status is RequestStatus.STALE
        assert _versions(promotions) == [1]
        require_whole(life, settle(life))

    def test_a_version_that_was_deleted_makes_a_request_stale(
        self, life: Lifecycle, promotions: PromotionService
    ) -> None:
        del life.registry.versions[NAME, 2]
        with pytest.raises(ConflictError, match="is stale now"):
            promotions.approve(_open(promotions), reason=REASON, actor="bob")
        require_whole(life, settle(life))


class TestRequest:
    @pytest.mark.parametrize(
        ("version", "reason", "error"),
        [
            (1, REASON, ConflictError),
            (2, REASON, ConflictError),
            (9, REASON, NotFoundError),
            (2, "short", InvalidInputError),
        ],
    )
    def test_what_makes_no_sense_is_refused(
        self, promotions: PromotionService, version: int, reason: str, error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            promotions.request(NAME, version, actor="bob", reason=reason)
        assert len(promotions.requests(NAME)) == 1

    def test_an_old_version_asked_for_takes_the_place_of_the_one_that_waits(
        self, life: Lifecycle, panel: Pilothouse, promotions: PromotionService
    ) -> None:
        assert _promote(life, promotions) == 2
        life.train(panel)
        settle(life)
        waiting = _open(promotions)
        asked = promotions.request(NAME, 1, actor="bob", reason=REASON)
        assert promotions.get(waiting).superseded_by == asked.id
        require_whole(life, settle(life))
        promotions.approve(asked.id, reason=REASON, actor="eve")
        assert _versions(promotions) == [1, 2, 1]
        require_whole(life, settle(life))


class TestRollback:
    def test_back_to_the_version_before_and_further(
        self, life: Lifecycle, panel: Pilothouse, promotions: PromotionService
    ) -> None:
        _promote(life, promotions)
        life.train(panel)
        settle(life)
        _promote(life, promotions)
        third = promotions.history(NAME)[0]
        done = promotions.rollback(NAME, reason=REASON, actor="ann")
        assert (done.version, done.rule, done.undoes) == (2, "rollback", third.id)
        assert done.four_eyes == "not asked for: rollback"
        told = _last(panel, Action.ROLLED_BACK).detail
        assert told == "In place of v3. Four eyes: not asked for: rollback."
        assert promotions.history(NAME)[-1].four_eyes == "not asked for: bootstrap"
        told = _last(panel, Action.BOOTSTRAPPED).detail
        assert told == "Four eyes: not asked for: bootstrap."
        assert life.replicas.answers == {NAME: 2}
        assert life.registry.aliases(NAME)[PRODUCTION] == 2
        assert promotions.rollback(NAME, reason=REASON, actor="ann").version == 1
        with pytest.raises(ConflictError, match="no earlier version"):
            promotions.rollback(NAME, reason=REASON, actor="ann")
        assert promotions.rollback(NAME, 3, reason=REASON, actor="ann").version == 3
        assert _versions(promotions) == [3, 1, 2, 3, 2, 1]
        require_whole(life, settle(life))

    @pytest.mark.parametrize(
        ("version", "reason", "error"),
        [
            (1, REASON, ConflictError),
            (2, REASON, NotFoundError),
            (None, REASON, ConflictError),
            (None, "short", InvalidInputError),
        ],
    )
    def test_what_cannot_be_gone_back_to(
        self,
        promotions: PromotionService,
        version: int | None,
        reason: str,
        error: type[Exception],
    ) -> None:
        with pytest.raises(error):
            promotions.rollback(NAME, version, reason=reason, actor="ann")
        assert _versions(promotions) == [1]

    def test_a_version_that_is_gone_is_refused(
        self, life: Lifecycle, promotions: PromotionService
    ) -> None:
        _promote(life, promotions)
        del life.registry.versions[NAME, 1]
        with pytest.raises(NotFoundError):
            promotions.rollback(NAME, reason=REASON, actor="ann")
        assert _versions(promotions) == [2, 1]


class TestUndo:
    def test_only_after_the_time_has_passed_and_only_while_it_is_seen(
        self, life: Lifecycle, panel: Pilothouse, promotions: PromotionService
    ) -> None:
        life.replicas.broken.add(2)
        promotions.approve(_open(promotions), reason=REASON, actor="bob")
        now, much_later = datetime.now(UTC), datetime.now(UTC) + timedelta(days=1)
        obstacles = {NAME: Obstacle("Its bundle is broken.")}
        promotions.undo_unservable(obstacles, now)
        # Nobody could tell for a while: the time begins anew.
        outage = {NAME: Obstacle("MLflow does not answer.", is_outage=True)}
        promotions.undo_unservable(outage, much_later)
        promotions.undo_unservable(obstacles, much_later)
        assert _versions(promotions) == [2, 1]
        promotions.undo_unservable(obstacles, much_later + timedelta(seconds=1))
        assert _versions(promotions) == [1, 2, 1]
        entry = _last(panel, Action.DECISION_UNDONE)
        assert (entry.actor, entry.role, entry.object) == ("worker", "system", f"{NAME} v2")
        assert "Its bundle is broken." in entry.reason
        require_whole(life, settle(life))

    def test_the_first_version_has_nothing_to_go_back_to(
        self, life: Lifecycle, promotions: PromotionService
    ) -> None:
        obstacles = {NAME: Obstacle("It was deleted.", deleted=True)}
        for days in range(3):
            promotions.undo_unservable(obstacles, datetime.now(UTC) + timedelta(days=days))
        assert _versions(promotions) == [1]


class TestAliases:
    def test_a_moved_alias_is_told_once_and_never_deployed(
        self, life: Lifecycle, panel: Pilothouse, promotions: PromotionService
    ) -> None:
        life.registry.set_alias(NAME, PRODUCTION, 2)
        now = datetime.now(UTC)
        for beats in range(3):
            panel.watch.watch_aliases([NAME], now + beats * ALIASES_EVERY)
            life.beat(panel)
        (drift,) = promotions.alias_drift(NAME)
        assert (drift.alias, drift.recorded, drift.found) == (PRODUCTION, 1, 2)
        assert life.replicas.answers == {NAME: 1}
        told = [row for row in panel.audit.list(None) if row.entry.action == Action.ALIAS_MOVED]
        assert len(told) == 1
        (alert,) = panel.alerts.list(NAME, open_only=True)
        assert (alert.kind, alert.check_id) == (AlertKind.MOVED_ALIAS, "")

        promotions.restore_alias(NAME, actor="bob", reason=REASON)
        assert life.registry.aliases(NAME)[PRODUCTION] == 1
        panel.watch.watch_aliases([NAME], now + 9 * ALIASES_EVERY)
        assert panel.alerts.list(NAME, open_only=True) == ()
        with pytest.raises(ConflictError, match="show the record"):
            promotions.restore_alias(NAME, actor="bob", reason=REASON)
        # Moved once more, it is told once more.
        life.registry.set_alias(NAME, PRODUCTION, 2)
        panel.watch.watch_aliases([NAME], now + 10 * ALIASES_EVERY)
        assert len(panel.alerts.list(NAME, open_only=True)) == 1

    def test_somebody_who_moves_it_back_is_told_too(
        self, life: Lifecycle, panel: Pilothouse, promotions: PromotionService
    ) -> None:
        life.registry.set_alias(NAME, PRODUCTION, 2)
        promotions.note_aliases(NAME)
        life.registry.set_alias(NAME, PRODUCTION, 1)
        assert promotions.note_aliases(NAME) == ()
        entry = _last(panel, Action.ALIAS_RESTORED)
        assert (entry.actor, entry.detail) == ("worker", "The aliases show the record again.")


class TestHistory:
    def test_what_served_at_a_moment(self, life: Lifecycle, promotions: PromotionService) -> None:
        _promote(life, promotions)
        second, first = promotions.history(NAME)
        assert first.live_at is not None
        assert second.live_at is not None
        tick = timedelta(microseconds=1)
        assert promotions.serving_at(NAME, first.live_at - tick) is None
        assert promotions.serving_at(NAME, first.live_at) == first
        assert promotions.serving_at(NAME, second.live_at - tick) == first
        assert promotions.serving_at(NAME, second.live_at) == second
        assert promotions.serving_at("pears", second.live_at) is None

    def test_what_never_came_to_serve_has_never_served(
        self, life: Lifecycle, promotions: PromotionService
    ) -> None:
        life.replicas.broken.add(2)
        promotions.approve(_open(promotions), reason=REASON, actor="bob")
        settle(life)
        assert _versions(promotions) == [1, 2, 1]
        served = promotions.serving_at(NAME, datetime.now(UTC))
        assert served is not None
        assert served.version == 1

    def test_the_gates_of_a_version(self, promotions: PromotionService) -> None:
        assert [gate.gate for gate in promotions.gates_of(NAME, 2)] == [
            "parity with Spark",
            "contract",
            "AUC",
        ]
        assert promotions.gates_of(NAME, 1) == ()
