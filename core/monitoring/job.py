"""The process of one check: what a Ray Job starts.

Like a run's process it reads its specification from the command line, tells MLflow how far
it is, and leaves a log that outlives the cluster. It needs Spark only where memory is not to
hold the rows of a batch.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa

from core.adapters.mlflow import RunTracker
from core.adapters.mlflow_registry import ModelRegistry
from core.bootstrap import Tracking, connect_arrivals, connect_tracking
from core.bootstrap_engines import build_detector
from core.domain import Progress, Stage
from core.errors import NotFoundError
from core.monitoring.arrivals import Arrivals, batch_rows, window_rows, with_probability
from core.monitoring.counting import ArrivedPieces, Count
from core.monitoring.examine import Arrived, ArrivedTable, Findings, Tell, examine
from core.monitoring.figures import draw_check
from core.monitoring.history import LookedAt, read_history
from core.monitoring.job_spec import FOLDER, LOG_FILE, REPORT_FILE, CheckSpec, check_folder
from core.monitoring.outcome import check_metrics, check_tags
from core.monitoring.reference import reference_table
from core.monitoring.report import Compared, DriftReport, Side
from core.monitoring.stored_batch import open_batch
from core.problems import load_problem
from core.problems.contract import Problem
from core.scoring.bundle import bundles_folder
from core.scoring.scorer import Scorer
from core.settings import load_settings, silence_vendors
from core.training.artifacts import read_value
from core.training.recorded_job import do_recorded

LOG = logging.getLogger(__name__)
#: Percent of a check between which rows are counted on Spark.
COUNTING = (20, 30)


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
        with ExitStack() as stack:
            count = None
            if spec.spark is not None:
                # Ray and Spark take seconds to import, and most checks need neither.
                from core.monitoring.spark_counting import spark_counting

                counting = spark_counting(spec.check_id, spec.spark, settings.packages)
                count = stack.enter_context(counting)
            report = run_check(spec, problem, settings.home, tracking, arrivals, count)
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
        bundle = registry.bundle(found, bundles_folder(home))
        self._contract = problem.contract
        self.number, self.model = spec.version, bundle.model
        self.threshold = bundle.facts.threshold
        self._scorer = Scorer(problem, bundle.model)

    def told(self, rows: pa.Table) -> tuple[pa.Table, int]:
        """Rows with this version's probability, and how many were scored anew."""
        return with_probability(rows, self._contract, self.number, self._scorer.probabilities)


def run_check(
    spec: CheckSpec,
    problem: Problem,
    home: Path,
    tracking: Tracking,
    arrivals: Arrivals,
    count: Count | None,
) -> DriftReport:
    """Does what the specification says and returns the report.

    ``count`` counts pieces of a batch that memory is not to hold; ``None`` where it is.

    Raises:
        NotFoundError: batch, version or reference is gone.
        UnavailableError: MLflow does not answer.
    """
    tracker = tracking.tracker
    tell = _Teller(spec.check_id, tracker)
    tell(2, "reading the rows")
    reference = reference_table(tracker, spec.run_id, home)
    version = _Version(problem, spec, tracking.registry, home)
    arrived, rescored = _arrived(spec, problem, home, arrivals, version, count, tell)
    tell(15, "reading earlier checks")
    history = read_history(
        _earlier(spec, tracker),
        LookedAt(spec.batch_id, None if spec.batch_id else arrived.span),
        lambda batch_id: _labelled(spec, home, arrivals, version, batch_id),
        version.threshold,
        spec.monitoring,
    )
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
    compared = _compared(spec, tracker, reference, arrived, findings, rescored)
    return _report(compared, findings, arrived.labelled_rows)


class _Teller:
    """Tells the log and MLflow how far the check is; nothing is said twice."""

    def __init__(self, check_id: str, tracker: RunTracker) -> None:
        self._check_id = check_id
        self._tracker = tracker
        self._said = (0, "")

    def __call__(self, percent: int, message: str) -> None:
        if (percent, message) == self._said:
            return
        self._said = (percent, message)
        LOG.info("%d %%: %s", percent, message)
        progress = Progress(Stage.EVALUATE, percent, message)
        self._tracker.report_progress(self._check_id, progress)


def _arrived(
    spec: CheckSpec,
    problem: Problem,
    home: Path,
    arrivals: Arrivals,
    version: _Version,
    count: Count | None,
    tell: Tell,
) -> tuple[Arrived, int]:
    """What arrived, and how many of its rows were scored anew."""
    if spec.batch_id is None:
        window = spec.window or spec.monitoring.window
        rows = window_rows(arrivals.log, spec.problem, window, spec.started_at, arrivals.labels)
    elif count is None:
        rows = batch_rows(home, spec.problem, spec.batch_id, arrivals.labels, arrivals.fetch)
    else:
        begin, end = COUNTING
        batch = open_batch(home, spec.problem, spec.batch_id, arrivals.labels, arrivals.fetch)
        return ArrivedPieces(
            batch=batch,
            problem=problem,
            version=version.number,
            model=version.model,
            told=lambda rows: version.told(rows)[0],
            count=count,
            on_share=lambda share, doing: tell(begin + round(share * (end - begin)), doing),
        ), 0
    tell(8, "scoring the rows")
    scored, rescored = version.told(rows)
    return ArrivedTable(scored), rescored


def _labelled(
    spec: CheckSpec, home: Path, arrivals: Arrivals, version: _Version, batch_id: str
) -> pa.Table:
    """Labelled rows of an earlier batch with their probability, a sample where it has many."""
    batch = open_batch(home, spec.problem, batch_id, arrivals.labels, arrivals.fetch)
    rows = batch.labelled_sample(spec.monitoring.sample_rows, spec.monitoring.seed)
    return version.told(rows)[0]


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
    arrived: Arrived,
    findings: Findings,
    rescored: int,
) -> Compared:
    first_at, last_at = arrived.span or (None, None)
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
            rows=arrived.rows,
            sampled_rows=findings.analysis_sample,
            first_at=first_at,
            last_at=last_at,
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
