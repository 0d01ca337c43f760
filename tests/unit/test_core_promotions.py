"""Candidates, requests and decisions: the record decides, the registry shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.adapters.database_decisions import DecisionRecords
from core.adapters.mlflow_registry import PRODUCTION, STAGING
from core.domain import Promotion, RequestStatus, Run
from core.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from core.promotion.change import Change
from core.promotion.gates import hard_failures, soft_reservations
from core.promotion.promotions import PromotionService
from tests.unit.core_fakes import World, make_world

REASON = "better on every slice"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path)
    yield made
    made.close()


@pytest.fixture
def promotions(world: World) -> PromotionService:
    return world.pilothouse.promotions


def _left(world: World) -> tuple[str, ...]:
    """Problems with a decision that is not carried out."""
    return _records(world).unfinished().problems


def _records(world: World) -> DecisionRecords:
    return DecisionRecords(world.pilothouse.database, world.pilothouse.audit)


def _trail(world: World) -> list[tuple[str, str, str]]:
    """Action, actor and object of the rows about decisions, oldest first."""
    rows = reversed(world.pilothouse.audit.list(None))
    told = [(str(r.entry.action), r.entry.actor, r.entry.object) for r in rows]
    return [row for row in told if not row[0].startswith(("run ", "settings"))]


def _considered(world: World, auc: float = 0.85, fingerprint: str | None = None) -> Run:
    run = world.train(auc, fingerprint=fingerprint)
    world.pilothouse.promotions.consider(run)
    assert world.pilothouse.database.unconsidered_runs() == ()
    return run


def _aliases(world: World) -> dict[str, int]:
    return {
        alias: version.version
        for version in world.registry.list("plums")
        for alias in version.aliases
    }


def _states(world: World) -> dict[int, str]:
    return {v.version: v.tags["promotion_state"] for v in world.registry.list("plums")}


def _serves(world: World) -> int | None:
    found = world.pilothouse.promotions.production("plums")
    return None if found is None else found.version


class TestConsider:
    def test_the_first_version_serves_without_a_decision(self, world: World) -> None:
        assert _serves(world) is None
        run = _considered(world)
        (first,) = world.pilothouse.promotions.history("plums")
        assert (first.version, first.run_id, first.rule) == (1, run.id, "bootstrap")
        assert (first.decided_by, first.request_id) == ("ann", None)
        assert _aliases(world) == {PRODUCTION: 1}
        assert _states(world) == {1: "production"}
        assert world.pilothouse.promotions.requests() == ()
        assert _left(world) == ()

    def test_a_candidate_that_passes_the_hard_gates_waits_for_a_person(self, world: World) -> None:
        _considered(world)
        run = _considered(world)
        (request,) = world.pilothouse.promotions.requests("plums", open_only=True)
        assert (request.version, request.run_id, request.incumbent_version) == (2, run.id, 1)
        assert (request.status, request.requested_by) == (RequestStatus.OPEN, "ann")
        assert hard_failures(request.gates) == ()
        # Equal models: none is better by the margin, and that is for a person to pass over.
        assert [gate.gate for gate in soft_reservations(request.gates)] == ["AUC"]
        evidence = world.pilothouse.evidence.read(request)
        assert (evidence.request_id, evidence.gates) == (request.id, request.gates)
        assert _serves(world) == 1
        assert _aliases(world) == {PRODUCTION: 1, STAGING: 2}
        assert _states(world) == {1: "production", 2: "staging"}
        assert (
            "parity with Spark: pass; contract: pass; no leaky column: pass; AUC: fail"
            in (world.registry.get("plums", 2).tags["gates"])
        )

    def test_a_candidate_that_fails_a_hard_gate_is_kept_out(self, world: World) -> None:
        _considered(world)
        _considered(world, 0.95, "another")
        assert world.pilothouse.promotions.requests() == ()
        assert _aliases(world) == {PRODUCTION: 1}
        assert _states(world) == {1: "production", 2: "kept out"}
        assert "contract: fail" in world.registry.get("plums", 2).tags["gates"]

    def test_a_kept_out_candidate_leaves_the_one_that_waits_alone(self, world: World) -> None:
        for fingerprint in (None, None, "another"):
            _considered(world, fingerprint=fingerprint)
        (request,) = world.pilothouse.promotions.requests(open_only=True)
        assert request.version == 2
        assert _aliases(world) == {PRODUCTION: 1, STAGING: 2}

    def test_a_second_good_candidate_supersedes_the_first(self, world: World) -> None:
        for auc in (0.85, 0.86, 0.87):
            _considered(world, auc)
        newest, older = world.pilothouse.promotions.requests("plums")
        assert (newest.version, newest.status) == (3, RequestStatus.OPEN)
        assert (older.version, older.status) == (2, RequestStatus.SUPERSEDED)
        assert _aliases(world) == {PRODUCTION: 1, STAGING: 3}
        assert _states(world) == {1: "production", 2: "superseded", 3: "staging"}

    def test_a_run_without_a_version_is_looked_at_once(self, world: World) -> None:
        run = replace(world.train(), model_version=None)
        world.pilothouse.promotions.consider(run)
        assert world.pilothouse.database.unconsidered_runs() == ()
        assert _serves(world) is None

    def test_a_registry_that_is_down_leaves_the_candidate_for_later(self, world: World) -> None:
        _considered(world)
        run = world.train(0.9)
        world.registry.plug.pulled = True
        with pytest.raises(UnavailableError):
            world.pilothouse.promotions.consider(run)
        assert [r.id for r in world.pilothouse.database.unconsidered_runs()] == [run.id]
        world.registry.plug.pulled = False
        world.pilothouse.promotions.consider(run)
        assert _aliases(world) == {PRODUCTION: 1, STAGING: 2}


class TestApprove:
    @pytest.fixture
    def request_id(self, world: World) -> str:
        _considered(world)
        _considered(world, 0.9)
        (request,) = world.pilothouse.promotions.requests(open_only=True)
        return request.id

    def test_the_candidate_becomes_production(
        self, world: World, promotions: PromotionService, request_id: str
    ) -> None:
        decided = promotions.approve(request_id, reason=REASON, actor="bob")
        done = decided.promotion
        assert done is not None
        assert (done.version, done.rule, done.decided_by, done.reason, done.request_id) == (
            2,
            "approval",
            "bob",
            REASON,
            request_id,
        )
        assert promotions.history("plums")[0] == done
        assert [p.version for p in promotions.history("plums")] == [2, 1]
        (request,) = promotions.requests("plums")
        assert (request.status, request.decided_by) == (RequestStatus.APPROVED, "bob")
        assert (request.reason, request.decided_at) == (REASON, done.since)
        assert _aliases(world) == {PRODUCTION: 2}
        assert _states(world) == {1: "archived", 2: "production"}

    @pytest.mark.parametrize("reason", ["", "too short", "    short      "])
    def test_a_decision_needs_a_reason(
        self, world: World, promotions: PromotionService, request_id: str, reason: str
    ) -> None:
        for decide in (promotions.approve, promotions.reject):
            with pytest.raises(InvalidInputError) as refused:
                decide(request_id, reason=reason, actor="bob")
            assert [offence.field for offence in refused.value.offences] == ["reason"]
        assert _serves(world) == 1
        assert promotions.requests()[0].status is RequestStatus.OPEN

    def test_an_unknown_request_is_not_found(self, promotions: PromotionService) -> None:
        for decide in (promotions.approve, promotions.reject):
            with pytest.raises(NotFoundError):
                decide("nobody", reason=REASON, actor="bob")

    def test_a_request_against_another_incumbent_is_stale(
        self, world: World, promotions: PromotionService, request_id: str
    ) -> None:
        now = promotions.requests()[0].requested_at
        other = Promotion("p", "plums", 7, "r", "rollback", "eve", REASON, now)
        _records(world).decide(Change("plums", (), promotion=other))
        with pytest.raises(ConflictError, match=r"stale.* went live .*: v7"):
            promotions.approve(request_id, reason=REASON, actor="bob")
        (request,) = promotions.requests()
        assert (request.status, request.decided_by) == (RequestStatus.STALE, "bob")
        assert _serves(world) == 7
        assert STAGING not in _aliases(world)
        with pytest.raises(ConflictError, match="not open"):
            promotions.approve(request_id, reason=REASON, actor="bob")

    def test_a_superseded_request_cannot_be_approved(
        self, world: World, promotions: PromotionService, request_id: str
    ) -> None:
        _considered(world, 0.95)
        with pytest.raises(ConflictError, match="not open"):
            promotions.approve(request_id, reason=REASON, actor="bob")
        assert _serves(world) == 1
        assert _aliases(world) == {PRODUCTION: 1, STAGING: 3}

    def test_a_request_is_decided_once(
        self, world: World, promotions: PromotionService, request_id: str
    ) -> None:
        promotions.approve(request_id, reason=REASON, actor="bob")
        for decide in (promotions.approve, promotions.reject):
            with pytest.raises(ConflictError):
                decide(request_id, reason=REASON, actor="eve")
        assert [p.version for p in promotions.history("plums")] == [2, 1]
        assert promotions.requests()[0].decided_by == "bob"
        assert _states(world) == {1: "archived", 2: "production"}

    def test_an_approval_without_a_registry_is_finished_later(
        self,
        world: World,
        promotions: PromotionService,
        request_id: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        world.registry.plug.pulled = True
        with pytest.raises(UnavailableError):
            promotions.approve(request_id, reason=REASON, actor="bob")
        # Nobody can say whether the evidence is still what was frozen.
        world.registry.plug.pulled = False
        assert (_serves(world), promotions.get(request_id).status) == (1, RequestStatus.OPEN)

        set_alias = world.registry.set_alias
        monkeypatch.setattr(world.registry, "set_alias", _down)
        promotions.approve(request_id, reason=REASON, actor="bob")
        assert _serves(world) == 2
        with pytest.raises(UnavailableError):
            promotions.finish()
        assert _aliases(world) == {PRODUCTION: 1}
        monkeypatch.setattr(world.registry, "set_alias", set_alias)
        promotions.finish()
        assert _aliases(world) == {PRODUCTION: 2}
        assert _states(world) == {1: "archived", 2: "production"}
        assert _left(world) == ()

    def test_an_alias_moved_by_hand_does_not_change_the_record(
        self, world: World, promotions: PromotionService, request_id: str
    ) -> None:
        world.registry.set_alias("plums", PRODUCTION, 2)
        promotions.finish()
        assert _serves(world) == 1
        assert world.pilothouse.reconciler.recorded() == {"plums": 1}

    def test_an_incumbent_deleted_from_the_registry_does_not_stop_a_promotion(
        self, world: World, promotions: PromotionService, request_id: str
    ) -> None:
        del world.registry.versions["plums", 1]
        promotions.approve(request_id, reason=REASON, actor="bob")
        assert _aliases(world) == {PRODUCTION: 2}
        assert _left(world) == ()


def _down(*_: object) -> None:
    raise UnavailableError("MLflow does not answer.")


class TestReject:
    def test_the_version_stays_registered_and_does_not_serve(self, world: World) -> None:
        _considered(world)
        _considered(world, 0.9)
        (request,) = world.pilothouse.promotions.requests()
        done = world.pilothouse.promotions.reject(request.id, reason=REASON, actor="bob")
        assert (done.status, done.decided_by, done.reason) == (
            RequestStatus.REJECTED,
            "bob",
            REASON,
        )
        assert world.pilothouse.promotions.requests() == (done,)
        assert world.pilothouse.promotions.requests(open_only=True) == ()
        assert _serves(world) == 1
        assert _aliases(world) == {PRODUCTION: 1}
        assert _states(world) == {1: "production", 2: "rejected"}
        with pytest.raises(ConflictError):
            world.pilothouse.promotions.approve(request.id, reason=REASON, actor="eve")
        assert _serves(world) == 1


def test_a_version_is_read_from_the_registry(world: World) -> None:
    _considered(world)
    assert world.pilothouse.promotions.version("plums", 1).metrics["auc"] == 0.85
    with pytest.raises(NotFoundError):
        world.pilothouse.promotions.version("plums", 2)


class TestFiles:
    """What an approval is about: these files, whatever the registry has later."""

    def test_the_record_holds_what_was_decided_on(
        self, world: World, promotions: PromotionService
    ) -> None:
        _considered(world, 0.85)
        _considered(world, 0.9)
        (request,) = promotions.requests(open_only=True)
        files = world.registry.folder / "plums" / "2" / "bundle.json"
        measured = self._sha256(world, 2)
        # Somebody changes them between evidence and approval.
        files.write_text(files.read_text().replace('"threshold": 0.5', '"threshold": 0.1'))
        assert self._sha256(world, 2) != measured
        promotions.approve(request.id, reason=REASON, actor="bob")
        promotions.rollback("plums", reason=REASON, actor="bob")
        back, approved, first = promotions.history("plums")
        assert (approved.bundle_sha256, approved.source) == (measured, "plums/2")
        assert (first.bundle_sha256, first.source) == (self._sha256(world, 1), "plums/1")
        assert (back.bundle_sha256, back.source) == (first.bundle_sha256, first.source)
        told = [(one["plums"].version, one["plums"].sha256) for one in world.serving.deployed]
        assert told == [(1, first.bundle_sha256), (2, measured), (1, first.bundle_sha256)]

    def test_a_first_version_whose_files_are_broken_is_kept_out(
        self, world: World, promotions: PromotionService
    ) -> None:
        run = world.train()
        (world.registry.folder / "plums" / "1" / "model.onnx").write_bytes(b"other weights")
        promotions.consider(run)
        assert _serves(world) is None
        (row,) = [row.entry for row in world.pilothouse.audit.list(1)]
        assert (row.action, row.object) == ("candidate kept out", "plums v1")
        assert row.detail.startswith("Its files cannot be served. The model file differs")
        _considered(world)
        assert _serves(world) == 2

    @staticmethod
    def _sha256(world: World, version: int) -> str:
        found = world.registry.get("plums", version)
        return world.registry.bundle(found, world.registry.folder).sha256
