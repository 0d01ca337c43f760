"""Why a run was started, where the retraining policy has started it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from core.adapters.mlflow import RunTracker
from core.errors import ConflictError, NotFoundError
from core.monitoring.job_spec import REPORT_FILE
from core.monitoring.report import DriftReport
from core.promotion.evidence import Cause, DriftedFeature, sha256_of

#: Features of a check that are kept with the evidence.
MOST_FEATURES = 5


def read_cause(tracker: RunTracker, tags: Mapping[str, str]) -> Cause | None:
    """The cause that a run is tagged with; ``None`` for a run that a person has started.

    Raises:
        UnavailableError: MLflow does not answer.
    """
    why, check_id = tags.get("cause", ""), tags.get("check", "")
    if not why:
        return None
    kept = _kept_report(tracker, check_id) if check_id else None
    report = None if kept is None else _readable(kept)
    return Cause(
        check_id=check_id,
        why=why,
        level=report.verdict.level if report else None,
        summary=report.verdict.summary if report else "",
        batch_id=report.compared.batch_id if report else None,
        window=report.compared.window if report else None,
        rows=report.compared.analysis.rows if report else None,
        features=tuple(
            DriftedFeature(column=one.column, psi=one.psi, level=one.level)
            for one in (report.features[:MOST_FEATURES] if report else ())
        ),
        report_sha256="" if kept is None else sha256_of(kept),
    )


def require_unchanged(tracker: RunTracker, cause: Cause) -> None:
    """Refuses a cause whose check says something else than when the evidence was frozen.

    Raises:
        ConflictError: the report of the check was changed or removed since.
        UnavailableError: MLflow does not answer.
    """
    if not cause.report_sha256:
        return
    kept = _kept_report(tracker, cause.check_id)
    if kept is None or sha256_of(kept) != cause.report_sha256:
        done = "removed from MLflow" if kept is None else "changed"
        raise ConflictError(
            f"The report of the check behind the retrain, {cause.check_id[:8]}, was {done} after "
            "the evidence was frozen.",
            fix="Ask anew, so that the evidence tells what is there now.",
        )


def _kept_report(tracker: RunTracker, check_id: str) -> bytes | None:
    """The report of a check as MLflow has it; ``None`` where it was deleted."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            return tracker.fetch_file(check_id, REPORT_FILE, Path(scratch)).read_bytes()
        except NotFoundError:  # that the check was the cause remains
            return None


def _readable(kept: bytes) -> DriftReport | None:
    """``None`` for a report of another release."""
    try:
        return DriftReport.model_validate_json(kept)
    except ValidationError:
        return None
