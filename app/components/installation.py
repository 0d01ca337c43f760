"""The panel's one door to the core."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.components.failures import Failure, attempt, show_failure
from core.training.predictions import HoldoutPredictions
from core.training.report import EvaluationReport

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse
    from core.problems.contract import Problem


@st.cache_resource(show_spinner="Connecting to the installation…")
def pilothouse() -> Pilothouse:
    """Returns the core of this installation, built once for all sessions.

    Imported here because the core brings every vendor with it: seconds that the
    operator should see as a spinner, not as a white page.
    """
    from core.bootstrap import connect

    return connect()


@st.cache_resource(max_entries=256, show_spinner="Reading the evaluation…")
def _report(run_id: str) -> EvaluationReport:
    return pilothouse().experiments.report(run_id)


def report(run_id: str) -> EvaluationReport | Failure:
    """A run's evaluation. It never changes once written, so it is read once."""
    return attempt(lambda: _report(run_id))


@st.cache_resource(max_entries=64, show_spinner="Reading the predictions…")
def _predictions(run_id: str) -> HoldoutPredictions:
    return pilothouse().experiments.predictions(run_id)


def predictions(run_id: str) -> HoldoutPredictions | Failure:
    """What a run's model says of the holdout; read once, as the evaluation is."""
    return attempt(lambda: _predictions(run_id))


def forget() -> None:
    """Drops what is remembered of the installation; the next page connects anew."""
    st.cache_resource.clear()


def choose_problem(core: Pilothouse) -> Problem:
    """Lets the operator choose a problem; kept in the address, so a reload keeps it."""
    names = list(core.problems)
    if not names:
        show_failure(
            Failure(
                "This installation knows no problem.", "List one under problems in params.yaml."
            )
        )
        st.stop()
    name = st.selectbox(
        "Problem",
        names,
        format_func=lambda key: core.problems[key].title,
        key="problem",
        bind="query-params",
    )
    return core.problems[name]
