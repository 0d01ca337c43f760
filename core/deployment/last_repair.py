"""What an operator is told of repairs, and of the files that a promotion was decided on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.domain import Promotion
from core.promotion.audit import Action, AuditEntry, Chosen

if TYPE_CHECKING:
    from core.promotion.trail import AuditTrail


def last_repair(trail: AuditTrail, problem: str) -> AuditEntry | None:
    """The newest row that tells of a repair; ``None`` where nothing had to be repaired.

    Raises:
        UnavailableError: the database does not answer.
    """
    rows = trail.list(1, Chosen(problem=problem, action=Action.SERVING_REPAIRED))
    return rows[0].entry if rows else None


def remark_on_files(production: Promotion | None) -> str:
    """Says if nobody kept which files were decided on; empty where that is known."""
    if production is None or production.bundle_sha256:
        return ""
    return (
        f"The record of v{production.version} is of a release that kept no hash of its files, so "
        "replicas take the first files that they have had of it. The next promotion will have one."
    )
