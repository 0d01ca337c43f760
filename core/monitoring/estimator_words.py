"""How far the estimate of performance was right so far, in sentences for panel and terminal."""

from __future__ import annotations

from core.monitoring.report_performance import Calibration, Estimator
from core.wording import count, signed


def estimator_sentences(estimator: Estimator) -> tuple[str, ...]:
    """What was measured of the estimator; nothing is said of what was not."""
    said = []
    if estimator.calibration is not None:
        said.append(_calibration(estimator.calibration))
    if estimator.reference_error is not None:
        said.append(
            "Estimated minus realized on halves of the reference that it did not learn from: "
            f"{signed(estimator.reference_error)}."
        )
    if estimator.mean_past_error is not None:
        checks = count(len(estimator.past), "check")
        said.append(f"Mean past error over {checks} with labels: {estimator.mean_past_error:.3f}.")
    else:
        said.append("Past error: no check of this version has had labels yet.")
    return tuple(said)


def _calibration(calibration: Calibration) -> str:
    used = "used" if calibration.recalibrated else "not used, as it did not help"
    return (
        f"Calibration error on the reference: {calibration.error_before:.3f}, after NannyML's "
        f"recalibration {calibration.error_after:.3f} ({used}); by chance it would be "
        f"{calibration.error_by_chance:.3f}."
    )
