"""The panel's one door to the core."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import streamlit as st

from app.access.visitor import visitor
from app.components.failures import Failure, attempt, show_failure
from core.domain import PromotionRequest
from core.monitoring.report import DriftReport
from core.promotion.evidence import Evidence
from core.training.importance import Importance
from core.training.predictions import HoldoutPredictions
from core.training.report import EvaluationReport
from core.training.stage_times import StageTimes
from core.training.sweep_report import SweepReport
from core.training.usage import Usage

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse
    from core.data.batch_comparison import BatchComparison
    from core.problems.contract import Problem


# No spinner: the server asks for it as well, before any page is there.
@st.cache_resource(show_spinner=False)
def connected() -> Pilothouse:
    """Returns the core of this installation, built once, whoever may ask.

    Imported here because the core brings every vendor with it: seconds in which the server
    can listen already.
    """
    from core.bootstrap import connect

    core = connect()
    # A first reading of many runs takes seconds, which no page should wait for.
    threading.Thread(
        target=core.experiments.read_ahead, args=(tuple(core.problems),), daemon=True
    ).start()
    return core


def pilothouse() -> Pilothouse:
    """Returns the core for a page or a part of it that is drawn anew.

    Raises:
        SignInError: nobody who may see it sits before the page, or not any more.
    """
    core = connected()
    visitor(core)
    return core


def actor() -> str:
    """Name of whoever sits before the page.

    Raises:
        SignInError: nobody who may do anything here.
    """
    return visitor(connected()).name


@st.cache_resource(max_entries=1024, show_spinner="Reading the evaluation…")
def _report(run_id: str) -> EvaluationReport:
    return pilothouse().experiments.report(run_id)


def report(run_id: str) -> EvaluationReport | Failure:
    """A run's evaluation. It never changes once written, so it is read once."""
    return attempt(lambda: _report(run_id))


@st.cache_resource(max_entries=256, show_spinner="Reading the predictions…")
def _predictions(run_id: str) -> HoldoutPredictions:
    return pilothouse().experiments.predictions(run_id)


def predictions(run_id: str) -> HoldoutPredictions | Failure:
    """What a run's model says of the holdout; read once, as the evaluation is."""
    return attempt(lambda: _predictions(run_id))


@st.cache_resource(max_entries=64, show_spinner="Reading what it cost…")
def _usage(run_id: str) -> Usage:
    return pilothouse().experiments.usage(run_id)


def usage(run_id: str) -> Usage | Failure:
    """What a finished run's work on Spark cost, second by second; read once."""
    return attempt(lambda: _usage(run_id))


@st.cache_resource(max_entries=64, show_spinner="Reading how long it took…")
def _stage_times(run_id: str) -> StageTimes | None:
    return pilothouse().experiments.stage_times(run_id)


def stage_times(run_id: str) -> StageTimes | Failure | None:
    """How long each stage of a finished run took; read once. None if it was not told."""
    return attempt(lambda: _stage_times(run_id))


@st.cache_resource(max_entries=64, show_spinner="Asking what mattered…")
def _importance(run_id: str) -> tuple[Importance, ...]:
    core = pilothouse()
    return core.experiments.importance(_report(run_id))


def importance(run_id: str) -> tuple[Importance, ...] | Failure:
    """What mattered in a run's search; computed once."""
    return attempt(lambda: _importance(run_id))


@st.cache_resource(max_entries=32, show_spinner="Reading the sweep…")
def _sweep_report(sweep_id: str) -> SweepReport:
    return pilothouse().sweeps.report(sweep_id)


def sweep_report(sweep_id: str) -> SweepReport | Failure:
    """What a finished sweep measured; read once."""
    return attempt(lambda: _sweep_report(sweep_id))


@st.cache_resource(max_entries=32, show_spinner="Reading the check…")
def _drift_report(check_id: str) -> DriftReport:
    return pilothouse().monitoring.report(check_id)


def drift_report(check_id: str) -> DriftReport | Failure:
    """What a finished check found; read once."""
    return attempt(lambda: _drift_report(check_id))


# For a minute only: whether it is what was frozen is asked again and again.
@st.cache_resource(max_entries=32, ttl=60, show_spinner="Reading the evidence…")
def _evidence(request_id: str, sha256: str, _request: PromotionRequest) -> Evidence:
    return pilothouse().evidence.read(_request)


def evidence(request: PromotionRequest) -> Evidence | Failure:
    """What was frozen for a request, held against its SHA-256."""
    return attempt(lambda: _evidence(request.id, request.evidence_sha256, request))


# For a minute only: the reference is that of whichever version is in production.
@st.cache_resource(max_entries=16, ttl=60, show_spinner="Comparing…")
def _batch_comparison(batch_id: str, other: str) -> BatchComparison:
    return pilothouse().batches.compare(batch_id, other)


def batch_comparison(batch_id: str, other: str) -> BatchComparison | Failure:
    """A batch held against another, or against the reference."""
    return attempt(lambda: _batch_comparison(batch_id, other))


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
