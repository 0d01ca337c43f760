"""Figures of a report, made up."""

from __future__ import annotations

from core.domain_watching import Level
from core.training.report import (
    CalibrationBin,
    Candidate,
    ColumnSummary,
    Confusion,
    Curve,
    Estimate,
    EvaluationReport,
    ParityResult,
)
from core.wording import METRICS
from reporting.results import Aim, Benchmark, Course, Day, Results, Trained


def candidate(index: int, family: str, auc: float, *, pruned: bool = False) -> Candidate:
    return Candidate(
        index=index,
        family=family,
        params={"depth": index},
        fold_auc=(auc - 0.01, auc + 0.01),
        mean_auc=auc,
        standard_error=0.01,
        seconds=2.0,
        pruned=pruned,
    )


def report_of(problem: str = "orchard") -> EvaluationReport:
    return EvaluationReport(
        problem=problem,
        family="rf",
        params={"depth": 1},
        train_rows=800,
        holdout_rows=200,
        cv_auc=0.83,
        threshold=0.512,
        threshold_rule="accuracy",
        metrics={m: Estimate(value=0.8, low=0.75, high=0.85) for m in METRICS if m != "cv_auc"},
        confidence=0.95,
        confusion=Confusion(
            true_positive=90, false_positive=20, true_negative=80, false_negative=10
        ),
        roc=Curve(x=(0.0, 0.2, 1.0), y=(0.0, 0.9, 1.0)),
        precision_recall=Curve(x=(0.0, 1.0), y=(1.0, 0.5)),
        calibration=(CalibrationBin(mean_predicted=0.4, observed_rate=0.5, rows=200),),
        weight_kind="importance",
        weights=(),
        candidates=(
            candidate(0, "lr", 0.81),
            candidate(1, "rf", 0.83),
            candidate(2, "gbt", 0.9, pruned=True),
        ),
        parity=ParityResult(rows=20_200, max_difference=3e-7, tolerance=1e-5),
        columns=(ColumnSummary(column="height", rows=800, missing=80, fill_value=2.0),),
    )


def day_of(number: int, psi: float, *, estimated: float | None = 0.82) -> Day:
    return Day(
        number=number,
        rows=100,
        level=Level.CRITICAL if psi > 0.3 else Level.OK,
        summary=f"Day {number} is told.",
        psi={"height": psi, "weight": 0.01, "probability": 0.02},
        estimated=estimated,
        low=None if estimated is None else estimated - 0.05,
        high=None if estimated is None else estimated + 0.05,
        realized=0.815,
    )


def results_of(problem: str = "orchard") -> Results:
    return Results(
        git_commit="0123456789abcdef-dirty",
        conditions="2026-11-22, 2 cores.",
        trained=(
            Trained(
                title="Orchard",
                data_version="md5:aa",
                inputs=3,
                derived=1,
                positive_meaning="ripe",
                findings=("height: usual, 2 rows",),
                report=report_of(problem),
            ),
        ),
        courses=(
            Course(
                problem=problem,
                title="Orchard",
                arrival="the later rows",
                metric="auc",
                reference=0.83,
                psi_warning=0.2,
                psi_critical=0.3,
                days=(day_of(1, 0.05), day_of(2, 0.4, estimated=None)),
            ),
        ),
        benchmarks=(
            Benchmark(
                title="Digging",
                conditions="2 cores.",
                aims=(Aim(what="seconds | hole", limit="≤ 1", measured="2", outcome="**missed**"),),
            ),
        ),
    )
