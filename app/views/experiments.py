"""Experiments: every run in one table, and any of them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import streamlit as st

from app.components import installation, navigation, words
from app.components.comparison import MAX_COMPARED, show_comparison
from app.components.failures import Failure, attempt, guarded, show_failure
from app.components.run_table import pick_runs, summaries_frame
from core.domain import RunStatus
from core.training.report import EvaluationReport

if TYPE_CHECKING:
    from core.problems.contract import Problem
    from core.training.experiments import RunSummary

_LIMITS = (50, 200, 1000)
#: Rows of the table on screen before it scrolls by itself.
_ROWS_SHOWN = 10
_ROW_HEIGHT = 35


def render() -> None:
    """Draws the page."""
    st.title("Experiments")
    core = installation.pilothouse()
    left, middle, right = st.columns([2, 2, 1], vertical_alignment="bottom")
    with left:
        problem = installation.choose_problem(core)
    with middle:
        limit = st.segmented_control(
            "Newest runs", _LIMITS, default=_LIMITS[1], required=True, key="limit"
        )
    with right:
        only_finished = st.toggle("Only finished", key="finished", bind="query-params")
    with st.spinner("Reading the runs…"):
        summaries = attempt(lambda: core.experiments.table(problem.name, limit=limit or _LIMITS[1]))
    if isinstance(summaries, Failure):
        show_failure(summaries)
        return
    if only_finished:
        summaries = tuple(one for one in summaries if one.run.status is RunStatus.FINISHED)
    if not summaries:
        _show_nothing(problem)
        return
    picked = _show_table(summaries)
    with guarded():
        _show_picked(summaries, picked, problem)


def _show_nothing(problem: Problem) -> None:
    st.info(f"There are no runs of {problem.title} to show yet.", icon=":material/science:")
    navigation.link_to_training("Start the first run", problem=problem.name)
    st.markdown("or, in a terminal:")
    st.code(f"pilothouse run {problem.name} --wait", language="bash")


def _show_table(summaries: Sequence[RunSummary]) -> tuple[str, ...]:
    frame = summaries_frame(summaries, datetime.now(UTC))
    rows = min(len(summaries), _ROWS_SHOWN)
    st.caption(
        f"{words.count(len(summaries), 'run')}, newest first. Tick the boxes on the left to "
        "compare runs; click a heading to sort."
    )
    return pick_runs(
        frame,
        [one.run.id for one in summaries],
        query="runs",
        mode="multi-row",
        height=(rows + 1) * _ROW_HEIGHT + 3,
    )


def _show_picked(summaries: Sequence[RunSummary], picked: Sequence[str], problem: Problem) -> None:
    if not picked:
        st.info("Tick one run to read its evaluation, several to compare them.")
        return
    if len(picked) > MAX_COMPARED:
        st.warning(f"{len(picked)} runs are ticked; the {MAX_COMPARED} newest are compared.")
    by_id = {one.run.id: one for one in summaries}
    evaluations: dict[str, EvaluationReport] = {}
    for run_id in picked[:MAX_COMPARED]:
        summary = by_id[run_id]
        name = words.run_label(summary.run, summary.family)
        report = installation.report(run_id)
        if isinstance(report, Failure):
            show_failure(Failure(f"{name}: {report.message}", report.fix, calm=True))
        else:
            evaluations[name] = report
    if evaluations:
        show_comparison(evaluations, problem.contract)


if __name__ == "__main__":
    render()
