"""Experiments: every run in one table, and any of them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import streamlit as st

from app.compare.files import table_csv
from app.compare.filters import matching
from app.components import installation, navigation, words
from app.components.asked import older
from app.components.comparison import show_comparison
from app.components.failures import Failure, attempt, guarded, show_failure
from app.components.picked import gather, show_downloads
from app.components.run_table import pick_runs, summaries_frame
from app.components.versions import show_versions
from core.domain import RunStatus

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse
    from core.problems.contract import Problem
    from core.training.experiments import RunSummary

_QUERY = "runs"
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
    if not summaries:
        _show_nothing(problem)
        return
    named = st.query_params.get(_QUERY, "").split(",")
    asked = older(named, {one.run.id for one in summaries}, core.experiments.summary)
    # Another problem may have been chosen since.
    summaries = (*summaries, *(one for one in asked if one.run.problem == problem.name))
    shown = _filtered(summaries, only_finished)
    picked = _show_table(summaries, shown, problem)
    with guarded():
        show_versions(summaries)
    with guarded():
        _show_picked(core, summaries, picked, problem)


def _filtered(summaries: Sequence[RunSummary], only_finished: bool) -> tuple[RunSummary, ...]:
    text = st.text_input(
        "Search",
        key="search",
        bind="query-params",
        icon=":material/search:",
        placeholder="words and conditions, such as: gbt operator auc>0.86 maxDepth=5",
        help="Every part must be met. Words are looked for in all of a row; conditions ask a "
        "metric or a parameter by its name.",
    )
    finished = [
        one for one in summaries if not only_finished or one.run.status is RunStatus.FINISHED
    ]
    return matching(finished, text or "")


def _show_nothing(problem: Problem) -> None:
    st.info(f"There are no runs of {problem.title} to show yet.", icon=":material/science:")
    navigation.link_to_training("Start the first run", problem=problem.name)
    st.markdown("or, in a terminal:")
    st.code(f"pilothouse run {problem.name} --wait", language="bash")


def _show_table(
    summaries: Sequence[RunSummary], shown: Sequence[RunSummary], problem: Problem
) -> tuple[str, ...]:
    told = words.count(len(shown), "run")
    if len(shown) < len(summaries):
        told = f"{len(shown):,} of {words.count(len(summaries), 'run')}"
    st.caption(
        f"{told}, newest first. Tick the boxes on the left to compare runs; click a heading to "
        "sort. What is ticked stays ticked while you search for more."
    )
    frame = summaries_frame(shown, datetime.now(UTC))
    ids = [one.run.id for one in shown]
    hidden = [one.run.id for one in summaries if one.run.id not in set(ids)]
    rows = min(len(shown), _ROWS_SHOWN)
    height = (rows + 1) * _ROW_HEIGHT + 3
    picked = pick_runs(frame, ids, query=_QUERY, mode="multi-row", height=height, hidden=hidden)
    if shown:
        st.download_button(
            "Table as CSV",
            lambda: table_csv(frame, ids),
            file_name=f"{problem.name}-runs.csv",
            mime="text/csv",
            icon=":material/table_view:",
            on_click="ignore",
        )
    return picked


def _show_picked(
    core: Pilothouse, summaries: Sequence[RunSummary], picked: Sequence[str], problem: Problem
) -> None:
    if not picked:
        st.info("Tick one run to read its evaluation, several to compare them.")
        return
    chosen = [one for one in summaries if one.run.id in picked]
    comparison = gather(core, chosen, problem)
    if comparison is not None:
        show_downloads(comparison, problem)
        show_comparison(comparison, problem.contract)


if __name__ == "__main__":
    render()
