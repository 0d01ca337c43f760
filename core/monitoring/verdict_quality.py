"""Whether the data is damaged: a pure function of counts and of the policy."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from core.domain_watching import Level
from core.monitoring.report import ColumnQuality, Reason, Topic
from core.params_monitoring import QualityParams

#: Standard errors that a rise must have to be more than chance.
CHANCE_ERRORS = 3.0


def quality_reasons(
    quality: Sequence[ColumnQuality], reference_rows: int, rows: int, policy: QualityParams
) -> list[Reason]:
    """Reasons of every column whose values are missing, unseen or unusual too often."""
    reasons = []
    for found in quality:
        name = found.column
        missing = found.missing_share_reference, found.missing_share_analysis
        outside = found.out_of_range_share_reference, found.out_of_range_share
        counted = (
            (missing, "missing", policy.missing_warning, policy.missing_critical),
            ((0.0, found.unseen_share), "unseen", policy.unseen_warning, policy.unseen_critical),
            (outside, "out of range", policy.range_warning, policy.range_critical),
        )
        for (then, now), what, warning, critical in counted:
            if now - then <= warning or not _is_beyond_chance(then, reference_rows, now, rows):
                continue
            is_critical = now - then > critical
            reasons.append(
                Reason(
                    topic=Topic.QUALITY,
                    level=Level.CRITICAL if is_critical else Level.WARNING,
                    subject=name,
                    measured=now - then,
                    limit=critical if is_critical else warning,
                    text=f"{now:.1%} of {name} are {what}, {then:.1%} in the reference",
                )
            )
    return sorted(reasons, key=lambda reason: -(reason.measured or 0.0)) or [_calm(quality)]


def _calm(quality: Sequence[ColumnQuality]) -> Reason:
    """Says that the data was looked at, without which nobody may call it sound."""
    return Reason(
        topic=Topic.QUALITY,
        level=Level.OK,
        subject="",
        measured=None,
        limit=None,
        text=f"missing, unseen and unusual values of {len(quality)} columns are within limits",
    )


def _is_beyond_chance(then: float, then_rows: int, now: float, now_rows: int) -> bool:
    """Whether two shares differ by more than three standard errors of their difference.

    The test of two proportions with the pooled share (Fleiss, Levin and Paik 2003,
    "Statistical methods for rates and proportions", 3.2).
    """
    if not then_rows or not now_rows:
        return False
    pooled = (then * then_rows + now * now_rows) / (then_rows + now_rows)
    error = sqrt(pooled * (1 - pooled) * (1 / then_rows + 1 / now_rows))
    return now - then > CHANCE_ERRORS * error
