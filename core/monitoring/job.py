"""The process of one check: what a Ray Job starts.

Like a run's process it reads its specification from the command line, tells MLflow how far
it is, and leaves a log that outlives the cluster. It needs no Spark.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

import pyarrow as pa

from core.adapters.mlflow import RunTracker
from core.adapters.mlflow_registry import ModelRegistry
from core.bootstrap import Tracking, build_detector, connect_arrivals, connect_tracking
from core.domain import Progress, Stage
from core.errors import NotFoundError
from core.monitoring.arrivals import Arrivals, batch_rows, labelled, window_rows, with_probability
from core.monitoring.chunks import as_datetime
from core.monitoring.examine import ArrivedTable, Findings, examine
from core.monitoring.figures import draw_check
from core.monitoring.history import read_history
from core.monitoring.job_spec import FOLDER, LOG_FILE, REPORT_FILE, CheckSpec, check_folder
from core.monitoring.outcome import check_metrics, check_tags
from core.monitoring.reference import reference_table
from core.monitoring.report import Compared, DriftReport, Side
from core.monitoring.sampling import times
from core.problems import load_problem
from core.problems.contract import Problem
from core.scoring.bundle import BundleRef, fetch_bundle, read_bundle
from core.scoring.scorer import Scorer
from core.settings import load_settings, silence_vendors
from core.training.artifacts import read_value
from core.training.recorded_job import do_recorded

LOG = logging.getLogger(__name__)


def main() -> int:
    """Runs the specification given as the one argument; returns the exit code."""
    spec = CheckSpec.model_validate_json(sys.argv[1])
    settings = load_settings()
    silence_vendors()
    folder = check_folder(settings.home, spec.check_id)
    tracking = connect_tracking(settings)

    def work() -> None:
        problem = load_problem(spec.problem, settings.packages)
        arrivals = connect_arrivals(settings, {spec.problem: problem})
        report = run_check(spec, problem, settings.home, tracking, arrivals)
        track_check(tracking.tracker, spec, report)
        LOG.info("%s", report.verdict.summary)

    log = folder / LOG_FILE
    return do_recorded(tracking.tracker, spec.check_id, log, settings.log_level, "check", work)


class _Version:
    """The version in production, ready to score."""

    def __init__(
        self, problem: Problem, spec: CheckSpec, registry: ModelRegistry, home: Path
    ) -> None:
        found = registry.get(problem.name, spec.version)
        ref = BundleRef(problem=problem.name, version=spec.version, url=registry.files_url(found))
        model, facts = read_bundle(fetch_bundle(ref, home / "bundles"))
        self._contract, self._number = problem.contract, spec.version
        self.threshold = facts.threshold
        self._scorer = Scorer(problem, model)

    def told(self, rows: pa.Table) -> tuple[pa.Table, int]:
        """Rows with this version's probability, and how many were scored anew."""
        return with_probability(rows, self._contract, self._number, self._scorer.probabilities)


def run_check(
    spec: CheckSpec, problem: Problem, home: Path, tracking: Tracking, arrivals: Arrivals
) -> DriftReport:
    """Does what the specification says and returns the report.

    Raises:
        NotFoundError: batch, version or reference is gone.
        UnavailableError: MLflow does not answer.
    """
    tracker = tracking.tracker

    def tell(percent: int, message: str) -> None:
        LOG.info("%d %%: %s", percent, message)
        tracker.report_progress(spec.check_id, Progress(Stage.EVALUATE, percent, message))

    def batch(batch_id: str) -> pa.Table:
        return batch_rows(home, spec.problem, batch_id, arrivals.labels)

    tell(2, "reading the rows")
    reference = reference_table(tracker, spec.run_id, home)
    if spec.batch_id is not None:
        rows = batch(spec.batch_id)
    else:
        window = spec.window or spec.monitoring.window
        rows = window_rows(arrivals.log, spec.problem, window, spec.started_at, arrivals.labels)
    tell(8, "scoring the rows")
    version = _Version(problem, spec, tracking.registry, home)
    scored, rescored = version.told(rows)
    tell(15, "reading earlier checks")
    history = read_history(
        _earlier(spec, tracker),
        spec.batch_id,
        lambda batch_id: version.told(labelled(batch(batch_id)))[0],
        version.threshold,
        spec.monitoring,
    )
    arrived = ArrivedTable(scored)
    findings = examine(
        spec.check_id,
        problem.contract,
        reference,
        arrived,
        version.threshold,
        history,
        spec.monitoring,
        build_detector,
        tell,
    )
    tell(95, "writing the report")
    compared = _compared(spec, tracker, reference, scored, findings, rescored)
    return _report(compared, findings, arrived.labelled_rows)


def _earlier(spec: CheckSpec, tracker: RunTracker) -> list[DriftReport]:
    """Reports of earlier checks that can still be read, newest first."""
    reports = []
    for check_id in spec.earlier:
        foreign = NotFoundError(f"The report of check {check_id[:8]} is of another release.")
        try:
            reports.append(read_value(tracker, check_id, REPORT_FILE, DriftReport, foreign=foreign))
        except NotFoundError as exc:
            LOG.info("an earlier check is left out: %s", exc)
    return reports


def _compared(
    spec: CheckSpec,
    tracker: RunTracker,
    reference: pa.Table,
    rows: pa.Table,
    findings: Findings,
    rescored: int,
) -> Compared:
    at = times(rows)
    has_span = at is not None and at.size > 0
    return Compared(
        check_id=spec.check_id,
        problem=spec.problem,
        checked_at=spec.started_at,
        batch_id=spec.batch_id,
        window=spec.window,
        version=spec.version,
        run_id=spec.run_id,
        reference=Side(
            data_version=tracker.get(spec.run_id).tags.get("data_version", ""),
            rows=reference.num_rows,
            sampled_rows=findings.reference_sample,
        ),
        analysis=Side(
            data_version=spec.data_version,
            rows=rows.num_rows,
            sampled_rows=findings.analysis_sample,
            first_at=as_datetime(at[0]) if at is not None and has_span else None,
            last_at=as_datetime(at[-1]) if at is not None and has_span else None,
        ),
        seed=spec.monitoring.seed,
        rescored_rows=rescored,
    )


def _report(compared: Compared, findings: Findings, labelled_rows: int) -> DriftReport:
    return DriftReport(
        compared=compared,
        verdict=findings.verdict,
        quality=findings.compared.quality,
        chunks=findings.chunks,
        features=findings.compared.features,
        prediction=findings.compared.prediction,
        reconstruction=findings.reconstruction,
        domain_classifier=findings.domain_classifier,
        performance=findings.performance,
        estimator=findings.estimator,
        labelled_rows=labelled_rows,
        notes=findings.notes,
    )


def track_check(tracker: RunTracker, spec: CheckSpec, report: DriftReport) -> None:
    """Logs the report, its figures, and what can be compared over checks as metrics."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        text = report.model_dump_json(indent=1) + "\n"
        (folder / Path(REPORT_FILE).name).write_text(text, encoding="utf-8")
        draw_check(report, spec.monitoring.drift, folder / "figures")
        tracker.log_files(spec.check_id, folder, FOLDER)
    tracker.log(spec.check_id, {}, check_metrics(report))
    tracker.tag(spec.check_id, check_tags(report))


if __name__ == "__main__":
    sys.exit(main())
