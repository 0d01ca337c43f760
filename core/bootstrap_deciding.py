"""The part of the composition root that builds evidence, decisions and the audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from core.adapters.database import Database
from core.adapters.database_audit import AuditRecords
from core.adapters.database_batches import BatchRecords
from core.adapters.database_decisions import DecisionRecords
from core.adapters.database_rollouts import RolloutRecords
from core.data.labelled import ReadLabelled
from core.deployment.reconciler import Reconciler
from core.deployment.serving_watch import ServingWatch
from core.params import Params
from core.problems.contract import Problem
from core.promotion.audit_files import AnchorFile, load_key
from core.promotion.carrying import Carrier
from core.promotion.desk import Desk
from core.promotion.identity import Identities
from core.promotion.measuring import EvidenceService
from core.promotion.papers import Papers
from core.promotion.promotions import PromotionService
from core.promotion.trail import AuditTrail
from core.promotion.turn import Turn
from core.rollout.service import RolloutService
from core.rollout.slo_watch import SloService
from core.settings import Settings

if TYPE_CHECKING:
    from core.bootstrap import Adapters


@dataclass(frozen=True)
class Deciding:
    """What decides which version serves, on what, and keeps record of it."""

    trail: AuditTrail
    evidence: EvidenceService
    promotions: PromotionService
    papers: Papers
    reconciler: Reconciler
    serving_watch: ServingWatch
    desk: Desk
    slo: SloService
    rollouts: RolloutService


def connect_trail(settings: Settings, database: Database, identities: Identities) -> AuditTrail:
    """Builds the audit trail; the first process of an installation makes its key and anchor.

    Raises:
        SetupError: the key cannot be read or made.
        UnavailableError: the anchor of a new trail cannot be written.
    """
    key = load_key(settings.audit_key, settings.audit_anchor)
    anchor = AnchorFile(settings.audit_anchor, key)
    trail = AuditTrail(AuditRecords(database, key), anchor, key, identities)
    if settings.audit_key_file:
        trail.begin()
    return trail


def assemble_deciding(
    settings: Settings,
    params: Params,
    problems: Mapping[str, Problem],
    adapters: Adapters,
    labelled: ReadLabelled,
) -> Deciding:
    """Puts the services together that a decision passes through."""
    home, database, tracker = settings.home, adapters.database, adapters.tracker
    evidence = EvidenceService(
        params, problems, tracker, adapters.registry, BatchRecords(database), labelled, home
    )
    trail = connect_trail(settings, database, adapters.identities)
    records, rollouts = DecisionRecords(database, trail), RolloutRecords(database)
    reconciler = Reconciler(
        params.problems,
        records,
        adapters.registry,
        adapters.serving,
        home / "run" / "reconcile",
        rollouts,
        params.rollout.shadow,
    )
    slo = SloService(home, params.rollout.slo)
    turn = Turn(home / "decisions.lock")
    desk = Desk(
        params.promotion,
        database,
        records,
        adapters.registry,
        evidence,
        adapters.identities,
        trail,
        Carrier(records, adapters.registry, reconciler, turn, rollouts),
        rollouts,
        params.rollout,
        partial(_spent, slo),
    )
    promotions = PromotionService(desk)
    rolling = RolloutService(desk, home)
    papers = Papers(problems, tracker, adapters.registry, evidence, promotions, rolling)
    watch = ServingWatch(reconciler, promotions, trail)
    return Deciding(trail, evidence, promotions, papers, reconciler, watch, desk, slo, rolling)


def _spent(slo: SloService, problem: str) -> str:
    """Why new rollouts of a problem are held; empty where its error budget is not spent."""
    budget = slo.look(problem)
    return budget.said if budget is not None and budget.is_spent else ""
