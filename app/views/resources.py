"""Resources: what profiles and families cost, and which to use next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import streamlit as st

from app.compare.costs import expected_seconds, most_fits
from app.components import installation, rights, words
from app.components.failures import Failure, attempt, guarded, show_failure
from app.components.profile_choice import OTHER, label, put_together
from app.components.sweep_view import show_active, show_report, show_unfinished, show_verdict
from core.domain import RunStatus, Sweep
from core.promotion.audit import Action
from core.services import machine
from core.training.preflight import is_oversubscribed
from core.training.sweep_report import SweepReport

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse
    from core.problems.contract import Problem

_QUERY = "sweep"
_MOST_REPEATS = 10
_REPEATS = 2


@dataclass(frozen=True)
class _Wanted:
    """What the form asks for."""

    profiles: tuple[str, ...]
    families: tuple[str, ...]
    repeat: int
    trials: int


def render() -> None:
    """Draws the page."""
    st.title("Resources")
    core = installation.pilothouse()
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    with left:
        problem = installation.choose_problem(core)
    with st.spinner("Reading the sweeps…"):
        sweeps = attempt(lambda: core.sweeps.list(problem.name))
    if isinstance(sweeps, Failure):
        show_failure(sweeps)
        return
    active = [one for one in sweeps if one.status.is_active]
    ended = [one for one in sweeps if not one.status.is_active]
    if active and _QUERY not in st.query_params:
        # So that what it measured comes into view once it has ended.
        st.query_params[_QUERY] = active[0].id
    with right:
        shown = _choose_sweep(ended)
    for sweep in active:
        with guarded():
            show_active(core, sweep)
    with guarded():
        _show_page(core, problem, shown, is_active=bool(active))


def _choose_sweep(ended: Sequence[Sweep]) -> Sweep | None:
    """The sweep that the address names, else the newest with something to show."""
    if not ended:
        return None
    by_id = {one.id: one for one in ended}
    finished = [one.id for one in ended if one.status is RunStatus.FINISHED]
    asked = st.query_params.get(_QUERY, "")
    first = asked if asked in by_id else (finished or list(by_id))[0]
    # A widget keeps its choice under its key; with a new sweep the address decides anew.
    key = f"{_QUERY}-{ended[0].id}"

    def remember() -> None:
        st.query_params[_QUERY] = st.session_state[key]

    chosen = st.selectbox(
        "Sweep",
        list(by_id),
        index=list(by_id).index(first),
        format_func=lambda sweep_id: words.sweep_label(by_id[sweep_id]),
        key=key,
        on_change=remember,
        help="Earlier sweeps, newest first",
    )
    return by_id[chosen]


def _show_page(core: Pilothouse, problem: Problem, shown: Sweep | None, *, is_active: bool) -> None:
    report = None
    if shown is None:
        if not is_active:
            st.info(
                f"Nobody has measured yet what {problem.title} costs with which profile. Start a "
                "sweep here, or with the command below the form.",
                icon=":material/memory:",
            )
    elif shown.status is not RunStatus.FINISHED:
        show_unfinished(core, shown)
    else:
        found = installation.sweep_report(shown.id)
        if isinstance(found, Failure):
            show_failure(found)
        else:
            report = found
            show_verdict(shown, report)
    with (
        st.expander(
            "Start a sweep", icon=":material/play_arrow:", expanded=shown is None and not is_active
        ),
        guarded(),
    ):
        _show_form(core, problem, report, is_active=is_active)
    if shown is not None and report is not None:
        show_report(shown, report)


def _show_form(
    core: Pilothouse, problem: Problem, report: SweepReport | None, *, is_active: bool
) -> None:
    wanted = _ask(core, problem)
    if not wanted.profiles or not wanted.families:
        st.caption(":orange[Choose at least one profile and one family.]")
    else:
        st.caption(_estimate(core, problem, wanted, report))
    if is_active:
        st.caption("One sweep at a time: wait for the active one, or cancel it.")
    disabled = is_active or not wanted.profiles or not wanted.families
    if st.button(
        "Start the sweep",
        type="primary",
        icon=":material/play_arrow:",
        **rights.needs(Action.SWEEP_STARTED, disabled=disabled),
    ):
        _start(core, problem, wanted)
    st.code(_command(core, problem, wanted), language="bash", wrap_lines=True)


def _ask(core: Pilothouse, problem: Problem) -> _Wanted:
    params, cores = core.params, machine.usable_cores()
    fitting = [name for name, p in params.profiles.items() if not is_oversubscribed(p, cores)]
    profiles = st.pills(
        "Profiles",
        [*params.profiles, OTHER],
        selection_mode="multi",
        wrap=True,
        default=fitting or [params.profile],
        format_func=lambda name: label(params, name, cores),
        help="Spark is started anew for each; those with more cores than this machine are "
        "oversubscribed, and their times say little",
    )
    if OTHER in profiles:
        profiles = _put_together(core, profiles, cores)
    search = params.training.search
    families = st.pills(
        "Model families",
        list(problem.search_space),
        selection_mode="multi",
        wrap=True,
        default=[one for one in search.families if one in problem.search_space],
        format_func=words.family_name,
        help="Each is searched by itself, with the whole budget",
    )
    left, right = st.columns(2)
    repeat = left.number_input(
        "Repeats",
        min_value=1,
        max_value=_MOST_REPEATS,
        value=_REPEATS,
        help="Repeats show what of a difference is chance",
    )
    trials = right.number_input(
        "Search budget (candidates)",
        min_value=1,
        value=search.trials,
        help="Candidates to try of each family",
    )
    return _Wanted(tuple(profiles), tuple(families), repeat, trials)


def _put_together(core: Pilothouse, chosen: Sequence[str], cores: int) -> list[str]:
    """The chosen profiles with a free choice in its place, once where it has a name as well.

    None of them where the figures of the free choice do not go together.
    """
    params = core.params
    other = put_together(params, params.profile_named(params.profile))
    if other is None:
        return []
    st.caption(words.profile_sentence(other, params.training.spark.driver_memory_mb))
    if warning := words.oversubscription(other, cores):
        st.caption(f":orange[{warning}]")
    return list(dict.fromkeys(other.name if name == OTHER else name for name in chosen))


def _estimate(
    core: Pilothouse, problem: Problem, wanted: _Wanted, report: SweepReport | None
) -> str:
    """What the sweep will do, and how long it may take if an earlier one tells."""
    training = core.params.training
    sessions = len(wanted.profiles) * wanted.repeat
    is_grid = training.search.strategy == "grid"
    fits = sessions * most_fits(
        [problem.search_space[family] for family in wanted.families],
        wanted.trials,
        training.split.folds,
        is_grid=is_grid,
    )
    text = (
        f"At most {words.count(fits, 'fit')} for cross-validation, on Spark started "
        f"{words.count(sessions, 'time')} and warmed up with a few more each time."
    )
    seconds = None
    if report is not None and wanted.trials == training.search.trials:
        seconds = expected_seconds(report, wanted.profiles, wanted.families, wanted.repeat)
    if seconds is None:
        text += " How long that takes, nothing measured here tells yet."
    else:
        took = words.duration(timedelta(seconds=seconds))
        text += f" By the times of the sweep shown, about {took} and the warming up."
    return f"{text} Start no run meanwhile: a sweep measures time."


def _command(core: Pilothouse, problem: Problem, wanted: _Wanted) -> str:
    command = (
        f"pilothouse profile {problem.name} --profiles {','.join(wanted.profiles) or '…'} "
        f"--families {','.join(wanted.families) or '…'} --repeat {wanted.repeat}"
    )
    changes = _changes(core, wanted)
    return command + "".join(f" --set {key}={value}" for key, value in changes.items())


def _changes(core: Pilothouse, wanted: _Wanted) -> dict[str, str]:
    if wanted.trials == core.params.training.search.trials:
        return {}
    return {"search.trials": str(wanted.trials)}


def _start(core: Pilothouse, problem: Problem, wanted: _Wanted) -> None:
    with st.spinner("Checking the cluster and submitting the job…"):
        sweep = core.sweeps.start(
            problem.name,
            profiles=wanted.profiles,
            families=wanted.families,
            repeat=wanted.repeat,
            overrides=_changes(core, wanted),
            actor=installation.actor(),
        )
    st.query_params[_QUERY] = sweep.id
    st.rerun()


if __name__ == "__main__":
    render()
