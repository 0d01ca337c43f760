"""How far a metric of so many labels may lie from the truth by chance. Pure functions."""

from __future__ import annotations

from math import sqrt


def auc_standard_error(auc: float, positives: int, negatives: int) -> float | None:
    """Standard error of an AUC; ``None`` where a class has no rows.

    Hanley and McNeil 1982, "The meaning and use of the area under a receiver operating
    characteristic (ROC) curve", Radiology 143(1). NannyML's own, made for estimates, leaves
    out a part of what labels scatter.
    """
    if not positives or not negatives:
        return None
    of_two_negatives, of_two_positives = 2 * auc**2 / (1 + auc), auc / (2 - auc)
    variance = (
        auc * (1 - auc)
        + (positives - 1) * (of_two_positives - auc**2)
        + (negatives - 1) * (of_two_negatives - auc**2)
    ) / (positives * negatives)
    return sqrt(max(variance, 0.0))
