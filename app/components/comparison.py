"""Evaluations of one or several runs, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import altair as alt
import streamlit as st
from streamlit.column_config import NumberColumn
from streamlit.delta_generator import DeltaGenerator

from app import charts
from app.compare.details import candidates_frame, columns_frame
from app.compare.tables import (
    Row,
    laid_out,
    markdown_frame,
    metric_rows,
    parallel_axes,
    parameter_rows,
)
from app.compare.values import Comparison, drawn_sentence
from app.components import installation, words
from app.components.failures import Failure, show_failure
from app.components.run_view import show_run_usage
from app.components.verdicts import show_slices, show_verdicts
from core.training.report import EvaluationReport

if TYPE_CHECKING:
    from core.problems.contract import Contract

_OVER_TIME, _OVER_TRIALS = "time", "candidates"
_PER_ROW = 3
_BESIDE_CHART = 2
#: On fewer axes there is no line to follow.
_FEWEST_AXES = 2


def show_comparison(comparison: Comparison, contract: Contract) -> None:
    """Draws everything that is known of the picked runs."""
    show_verdicts(comparison)
    _show_metrics(comparison)
    _show_parameters(comparison)
    show_slices(comparison)
    _show_curves(comparison)
    _show_confusions(comparison, contract)
    _show_weights(comparison.drawn)
    st.subheader("Details")
    if comparison.is_cut:
        # What is in an expander is drawn even while it is closed.
        name = st.selectbox("Run", list(comparison.evaluations), key="detailed")
        _show_details(comparison.evaluations[name], comparison.run_ids[name])
        return
    for name, report in comparison.evaluations.items():
        with st.expander(name):
            _show_details(report, comparison.run_ids[name])


def _show_table(rows: tuple[Row, ...], comparison: Comparison) -> None:
    st.table(markdown_frame(*laid_out(rows, list(comparison.evaluations))), border="horizontal")


def _show_metrics(comparison: Comparison) -> None:
    st.subheader("Metrics on the holdout")
    evaluations = comparison.evaluations
    confidence = next(iter(evaluations.values())).confidence
    # Beside more than two runs the chart would squeeze the table into broken lines.
    beside = len(evaluations) <= _BESIDE_CHART
    left, right = st.columns([3, 2], gap="large") if beside else (st.container(), st.container())
    with left:
        _show_table(metric_rows(comparison), comparison)
        told = f"In brackets the {confidence:.0%} bootstrap interval."
        if comparison.candidates:
            told += " Bold is the best value; after it the difference to the baseline."
        st.caption(told)
    with right:
        _draw(charts.metrics_chart(comparison.drawn), "Metrics of each run with their intervals")


def _show_parameters(comparison: Comparison) -> None:
    st.subheader("Parameters")
    _show_table(parameter_rows(comparison), comparison)
    if not comparison.candidates:
        return
    st.caption("Marked: unlike the baseline's.")
    axes = parallel_axes(comparison)
    if len(axes) < _FEWEST_AXES:
        return
    drawing = charts.parallel_chart(axes, list(comparison.evaluations))
    _draw(drawing, "Parameters and metrics of each run on parallel axes")
    st.caption(
        "Every axis reaches from the smallest to the largest value among these runs, so small "
        "differences look large; on metrics and costs, up is better."
    )


def _show_curves(comparison: Comparison) -> None:
    st.subheader("Curves")
    if comparison.is_cut:
        st.info(drawn_sentence(comparison), icon=":material/filter_list:")
    drawings: tuple[
        tuple[Callable[[charts.Evaluations, charts.Bands], alt.LayerChart], str], ...
    ] = (
        (charts.roc_chart, "ROC curves"),
        (charts.precision_recall_chart, "Precision over recall"),
        (charts.calibration_chart, "Observed rate over predicted probability"),
    )
    for column, (chart, text) in zip(st.columns(len(drawings)), drawings, strict=True):
        with column:
            _draw(chart(comparison.drawn, comparison.bands), text)
    if comparison.bands:
        confidence = next(iter(comparison.evaluations.values())).confidence
        st.caption(
            f"Shaded: {confidence:.0%} bands, each point of a curve by itself; by bootstrap over "
            "the holdout's rows, for calibration by Wilson's interval of each bin."
        )


def _show_confusions(comparison: Comparison, contract: Contract) -> None:
    st.subheader("Confusion matrices at each run's threshold")
    label = contract.label
    baseline = comparison.evaluations[comparison.baseline].confusion
    for column, name, report in _side_by_side(comparison.drawn):
        is_baseline = name == comparison.baseline
        with column:
            drawing = charts.confusion_chart(
                report.confusion,
                positive=label.positive_meaning,
                negative=label.negative_meaning,
                title=name,
                baseline=None if is_baseline else baseline,
            )
            _draw(drawing, f"Confusion matrix of {name}")
            note = f"Threshold {report.threshold:.3f}, chosen by {report.threshold_rule}"
            if comparison.candidates:
                note += "; the baseline" if is_baseline else "; small: difference to the baseline"
            st.caption(note)


def _show_weights(evaluations: charts.Evaluations) -> None:
    st.subheader("What the models look at")
    for column, name, report in _side_by_side(evaluations):
        with column:
            drawing = charts.weights_chart(report.weights, kind=report.weight_kind, title=name)
            _draw(drawing, f"{report.weight_kind} of the features of {name}")
            hidden = len(report.weights) - charts.TOP_WEIGHTS
            if hidden > 0:
                st.caption(f"{words.count(hidden, 'smaller weight')} not shown")


def _show_details(report: EvaluationReport, run_id: str) -> None:
    st.markdown(f"**Search**: {words.count(len(report.candidates), 'candidate')}")
    st.dataframe(
        candidates_frame(report.candidates),
        hide_index=True,
        column_config={
            "Mean AUC": NumberColumn(format="%.4f"),
            "Standard error": NumberColumn(format="%.4f"),
            "Time (s)": NumberColumn(format="%.1f"),
        },
    )
    _show_search(report, run_id)
    _show_importance(run_id)
    st.markdown("**What it cost**")
    show_run_usage(run_id)
    st.markdown("**Data columns** of the training part")
    st.dataframe(columns_frame(report.columns), hide_index=True)
    parity = report.parity
    verdict = "agrees with" if parity.max_difference <= parity.tolerance else "differs from"
    st.markdown(
        f"**Parity**: the served model {verdict} Spark on {words.count(parity.rows, 'record')}; "
        f"largest difference in probability {parity.max_difference:.1e}, "
        f"tolerance {parity.tolerance:.0e}."
    )


def _show_search(report: EvaluationReport, run_id: str) -> None:
    over = _OVER_TRIALS
    # Runs of an older release kept no times.
    if charts.has_times(report.candidates):
        over = st.segmented_control(
            "Best so far, over",
            (_OVER_TIME, _OVER_TRIALS),
            default=_OVER_TIME,
            required=True,
            key=f"best-so-far-{run_id}",
        )
    _draw(
        charts.search_chart(report.candidates, over_time=over == _OVER_TIME),
        "Mean AUC of each candidate of the search and the best so far",
    )


def _show_importance(run_id: str) -> None:
    found = installation.importance(run_id)
    if isinstance(found, Failure):
        show_failure(found)
        return
    if any(one.shares for one in found):
        _draw(charts.importance_chart(found), "Share of the variance that each parameter explains")
        st.caption(
            "What each explains by itself: of the family, the variance between the families' "
            "means; of a parameter, its main effect in a functional ANOVA over a random forest. "
            "It says what mattered among the values tried, not what would matter beyond them."
        )
    for one in found:
        if one.reason:
            name = words.family_name(one.family)
            what = f"the parameters of {name}" if one.family else "the family"
            st.caption(f"How much {what} mattered: {one.reason}")


def _side_by_side(
    evaluations: charts.Evaluations,
) -> Iterator[tuple[DeltaGenerator, str, EvaluationReport]]:
    columns: list[DeltaGenerator] = []
    for name, report in evaluations.items():
        columns = columns or st.columns(min(len(evaluations), _PER_ROW))
        yield columns.pop(0), name, report


def _draw(drawing: alt.Chart | alt.LayerChart, text: str) -> None:
    st.altair_chart(drawing, width="stretch", alt=text)
