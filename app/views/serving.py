"""Serving: what answers now, and a request by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.components import navigation, words
from app.components.addresses import serving_address
from app.components.budget_view import show_budget
from app.components.failures import Failure, attempt, guarded, show_failure
from app.components.installation import choose_problem, pilothouse
from app.components.load_view import show_load
from app.components.prediction import show_prediction
from app.components.production_view import show_alias_drift
from app.components.repairs_view import show_repairs
from app.components.rollback_view import show_rollback
from app.components.rollout_live import show_rollouts
from app.components.shadow_form import show_shadow_form
from app.components.status import health_badge
from core.domain_serving import Health, ServedVersion, ServingStatus

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse
    from core.problems.contract import Problem

REFRESH_S = 5.0


def render() -> None:
    """Draws the page."""
    st.title("Serving")
    core = pilothouse()
    problem = choose_problem(core)
    with st.spinner("Asking Ray Serve…"):
        status = attempt(core.serving.status)
    _live_status(problem.name)
    active = attempt(lambda: core.rollouts.active(problem.name))
    if isinstance(active, Failure):
        show_failure(active)
    else:
        show_rollouts(problem.name, active.id if active else "")
        if active is None:
            with guarded():
                _show_shadow_form(core, problem.name)
    show_budget(problem.name)
    _live_load(problem.name)
    with guarded():
        show_alias_drift(core, problem.name)
        show_repairs(core, problem.name)
        show_rollback(core, problem.name, core.promotions.history(problem.name))
    st.subheader("Try it")
    served = None if isinstance(status, Failure) else _served(status, problem.name)
    show_prediction(core, problem, served)


def _show_shadow_form(core: Pilothouse, problem: str) -> None:
    production = core.promotions.production(problem)
    if production is not None:
        show_shadow_form(core, problem, production)


@st.fragment(run_every=REFRESH_S)
def _live_status(problem_name: str) -> None:
    with guarded():
        core = pilothouse()
        problem = core.problems[problem_name]
        status = attempt(core.serving.status)
        if isinstance(status, Failure):
            show_failure(status)
            return
        _show_status(core, problem, status)


@st.fragment(run_every=REFRESH_S)
def _live_load(problem_name: str) -> None:
    with guarded():
        core = pilothouse()
        load = attempt(core.load.look)
        if isinstance(load, Failure):
            show_failure(load)
        elif load.unavailable and not load.decisions and load.traffic is None:
            # The status above says that nothing answers, and there is nothing to remember.
            return
        elif load.policy is not None or load.decisions or load.traffic is not None:
            show_load(core, core.problems[problem_name], load)


def _show_status(core: Pilothouse, problem: Problem, status: ServingStatus) -> None:
    served = _served(status, problem.name)
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("**Ray Serve**", width="content")
            health_badge(status.health)
            st.caption(serving_address(core.settings), width="content")
        if status.detail and status.health is not Health.DOWN:
            st.caption(status.detail)
        facts = {
            "Serves": f"v{served.version}" if served else words.NOTHING,
            "Family": words.family_name(served.family if served else None),
            "Threshold": words.number(served.threshold) if served else words.NOTHING,
        }
        with st.container(horizontal=True, gap="large"):
            for name, value in facts.items():
                st.metric(name, value, width="content")
        _show_advice(core, problem, status, served)


def _show_advice(
    core: Pilothouse, problem: Problem, status: ServingStatus, served: ServedVersion | None
) -> None:
    production = attempt(lambda: core.promotions.production(problem.name))
    if isinstance(production, Failure):
        show_failure(production)
    elif production is None:
        st.info("No version is in Production yet: the first run that finishes becomes it.")
        navigation.link_to_training("Start the first run", problem=problem.name)
    elif status.health is Health.DOWN:
        message = status.detail or "Nothing answers."
        show_failure(Failure(message, "`make up` starts what is missing.", calm=True))
    elif production.live_at and (served is None or served.version != production.version):
        # Until it has answered once, the switch itself is shown below.
        st.warning(
            f"Production is v{production.version}, but replicas do not answer with it. "
            "The worker brings them in line by itself, normally within seconds.",
            icon=":material/sync:",
        )


def _served(status: ServingStatus, problem: str) -> ServedVersion | None:
    return next((one for one in status.served if one.problem == problem), None)


if __name__ == "__main__":
    render()
