"""Whether a difference keeps a limit: pass, fail, or cannot tell. Pure functions.

A limit that a difference meets exactly is kept. ``ROUNDING`` is allowed on top, because a
difference of two sums that should be equal is seldom 0.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.domain import Verdict
from core.promotion.evidence import Difference

ROUNDING = 1e-12


def auc_verdict(difference: Difference, margin: float) -> Verdict:
    """Whether a candidate leads by the margin, by the interval of its lead.

    It passes where the whole interval is at the margin or above, fails where all of it is
    below, and cannot tell where the interval holds the margin.
    """
    if difference.low >= margin - ROUNDING:
        return Verdict.PASS
    return Verdict.FAIL if difference.high < margin - ROUNDING else Verdict.CANNOT_TELL


def loss_verdict(difference: Difference, most: float) -> Verdict:
    """Whether a rate, candidate minus incumbent, has lost more than ``most``.

    It passes up to ``most``. Above, it fails where the interval says that the loss is more
    than chance, all of it being below zero, and cannot tell where the interval holds zero.
    """
    if -difference.value <= most + ROUNDING:
        return Verdict.PASS
    return Verdict.FAIL if difference.high < -ROUNDING else Verdict.CANNOT_TELL


def rise_verdict(difference: Difference, most: float) -> Verdict:
    """As ``loss_verdict``, for an error of which less is better."""
    mirrored = Difference(value=-difference.value, low=-difference.high, high=-difference.low)
    return loss_verdict(mirrored, most)


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """A failure counts more than a doubt, and that more than a pass; of none, cannot tell."""
    for verdict in (Verdict.FAIL, Verdict.CANNOT_TELL, Verdict.PASS):
        if verdict in verdicts:
            return verdict
    return Verdict.CANNOT_TELL
