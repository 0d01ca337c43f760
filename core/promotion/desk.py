"""What every decision needs at hand, and what holds for all of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from core.adapters.database import Database
from core.adapters.database_decisions import DecisionRecords
from core.adapters.database_rollouts import RolloutRecords
from core.adapters.mlflow_registry import ModelRegistry
from core.errors import InvalidInputError, Offence
from core.params_promotion import PromotionParams
from core.params_rollout import RolloutParams
from core.promotion.audit import Action, AuditEntry, Outcome
from core.promotion.carrying import Carrier
from core.promotion.identity import Identities
from core.promotion.measuring import EvidenceService
from core.promotion.trail import AuditTrail


@dataclass(frozen=True)
class Desk:
    """The tools of the one who decides."""

    params: PromotionParams
    database: Database
    records: DecisionRecords
    registry: ModelRegistry
    evidence: EvidenceService
    identities: Identities
    trail: AuditTrail
    carrier: Carrier
    rollouts: RolloutRecords
    #: How versions are rolled out.
    rollout: RolloutParams
    #: Says why new rollouts of a problem are held: its error budget is spent. Empty where it is
    #: not.
    budget_spent: Callable[[str], str]

    def entry(
        self,
        action: Action,
        problem: str,
        version: int,
        *,
        actor: str,
        reason: str = "",
        request_id: str | None = None,
        detail: str = "",
        outcome: Outcome = Outcome.DONE,
    ) -> AuditEntry:
        """A row of the audit trail about a version."""
        return self.trail.entry(
            action,
            actor=actor,
            object=f"{problem} v{version}",
            problem=problem,
            reason=reason,
            request_id=request_id or "",
            detail=detail,
            outcome=outcome,
        )

    def require_reason(self, reason: str) -> None:
        """Refuses a decision without a reason.

        Raises:
            InvalidInputError: the reason is too short.
        """
        least = self.params.reason_min_length
        if len(reason.strip()) < least:
            raise InvalidInputError(
                f"A decision needs a reason of at least {least} characters.",
                fix="Say why, so that others understand it later.",
                offences=[Offence("reason", "too short")],
            )


def new_id() -> str:
    """An id for a request or an entry of the promotion record."""
    return uuid.uuid4().hex[:12]
