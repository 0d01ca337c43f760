"""One check on the screen: its verdict first, then everything that the verdict rests on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st
from streamlit.column_config import NumberColumn, ProgressColumn, TextColumn

from app import charts
from app.components import words
from app.components.estimator_view import show_estimator
from app.components.status import level_badge
from app.watching.tables import (
    features_frame,
    method_name,
    performance_name,
    quality_frame,
    reasons_frame,
)
from core.data.batch_comparison import Share
from core.domain_watching import Check, Level
from core.monitoring.report import ColumnDrift, DriftReport, Multivariate, Side
from core.monitoring.report_performance import MetricCourse, MetricPerformance

_BOXES = {
    Level.OK: st.success,
    Level.WARNING: st.warning,
    Level.CRITICAL: st.error,
    Level.NOT_ENOUGH_DATA: st.info,
}
_ICONS = {
    Level.OK: ":material/check_circle:",
    Level.WARNING: ":material/warning:",
    Level.CRITICAL: ":material/error:",
    Level.NOT_ENOUGH_DATA: ":material/help:",
}


def what_was_checked(check: Check) -> str:
    """The batch or window of a check, in few words."""
    if check.batch_id is not None:
        return f"batch {words.short_id(check.batch_id)}"
    return f"the last {check.window} of the inference log"


def show_verdict(check: Check, report: DriftReport) -> None:
    """Draws the verdict, the figures behind it, and what was compared with what."""
    verdict, compared = report.verdict, report.compared
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"### v{check.version} on {what_was_checked(check)}", width="content")
            level_badge(verdict.level)
        _BOXES[verdict.level](words.plain(verdict.summary), icon=_ICONS[verdict.level])
        _show_figures(report)
        st.caption(
            f"{_side(compared.analysis)}, against {_side(compared.reference)} that v"
            f"{compared.version} was trained on. Checked "
            f"{words.when(compared.checked_at, datetime.now(UTC))} by {check.started_by}."
        )
        found = [one for one in verdict.reasons if one.level is not Level.OK]
        if found:
            st.markdown("\n".join(f"- {words.plain(one.text)}" for one in found))


def _side(side: Side) -> str:
    text = words.count(side.rows, "row")
    if side.first_at and side.last_at:
        text += f" from {words.clock(side.first_at)} to {words.clock(side.last_at)}"
    return f"{text} (data `{side.data_version}`)" if side.data_version else text


def _show_figures(report: DriftReport) -> None:
    first, second, third, fourth = st.columns(4)
    worst = next(iter(report.features), None)
    if worst is not None and worst.psi is not None:
        first.metric(f"Largest PSI: {worst.column}", words.number(worst.psi, 2))
    else:
        first.metric("Largest PSI", words.NOTHING)
    prediction = report.prediction
    second.metric(
        "PSI of the prediction",
        words.NOTHING
        if prediction is None or prediction.psi is None
        else words.number(prediction.psi, 2),
    )
    metric = next(iter(report.performance), None)
    _show_performance(third, "Estimated", metric, metric.estimated if metric else None)
    _show_performance(fourth, "Realized", metric, metric.realized if metric else None)


def _show_performance(
    place: st.delta_generator.DeltaGenerator,
    kind: str,
    metric: MetricPerformance | None,
    course: MetricCourse | None,
) -> None:
    if metric is None or course is None or course.value is None:
        missing = "no labels yet" if kind == "Realized" else "cannot be said"
        place.metric(f"{kind} performance", missing)
        return
    difference = None
    if metric.reference_value is not None:
        change = words.signed(course.value - metric.reference_value)
        difference = f"{change} against the reference"
    place.metric(
        f"{kind} {performance_name(metric.metric)}",
        words.number(course.value),
        delta=difference,
        delta_color="off",
        delta_arrow="off",
    )


def show_report(report: DriftReport) -> None:
    """Draws everything below the verdict."""
    _show_features(report)
    _show_performances(report)
    _show_multivariate(report)
    _show_quality(report)
    with st.expander("Every reason of the verdict", icon=":material/gavel:"):
        st.dataframe(
            reasons_frame(report.verdict.reasons),
            hide_index=True,
            column_config={
                "Measured": NumberColumn(format="%.3f"),
                "Limit": NumberColumn(format="%.3f"),
                "Reason": TextColumn(width="large"),
            },
        )
    for note in report.notes:
        st.caption(note)


def _show_features(report: DriftReport) -> None:
    if not report.features:
        return
    st.subheader("What drifted")
    st.dataframe(
        features_frame(report),
        hide_index=True,
        column_config={
            "Feature": TextColumn(pinned=True),
            "PSI": ProgressColumn(
                format="%.3f",
                min_value=0,
                max_value=max(0.5, *(one.psi or 0.0 for one in report.features)),
                help="Population stability index against the reference",
            ),
            "Jensen-Shannon": NumberColumn(format="%.3f", help="0 to 1, of the same bins"),
        },
    )
    columns = [*report.features, *([report.prediction] if report.prediction else [])]
    names = {one.column: one for one in columns}
    chosen = st.selectbox("Look at", list(names), key=f"column-{report.compared.check_id}")
    _show_column(names[chosen], report)


def _show_column(drift: ColumnDrift, report: DriftReport) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        if drift.bins:
            shares = [Share(b.label, b.reference_share, b.analysis_share) for b in drift.bins]
            chart = charts.distribution_chart(drift.column, shares, "Reference", "What arrived")
            st.altair_chart(chart, width="stretch", alt=f"{drift.column}, then and now")
        else:
            st.caption(drift.note or "There is no distribution to draw.")
    with right:
        drawn = [one for one in drift.methods if any(v is not None for v in one.chunk_values)]
        if not drawn:
            st.caption("No method of NannyML could follow this column over the chunks.")
            return
        by_name = {method_name(one.method): one for one in drawn}
        name = st.pills(
            "Method",
            list(by_name),
            default=next(iter(by_name)),
            required=True,
            key=f"method-{report.compared.check_id}-{drift.column}",
            label_visibility="collapsed",
        )
        method = by_name[name or next(iter(by_name))]
        course = charts.Course(
            method.chunk_values, method.chunk_alerts, method.lower_threshold, method.upper_threshold
        )
        title = f"{drift.column}: {name} by chunk"
        drawn_course = charts.course_chart(report.chunks, course, title, str(name))
        st.altair_chart(drawn_course, width="stretch", alt=title)


def _show_performances(report: DriftReport) -> None:
    if not report.performance:
        return
    st.subheader("Does the model still work")
    if report.estimator is not None:
        icon = ":material/verified:" if report.estimator.trusted else ":material/warning:"
        box = st.info if report.estimator.trusted else st.warning
        box(words.plain(report.estimator.text), icon=icon)
        show_estimator(report.estimator)
    drawn = [one for one in report.performance if one.estimated or one.realized]
    for start in range(0, len(drawn), 2):
        for place, one in zip(st.columns(2, gap="large"), drawn[start : start + 2], strict=False):
            name = performance_name(one.metric)
            chart = charts.performance_chart(report.chunks, one, name)
            place.altair_chart(chart, width="stretch", alt=f"{name}, estimated and realized")
    st.caption(
        f"Estimated by CBPE, without labels; the band is three standard errors wide on either "
        f"side. {words.count(report.labelled_rows, 'row')} of what arrived "
        f"{'has' if report.labelled_rows == 1 else 'have'} a label. Dashed: what the chunks of "
        "the reference keep to."
    )


def _show_multivariate(report: DriftReport) -> None:
    drawn: Sequence[tuple[str, str, Multivariate | None]] = (
        ("Reconstruction error by chunk", "Reconstruction error", report.reconstruction),
        ("Domain classifier by chunk", "AUC of telling then from now", report.domain_classifier),
    )
    present = [(title, unit, one) for title, unit, one in drawn if one is not None]
    if not present:
        return
    st.subheader("All features together")
    for place, (title, unit, one) in zip(st.columns(2, gap="large"), present, strict=False):
        if not one.chunk_values:
            place.caption(f"{title}: {one.note or 'could not be computed.'}")
            continue
        course = charts.Course(
            one.chunk_values, one.chunk_alerts, one.lower_threshold, one.upper_threshold
        )
        chart = charts.course_chart(report.chunks, course, title, unit)
        place.altair_chart(chart, width="stretch", alt=title)


def _show_quality(report: DriftReport) -> None:
    if not report.quality:
        return
    st.subheader("Data quality")
    shares = ("Missing, reference", "Missing", "Unseen", "Out of range, reference", "Out of range")
    st.dataframe(
        quality_frame(report.quality),
        hide_index=True,
        column_config={
            "Column": TextColumn(pinned=True),
            **{name: NumberColumn(format="percent", help="Share of rows") for name in shares},
        },
    )
