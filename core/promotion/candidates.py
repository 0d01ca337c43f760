"""Candidates: a version bootstraps, asks for its promotion, or is kept out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from core.domain import GateResult, ModelVersion, Promotion, PromotionRequest, RequestStatus, Run
from core.errors import ConflictError, NotFoundError, RefusedError, TrainingError
from core.promotion.audit import Action, AuditEntry, Outcome
from core.promotion.change import Change, Seen
from core.promotion.desk import Desk, new_id
from core.promotion.evidence import Evidence
from core.promotion.four_eyes import standing_without
from core.promotion.gates import hard_failures
from core.promotion.shown import KEPT_OUT_STATE, summary

LOG = logging.getLogger(__name__)
BOOTSTRAP = "bootstrap"


@dataclass(frozen=True)
class Wish:
    """A version that is to be promoted: who asks, against what, and why."""

    run: Run
    version: int
    incumbent: Promotion
    requested_by: str
    #: Empty where the run itself asks.
    reason: str = ""


class Candidates:
    """Opens promotion requests."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def consider(self, run: Run) -> None:
        """Looks at a finished run's version: bootstrap, open a request, or keep it out.

        Until it has come to an end the run stays unconsidered, so that a worker that dies
        begins anew.

        Raises:
            ConflictError: something else was decided at this moment.
            UnavailableError: a service that has to be asked does not answer.
        """
        version = run.model_version
        if version is None:
            self._desk.records.decide(Change(run.problem, (), considered_run=run.id))
            return
        try:
            found = self._desk.registry.get(run.problem, version)
        except NotFoundError:
            self._keep_out(run, version, f"v{version} was deleted from the registry.")
            return
        incumbent = self._desk.records.production(run.problem)
        if incumbent is None:
            self._bootstrap(run, found)
            return
        wish = Wish(run, version, incumbent, run.started_by)
        evidence = self._gathered(wish)
        failures = hard_failures(evidence.gates)
        if failures:
            tags = {"promotion_state": KEPT_OUT_STATE, "gates": summary(evidence.gates)}
            self._desk.registry.tag(run.problem, version, tags)
            self._keep_out(run, version, _reasons(failures))
            return
        self._open(wish, evidence, considered_run=run.id)

    def request(self, problem: str, version: int, *, actor: str, reason: str) -> PromotionRequest:
        """Asks for a registered version on a person's behalf.

        Raises:
            InvalidInputError: the reason is too short.
            NotFoundError: the registry does not have the version, or its run is not known.
            ConflictError: it serves or waits already, or nothing serves yet.
            RefusedError: a hard gate fails.
            UnavailableError: a service that has to be asked does not answer.
        """
        self._desk.require_reason(reason)
        found = self._desk.registry.get(problem, version)
        incumbent = self._desk.records.production(problem)
        if incumbent is None:
            raise ConflictError(
                f"Nothing of {problem} is in production yet.",
                fix="The first run that finishes serves by itself.",
            )
        self._require_news(problem, version, incumbent)
        run = self._desk.database.run(found.run_id)
        wish = Wish(run, version, incumbent, actor, reason)
        evidence = self._gathered(wish)
        failures = hard_failures(evidence.gates)
        if failures:
            self._refuse(wish, evidence.request_id, failures)
        return self._open(wish, evidence)

    def _require_news(self, problem: str, version: int, incumbent: Promotion) -> None:
        if incumbent.version == version:
            raise ConflictError(f"{problem} v{version} is in production already.")
        for waiting in self._desk.records.requests(problem, open_only=True):
            if waiting.version == version:
                raise ConflictError(
                    f"{problem} v{version} waits already.",
                    fix=f"Decide on request {waiting.id}.",
                )

    def _gathered(self, wish: Wish) -> Evidence:
        evidence = self._desk.evidence
        return evidence.gather(new_id(), wish.run, wish.incumbent, wish.requested_by)

    def _bootstrap(self, run: Run, found: ModelVersion) -> None:
        version = found.version
        try:
            bundle_sha256 = self._desk.evidence.bundle_sha256(found)
        except (NotFoundError, TrainingError) as exc:
            self._keep_out(run, version, f"Its files cannot be served. {exc.message}")
            return
        promotion = Promotion(
            id=new_id(),
            problem=run.problem,
            version=version,
            run_id=run.id,
            rule=BOOTSTRAP,
            decided_by=run.started_by,
            reason="The registry was empty: the first version serves without a decision.",
            since=datetime.now(UTC),
            four_eyes=standing_without(self._desk.identities.told_apart, BOOTSTRAP),
            source=found.source,
            bundle_sha256=bundle_sha256,
        )
        entry = self._desk.entry(
            Action.BOOTSTRAPPED,
            run.problem,
            version,
            actor=run.started_by,
            reason=promotion.reason,
            detail=f"Four eyes: {promotion.four_eyes}.",
        )
        change = Change(
            run.problem, (entry,), Seen(None), considered_run=run.id, promotion=promotion
        )
        with self._desk.carrier.turn():
            self._desk.carrier.decide(change)

    def _keep_out(self, run: Run, version: int, why: str) -> None:
        LOG.info("%s v%d is kept out: %s", run.problem, version, why)
        entry = self._desk.entry(
            Action.CANDIDATE_KEPT_OUT, run.problem, version, actor=run.started_by, detail=why
        )
        self._desk.records.decide(Change(run.problem, (entry,), considered_run=run.id))

    def _refuse(self, wish: Wish, request_id: str, failures: Sequence[GateResult]) -> None:
        why = _reasons(failures)
        problem, version = wish.run.problem, wish.version
        entry = self._desk.entry(
            Action.CANDIDATE_KEPT_OUT,
            problem,
            version,
            actor=wish.requested_by,
            reason=wish.reason,
            request_id=request_id,
            detail=why,
            outcome=Outcome.REFUSED,
        )
        self._desk.records.decide(Change(problem, (entry,)))
        raise RefusedError(
            f"{problem} v{version} cannot be promoted: {why}",
            fix="Hard gates cannot be passed over; train a new candidate.",
        )

    def _open(
        self, wish: Wish, evidence: Evidence, considered_run: str | None = None
    ) -> PromotionRequest:
        frozen = self._desk.evidence.freeze(evidence)
        with self._desk.carrier.turn():
            now = datetime.now(UTC)
            request = PromotionRequest(
                id=evidence.request_id,
                problem=wish.run.problem,
                version=wish.version,
                run_id=wish.run.id,
                status=RequestStatus.OPEN,
                requested_by=wish.requested_by,
                requested_at=now,
                incumbent_version=wish.incumbent.version,
                gates=evidence.gates,
                evidence_path=frozen.path,
                evidence_sha256=frozen.sha256,
                request_reason=wish.reason,
            )
            older = self._superseded(request, now)
            told = self._desk.entry(
                Action.REQUEST_OPENED,
                request.problem,
                request.version,
                request_id=request.id,
                actor=wish.requested_by,
                reason=wish.reason,
                detail=summary(evidence.gates),
            )
            entries = (*(self._told_superseded(one, wish) for one in older), told)
            self._desk.carrier.decide(
                Change(
                    request.problem,
                    entries,
                    Seen(wish.incumbent.id),
                    considered_run=considered_run,
                    closed=older,
                    opened=request,
                )
            )
        return request

    def _superseded(self, request: PromotionRequest, now: datetime) -> tuple[PromotionRequest, ...]:
        return tuple(
            replace(
                older,
                status=RequestStatus.SUPERSEDED,
                superseded_by=request.id,
                decided_at=now,
            )
            for older in self._desk.records.requests(request.problem, open_only=True)
        )

    def _told_superseded(self, older: PromotionRequest, wish: Wish) -> AuditEntry:
        said = f"v{wish.version} takes its place."
        return self._desk.entry(
            Action.REQUEST_SUPERSEDED,
            older.problem,
            older.version,
            actor=wish.requested_by,
            request_id=older.id,
            detail=said,
        )


def _reasons(failures: Sequence[GateResult]) -> str:
    return " ".join(f"{gate.gate}: {gate.reason}" for gate in failures)
