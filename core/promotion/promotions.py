"""Which version serves, which one waits, and who decided.

The promotion record in the database decides; alias, tags and deployment are its
projections, made by ``project`` and repaired by the worker when a process dies in
between.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace
from datetime import UTC, datetime

from core.adapters.database import Database
from core.adapters.mlflow_registry import PRODUCTION, STAGING, ModelRegistry
from core.domain import ModelVersion, Promotion, PromotionRequest, RequestStatus, Run
from core.errors import ConflictError, InvalidInputError, NotFoundError, Offence
from core.params import Params
from core.promotion.gates import hard_failures
from core.promotion.measuring import EvidenceService

LOG = logging.getLogger(__name__)
BOOTSTRAP, APPROVAL = "bootstrap", "approval"


class PromotionService:
    """Candidates, requests, decisions and the promotion record."""

    def __init__(
        self,
        params: Params,
        database: Database,
        registry: ModelRegistry,
        evidence: EvidenceService,
    ) -> None:
        self._params = params
        self._evidence = evidence
        self._database = database
        self._registry = registry

    def production(self, problem: str) -> Promotion | None:
        """What serves by the record; ``None`` before the first promotion."""
        record = self._database.promotions(problem)
        return record[0] if record else None

    def history(self, problem: str) -> tuple[Promotion, ...]:
        """The promotion record, newest first."""
        return self._database.promotions(problem)

    def requests(
        self, problem: str | None = None, *, open_only: bool = False
    ) -> tuple[PromotionRequest, ...]:
        """Promotion requests, newest first."""
        return self._database.requests(problem, open_only=open_only)

    def version(self, problem: str, version: int) -> ModelVersion:
        """Reads a registered version.

        Raises:
            NotFoundError: the registry does not have it.
        """
        return self._registry.get(problem, version)

    def consider(self, run: Run) -> None:
        """Looks at a finished run's version: bootstrap, open a request, or keep it out."""
        if run.model_version is None:
            self._database.decide(considered_run=run.id)
            return
        incumbent = self.production(run.problem)
        if incumbent is None:
            self._bootstrap(run, run.model_version)
            return
        request_id = _new_id()
        evidence = self._evidence.gather(request_id, run, incumbent, run.started_by)
        gates = evidence.gates
        summary = "; ".join(f"{gate.gate}: {gate.verdict.value}" for gate in gates)
        if hard_failures(gates):
            LOG.info("%s v%d is kept out: %s", run.problem, run.model_version, summary)
            tags = {"promotion_state": "kept out", "gates": summary}
            self._registry.tag(run.problem, run.model_version, tags)
            self._database.decide(considered_run=run.id)
            return
        frozen = self._evidence.freeze(evidence)
        request = PromotionRequest(
            id=request_id,
            problem=run.problem,
            version=run.model_version,
            run_id=run.id,
            status=RequestStatus.OPEN,
            requested_by=run.started_by,
            requested_at=datetime.now(UTC),
            incumbent_version=incumbent.version,
            gates=gates,
            evidence_path=frozen.path,
            evidence_sha256=frozen.sha256,
        )
        for older in self._database.requests(run.problem, open_only=True):
            self._tag(run.problem, older.version, "superseded")
        self._registry.set_alias(run.problem, STAGING, run.model_version)
        tags = {"promotion_state": "staging", "gates": summary}
        self._registry.tag(run.problem, run.model_version, tags)
        self._database.decide(considered_run=run.id, request=request)

    def _bootstrap(self, run: Run, version: int) -> None:
        promotion = Promotion(
            id=_new_id(),
            problem=run.problem,
            version=version,
            run_id=run.id,
            rule=BOOTSTRAP,
            decided_by=run.started_by,
            reason="The registry was empty: the first version serves without a decision.",
            since=datetime.now(UTC),
        )
        self._database.decide(considered_run=run.id, promotion=promotion)
        self.project(promotion)

    def approve(self, request_id: str, *, reason: str, actor: str) -> Promotion:
        """Makes a waiting candidate Production.

        Raises:
            NotFoundError: no such request.
            InvalidInputError: the reason is too short.
            ConflictError: the request is not open, or another version went live since.
        """
        self._require_reason(reason)
        request = self._database.request(request_id)
        now = datetime.now(UTC)
        incumbent = self.production(request.problem)
        if request.status is RequestStatus.OPEN and (
            incumbent is None or incumbent.version != request.incumbent_version
        ):
            stale = replace(request, status=RequestStatus.STALE, decided_by=actor, decided_at=now)
            self._database.decide(request=stale)
            self._registry.drop_alias(request.problem, STAGING)
            self._tag(request.problem, request.version, "stale")
            raise ConflictError(
                "Another version went live since this request was opened; it is stale.",
                fix="Train a new candidate against the version that serves now.",
            )
        promotion = Promotion(
            id=_new_id(),
            problem=request.problem,
            version=request.version,
            run_id=request.run_id,
            rule=APPROVAL,
            decided_by=actor,
            reason=reason,
            since=now,
            request_id=request.id,
        )
        decided = _decided(request, RequestStatus.APPROVED, reason, actor, now)
        self._database.decide(request=decided, promotion=promotion)
        self.project(promotion)
        return promotion

    def reject(self, request_id: str, *, reason: str, actor: str) -> PromotionRequest:
        """Closes a request; the version stays registered and does not serve.

        Raises:
            NotFoundError: no such request.
            InvalidInputError: the reason is too short.
            ConflictError: the request is not open.
        """
        self._require_reason(reason)
        request = self._database.request(request_id)
        decided = _decided(request, RequestStatus.REJECTED, reason, actor, datetime.now(UTC))
        self._database.decide(request=decided)
        self._registry.drop_alias(request.problem, STAGING)
        self._registry.tag(request.problem, request.version, {"promotion_state": "rejected"})
        return decided

    def _require_reason(self, reason: str) -> None:
        least = self._params.promotion.reason_min_length
        if len(reason.strip()) < least:
            raise InvalidInputError(
                f"A decision needs a reason of at least {least} characters.",
                fix="Say why, so that others understand it later.",
                offences=[Offence("reason", "too short")],
            )

    def project(self, promotion: Promotion) -> None:
        """Makes the registry show a promotion: alias and tags of winner and loser."""
        record = self._database.promotions(promotion.problem)
        if record and record[0].id == promotion.id:
            self._registry.set_alias(promotion.problem, PRODUCTION, promotion.version)
            self._drop_own_staging(promotion)
            self._tag(promotion.problem, promotion.version, "production")
            for older in record[1:2]:
                if older.version != promotion.version:
                    self._tag(promotion.problem, older.version, "archived")
        self._database.mark_projected(promotion.id)

    def _drop_own_staging(self, promotion: Promotion) -> None:
        version = self._registry.get(promotion.problem, promotion.version)
        if STAGING in version.aliases:
            self._registry.drop_alias(promotion.problem, STAGING)

    def _tag(self, problem: str, version: int, state: str) -> None:
        try:
            self._registry.tag(problem, version, {"promotion_state": state})
        except NotFoundError:
            LOG.warning("%s v%d was deleted from the registry", problem, version)

    def finish_projections(self) -> None:
        """Completes what a process left undone between record and registry."""
        for promotion in self._database.unprojected():
            self.project(promotion)


def _decided(
    request: PromotionRequest, status: RequestStatus, reason: str, actor: str, now: datetime
) -> PromotionRequest:
    return replace(request, status=status, reason=reason, decided_by=actor, decided_at=now)


def _new_id() -> str:
    return uuid.uuid4().hex[:12]
