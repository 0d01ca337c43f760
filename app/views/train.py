"""Train: start a run, watch it, cancel it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import streamlit as st

from app.components import installation, navigation, rights, words
from app.components.asked import older
from app.components.failures import Failure, attempt, failure_from, guarded, show_failure
from app.components.installation import choose_problem, pilothouse
from app.components.profile_choice import choose_profile
from app.components.run_table import pick_runs, runs_frame
from app.components.run_view import show_run
from core.domain import Run
from core.errors import ConflictError
from core.promotion.audit import Action
from core.services import machine
from core.training.trials import grid_size

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse
    from core.problems.contract import Problem

_RECENT = 20


def render() -> None:
    """Draws the page."""
    st.title("Train")
    core = pilothouse()
    problem = choose_problem(core)
    left, right = st.columns([2, 3], gap="large")
    with left, guarded():
        _show_form(core, problem)
    with st.spinner("Reading the runs…"):
        runs = attempt(lambda: core.runs.list(problem.name, limit=_RECENT))
    if isinstance(runs, Failure):
        with right:
            show_failure(runs)
        return
    with right:
        asked = older([st.query_params.get("run", "")], [run.id for run in runs], core.runs.get)
    # Another problem may have been chosen since.
    runs = (*runs, *(run for run in asked if run.problem == problem.name))
    active = [run for run in runs if run.status.is_active]
    if active and not st.query_params.get("run"):
        # So that the outcome stays in view once the run has ended. A table that is drawn anew may
        # tell that nothing is ticked, which leaves an empty name in the address.
        st.query_params["run"] = active[0].id
    picked = _show_recent(runs)
    with right, guarded():
        _show_runs_in_view(core, problem, runs, picked)


def _show_form(core: Pilothouse, problem: Problem) -> None:
    st.subheader("Start a run")
    params = core.params
    profile = _choose_profile(core)
    navigation.link_to_resources("What each profile costs", problem=problem.name)
    families = st.pills(
        "Model families",
        list(problem.search_space),
        selection_mode="multi",
        wrap=True,
        default=[one for one in params.training.search.families if one in problem.search_space],
        format_func=words.family_name,
        help="Which kinds of model the search tries",
    )
    strategy = st.segmented_control(
        "Search strategy",
        list(words.STRATEGIES),
        default=params.training.search.strategy,
        required=True,
        format_func=words.STRATEGIES.__getitem__,
        help="The grid tries listed values; the adaptive search learns from earlier candidates "
        "and gives hopeless ones up",
    )
    trials = st.number_input(
        "Search budget (candidates)",
        min_value=1,
        value=params.training.search.trials,
        help="Candidates to try, shared among the families; more take longer",
    )
    seconds = _choose_seconds(params.training.search.seconds) if strategy == "tpe" else None
    tried = trials
    if strategy == "grid" and families:
        size = grid_size(problem.search_space, families)
        tried = min(trials, size)
        st.caption(words.grid_sentence(size, tried))
    folds = params.training.split.folds
    st.caption(
        f"Each candidate is fitted {folds} times for its cross-validation: "
        f"{words.count(tried * folds, 'fit')} at most."
    )
    if not families:
        st.caption(":orange[Choose at least one family.]")
    is_asked = st.button(
        "Start the run",
        type="primary",
        icon=":material/play_arrow:",
        **rights.needs(Action.RUN_STARTED, disabled=profile is None or not families),
    )
    if is_asked and profile is not None:
        _start(core, problem, profile, _changes(core, strategy, trials, seconds, families))


def _choose_profile(core: Pilothouse) -> str | None:
    params, cores = core.params, machine.usable_cores()
    profile = choose_profile(params, st.query_params.get("profile", params.profile), cores)
    if profile is None:
        return None
    st.caption(words.profile_sentence(profile, params.training.spark.driver_memory_mb))
    if warning := words.oversubscription(profile, cores):
        st.caption(f":orange[{warning}]")
    return profile.name


def _choose_seconds(default: float | None) -> float | None:
    seconds = st.number_input(
        "Search budget (seconds)",
        min_value=min(1.0, default or 1.0),
        value=default,
        step=30.0,
        format="%g",
        placeholder="no limit",
        help="After so many seconds no further candidate is started; empty for no limit",
    )
    if seconds is not None:
        st.caption(
            ":orange[A budget in seconds is not reproducible: how many candidates fit into it "
            "depends on how busy the machine is.]"
        )
    return seconds


def _changes(
    core: Pilothouse,
    strategy: str,
    trials: int,
    seconds: float | None,
    families: Sequence[str],
) -> dict[str, str]:
    # Only what differs from params.yaml, so that a run with nothing changed is
    # recorded as just that.
    search = core.params.training.search
    changes = {}
    if strategy != search.strategy:
        changes["search.strategy"] = strategy
    if trials != search.trials:
        changes["search.trials"] = str(trials)
    if seconds != search.seconds:
        changes["search.seconds"] = "null" if seconds is None else f"{seconds:g}"
    if set(families) != set(search.families):
        changes["search.families"] = f"[{', '.join(families)}]"
    return changes


def _start(core: Pilothouse, problem: Problem, profile: str, changes: dict[str, str]) -> None:
    try:
        with st.spinner("Checking the cluster and submitting the job…"):
            run = core.runs.start(
                problem.name, profile=profile, overrides=changes, actor=installation.actor()
            )
    except ConflictError as exc:
        show_failure(failure_from(exc))
        _link_to_active(core, problem)
        return
    st.query_params["run"] = run.id
    st.rerun()


def _link_to_active(core: Pilothouse, problem: Problem) -> None:
    runs = attempt(lambda: core.runs.list(problem.name, limit=_RECENT))
    if isinstance(runs, Failure):
        show_failure(runs)
        return
    for run in runs:
        if run.status.is_active:
            label = f"Show the active run {words.short_id(run.id)}"
            navigation.link_to_training(label, problem=problem.name, run_id=run.id)


def _show_recent(runs: Sequence[Run]) -> tuple[str, ...]:
    st.subheader("Recent runs")
    if not runs:
        st.caption("None yet.")
        return ()
    st.caption("Tick a run to read its outcome and its log above.")
    frame = runs_frame(runs, datetime.now(UTC))
    return pick_runs(frame, [run.id for run in runs], query="run", mode="single-row")


def _show_runs_in_view(
    core: Pilothouse, problem: Problem, runs: Sequence[Run], picked: Sequence[str]
) -> None:
    active = [run for run in runs if run.status.is_active]
    chosen = [run for run in runs if run.id in picked and run not in active]
    st.subheader("Now" if active else "Run")
    for run in [*active, *chosen]:
        show_run(core, run)
    if not active and not chosen:
        st.info(
            "No run is active. Start one with the form, tick an earlier one in the table, or "
            "use the command:",
            icon=":material/info:",
        )
        st.code(f"pilothouse run {problem.name} --wait", language="bash")


if __name__ == "__main__":
    render()
