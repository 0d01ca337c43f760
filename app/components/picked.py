"""Gathers what is known of the picked runs; what takes time is computed once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import streamlit as st

from app.charts import Evaluations
from app.compare.files import comparison_csv, comparison_html
from app.compare.values import Comparison, drawn_of, judged_of
from app.components import installation, words
from app.components.failures import Failure, attempt, show_failure
from app.components.verdicts import choose_baseline
from core.training.bands import CurveBands, curve_bands
from core.training.comparison import (
    AucComparison,
    Incomparable,
    Judgement,
    Resampling,
    SliceComparison,
    judge,
)
from core.training.predictions import HoldoutPredictions
from core.training.report import EvaluationReport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.bootstrap import Pilothouse
    from core.problems.contract import Problem
    from core.training.experiments import RunSummary

Predictions = Mapping[str, HoldoutPredictions]


def gather(core: Pilothouse, picked: Sequence[RunSummary], problem: Problem) -> Comparison | None:
    """Reads the picked runs; one that cannot be read is named, None if none can be."""
    evaluations: dict[str, EvaluationReport] = {}
    run_ids: dict[str, str] = {}
    for summary in picked:
        name = words.run_label(summary.run, summary.family)
        report = installation.report(summary.run.id)
        if isinstance(report, Failure):
            show_failure(Failure(f"{name}: {report.message}", report.fix, calm=True))
        else:
            evaluations[name], run_ids[name] = report, summary.run.id
    if not evaluations:
        return None
    baseline = choose_baseline(run_ids, _serving_run(core, problem))
    judged = judged_of(list(evaluations), baseline)
    predictions = _read_predictions({name: run_ids[name] for name in judged})
    training = core.params.training
    chosen = training.evaluation
    how = Resampling(chosen.bootstrap_samples, chosen.confidence, training.split.seed)
    with st.spinner("Comparing row by row…"):
        verdicts, slices = _judge(evaluations, run_ids, predictions, baseline, how)
        bands = {
            name: _bands(run_ids[name], how, predictions[name])
            for name in drawn_of(list(evaluations), baseline)
            if name in predictions
        }
    costs = {words.run_label(one.run, one.family): one.metrics for one in picked}
    return Comparison(evaluations, baseline, run_ids, costs, bands, verdicts, slices)


def _serving_run(core: Pilothouse, problem: Problem) -> str | None:
    # Only a preference: the choice works without it.
    serving = attempt(lambda: core.promotions.production(problem.name))
    return None if serving is None or isinstance(serving, Failure) else serving.run_id


def _read_predictions(run_ids: Mapping[str, str]) -> dict[str, HoldoutPredictions]:
    found: dict[str, HoldoutPredictions] = {}
    lacking: list[str] = []
    for name, run_id in run_ids.items():
        one = installation.predictions(run_id)
        if isinstance(one, Failure):
            lacking.append(f"{name}: {one.message}")
        else:
            found[name] = one
    if lacking:
        show_failure(
            Failure(
                "Without predictions of the holdout there is no comparison row by row. "
                + " ".join(lacking),
                "Runs of an older release kept none; train again to have them.",
                calm=True,
            )
        )
    return found


def _judge(
    evaluations: Evaluations,
    run_ids: Mapping[str, str],
    predictions: Predictions,
    baseline: str,
    how: Resampling,
) -> tuple[dict[str, AucComparison | Incomparable], dict[str, tuple[SliceComparison, ...]]]:
    verdicts: dict[str, AucComparison | Incomparable] = {}
    slices: dict[str, tuple[SliceComparison, ...]] = {}
    reference = predictions.get(baseline)
    if reference is None:
        return verdicts, slices
    for name, one in predictions.items():
        if name == baseline:
            continue
        ids = (run_ids[baseline], run_ids[name])
        thresholds = (evaluations[baseline].threshold, evaluations[name].threshold)
        found = _judgement(ids, thresholds, how, reference, one)
        verdicts[name] = found.auc
        if found.slices:
            slices[name] = found.slices
    return verdicts, slices


# Named with an underscore, an argument is left out of the key: the runs' ids stand for it.
@st.cache_resource(max_entries=128, show_spinner=False)
def _bands(run_id: str, how: Resampling, _predictions: HoldoutPredictions) -> CurveBands:
    return curve_bands(_predictions, how)


@st.cache_resource(max_entries=1024, show_spinner=False)
def _judgement(
    ids: tuple[str, str],
    thresholds: tuple[float, float],
    how: Resampling,
    _baseline: HoldoutPredictions,
    _candidate: HoldoutPredictions,
) -> Judgement:
    return judge(_baseline, _candidate, thresholds, how)


def show_downloads(comparison: Comparison, problem: Problem) -> None:
    """Draws the buttons that take the comparison away as files."""

    def page() -> str:
        return comparison_html(comparison, problem.title, problem.contract.label, datetime.now(UTC))

    with st.container(horizontal=True):
        st.download_button(
            "Comparison as CSV",
            lambda: comparison_csv(comparison),
            file_name=f"{problem.name}-comparison.csv",
            mime="text/csv",
            icon=":material/table_view:",
            on_click="ignore",
        )
        st.download_button(
            "Report as HTML",
            page,
            file_name=f"{problem.name}-comparison.html",
            mime="text/html",
            icon=":material/description:",
            on_click="ignore",
            help="One file with all tables and charts; it needs no network.",
        )
