"""Evaluations of one or several runs, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import altair as alt
import pandas as pd
import streamlit as st
from streamlit.column_config import NumberColumn
from streamlit.delta_generator import DeltaGenerator

from app import charts
from app.components import words
from core.training.report import Candidate, ColumnSummary, EvaluationReport

if TYPE_CHECKING:
    from core.problems.contract import Contract

#: More lines than the palette has colours cannot be told apart.
MAX_COMPARED = 6
_PER_ROW = 3
_BESIDE_CHART = 2


def show_comparison(evaluations: charts.Evaluations, contract: Contract) -> None:
    """Draws everything that is known of the picked runs; ``evaluations`` is not empty."""
    _show_metrics(evaluations)
    _show_curves(evaluations)
    _show_confusions(evaluations, contract)
    _show_weights(evaluations)
    st.subheader("Details")
    for name, report in evaluations.items():
        with st.expander(name):
            _show_details(report)


def metrics_frame(evaluations: charts.Evaluations) -> pd.DataFrame:
    """Metrics as rows, runs as columns, every value with its interval; the best is bold."""
    names = sorted(
        {metric for report in evaluations.values() for metric in report.metrics}, key=_metric_order
    )
    rows = [
        [_cell(evaluations, metric, report) for report in evaluations.values()] for metric in names
    ]
    rows.append([words.number(report.cv_auc) for report in evaluations.values()])
    labels = [_metric_label(metric) for metric in names] + [words.metric_name("cv_auc")]
    return pd.DataFrame(rows, index=labels, columns=list(evaluations))


def parameters_frame(evaluations: charts.Evaluations) -> pd.DataFrame:
    """What was chosen and how it was measured: settings as rows, runs as columns."""
    facts = {name: _facts(report) for name, report in evaluations.items()}
    keys = dict.fromkeys(key for one in facts.values() for key in one)
    rows = [[one.get(key, words.NOTHING) for one in facts.values()] for key in keys]
    return pd.DataFrame(rows, index=list(keys), columns=list(evaluations))


def candidates_frame(candidates: Sequence[Candidate]) -> pd.DataFrame:
    """The search, best candidate first; those that were given up come last."""
    ordered = sorted(candidates, key=lambda one: (one.pruned, -one.mean_auc))
    return pd.DataFrame(
        {
            "Candidate": [one.index for one in ordered],
            "Family": [words.family_name(one.family) for one in ordered],
            "Parameters": [_listed(one.params) for one in ordered],
            "Mean AUC": [one.mean_auc for one in ordered],
            "Standard error": [one.standard_error for one in ordered],
            "Folds": [_folds(one) for one in ordered],
            "Time (s)": [one.seconds for one in ordered],
        }
    )


def columns_frame(columns: Sequence[ColumnSummary]) -> pd.DataFrame:
    """Missing values of every input and what they become."""
    return pd.DataFrame(
        {
            "Column": [one.column for one in columns],
            "Rows": [one.rows for one in columns],
            "Missing": [one.missing for one in columns],
            "Share missing": [
                f"{one.missing / one.rows:.1%}" if one.rows else words.NOTHING for one in columns
            ],
            "A missing value becomes": [_fill(one.fill_value) for one in columns],
        }
    )


def _show_metrics(evaluations: charts.Evaluations) -> None:
    st.subheader("Metrics on the holdout")
    confidence = next(iter(evaluations.values())).confidence
    # Beside more than two runs the chart would squeeze the table into broken lines.
    beside = len(evaluations) <= _BESIDE_CHART
    left, right = st.columns([3, 2], gap="large") if beside else (st.container(), st.container())
    with left:
        st.table(metrics_frame(evaluations), border="horizontal")
        st.caption(
            f"In brackets the {confidence:.0%} bootstrap interval. Bold is the best value; "
            "where intervals overlap widely, the holdout alone cannot tell the runs apart."
        )
    with right:
        _draw(charts.metrics_chart(evaluations), "Metrics of each run with their intervals")
    st.subheader("Parameters")
    st.table(parameters_frame(evaluations), border="horizontal")


def _show_curves(evaluations: charts.Evaluations) -> None:
    st.subheader("Curves")
    drawings: tuple[tuple[Callable[[charts.Evaluations], alt.LayerChart], str], ...] = (
        (charts.roc_chart, "ROC curves"),
        (charts.precision_recall_chart, "Precision over recall"),
        (charts.calibration_chart, "Observed rate over predicted probability"),
    )
    for column, (chart, text) in zip(st.columns(len(drawings)), drawings, strict=True):
        with column:
            _draw(chart(evaluations), text)


def _show_confusions(evaluations: charts.Evaluations, contract: Contract) -> None:
    st.subheader("Confusion matrices at each run's threshold")
    label = contract.label
    for column, name, report in _side_by_side(evaluations):
        with column:
            drawing = charts.confusion_chart(
                report.confusion,
                positive=label.positive_meaning,
                negative=label.negative_meaning,
                title=name,
            )
            _draw(drawing, f"Confusion matrix of {name}")
            st.caption(f"Threshold {report.threshold:.3f}, chosen by {report.threshold_rule}")


def _show_weights(evaluations: charts.Evaluations) -> None:
    st.subheader("What the models look at")
    for column, name, report in _side_by_side(evaluations):
        with column:
            drawing = charts.weights_chart(report.weights, kind=report.weight_kind, title=name)
            _draw(drawing, f"{report.weight_kind} of the features of {name}")
            hidden = len(report.weights) - charts.TOP_WEIGHTS
            if hidden > 0:
                st.caption(f"{words.count(hidden, 'smaller weight')} not shown")


def _show_details(report: EvaluationReport) -> None:
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
    st.markdown("**Data columns** of the training part")
    st.dataframe(columns_frame(report.columns), hide_index=True)
    parity = report.parity
    verdict = "agrees with" if parity.max_difference <= parity.tolerance else "differs from"
    st.markdown(
        f"**Parity**: the served model {verdict} Spark on {words.count(parity.rows, 'record')}; "
        f"largest difference in probability {parity.max_difference:.1e}, "
        f"tolerance {parity.tolerance:.0e}."
    )


def _side_by_side(
    evaluations: charts.Evaluations,
) -> Iterator[tuple[DeltaGenerator, str, EvaluationReport]]:
    columns: list[DeltaGenerator] = []
    for name, report in evaluations.items():
        columns = columns or st.columns(min(len(evaluations), _PER_ROW))
        yield columns.pop(0), name, report


def _draw(drawing: alt.Chart | alt.LayerChart, text: str) -> None:
    st.altair_chart(drawing, width="stretch", alt=text)


def _metric_order(metric: str) -> tuple[int, str]:
    known = list(words.METRICS)
    return (known.index(metric) if metric in known else len(known), metric)


def _metric_label(metric: str) -> str:
    hint = " (less is better)" if metric in words.LOWER_IS_BETTER else ""
    return words.metric_name(metric) + hint


def _cell(evaluations: charts.Evaluations, metric: str, report: EvaluationReport) -> str:
    if metric not in report.metrics:
        return words.NOTHING
    values = [one.metrics[metric].value for one in evaluations.values() if metric in one.metrics]
    best = min(values) if metric in words.LOWER_IS_BETTER else max(values)
    # Brackets would be read as a link by Markdown.
    text = words.interval(report.metrics[metric]).replace("[", "\\[")
    value, _, rest = text.partition(" ")
    is_best = len(set(values)) > 1 and report.metrics[metric].value == best
    return f"**{value}** {rest}" if is_best else text


def _facts(report: EvaluationReport) -> dict[str, str]:
    return {
        "Family": words.family_name(report.family),
        **{key: str(value) for key, value in sorted(report.params.items())},
        "Decision threshold": f"{words.number(report.threshold)} ({report.threshold_rule})",
        "Rows trained on": f"{report.train_rows:,}",
        "Rows of the holdout": f"{report.holdout_rows:,}",
        "Candidates tried": str(len(report.candidates)),
    }


def _folds(candidate: Candidate) -> str:
    listed = ", ".join(words.number(auc) for auc in candidate.fold_auc)
    return f"{listed}, then given up" if candidate.pruned else listed


def _listed(params: Mapping[str, float | int | str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(params.items()))


def _fill(value: float | str | None) -> str:
    if value is None:
        return "nothing: it must be given"
    return f"{value:g}" if isinstance(value, float) else value
