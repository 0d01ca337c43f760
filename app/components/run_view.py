"""One run on the screen: where it stands, its log, and what follows from it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import streamlit as st

from app.components import installation, navigation, words
from app.components.failures import Failure, guarded, show_failure
from app.components.installation import pilothouse
from app.components.live import LOG_LINES, REFRESH_S, show_cancel, show_log, show_progress
from app.components.status import run_badge
from app.components.usage_view import show_stage_times, show_stages, show_usage
from core.domain import Progress, RequestStatus, Run, RunStatus, Stage
from core.promotion.audit import Action

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse

NEXT_STEP_REFRESH_S = 5.0


def show_run(core: Pilothouse, run: Run) -> None:
    """Draws a run: live while it is active, its outcome afterwards."""
    with st.container(border=True):
        if run.status.is_active:
            actor = installation.actor()
            show_cancel(
                "run",
                run.id,
                Action.RUN_CANCELLED,
                lambda: core.runs.cancel(run.id, actor=actor),
            )
            _show_live(run.id)
        else:
            _show_heading(run)
            _show_outcome(core, run)
            if run.status is RunStatus.FINISHED:
                with st.expander("What it cost", icon=":material/memory:"), guarded():
                    show_run_usage(run.id, wide=False)
            with st.expander("Log", icon=":material/article:"):
                _show_log(core, run.id)


def show_run_usage(run_id: str, *, wide: bool = True) -> None:
    """Draws a finished run's stages, its CPU and memory over time, and what was slow on Spark."""
    times = installation.stage_times(run_id)
    if isinstance(times, Failure):
        show_failure(times)
    elif times is not None:
        show_stage_times(times)
    usage = installation.usage(run_id)
    if isinstance(usage, Failure):
        calm = f"{usage.sentence} Runs of an older release kept no course of CPU and memory."
        st.caption(calm)
        return
    show_usage(usage, wide=wide)
    show_stages(usage)


@st.fragment(run_every=REFRESH_S)
def _show_live(run_id: str) -> None:
    with guarded():
        core = pilothouse()
        run = core.runs.get(run_id)
        if not run.status.is_active:
            # The form, the outcome and the table outside this fragment change as well.
            st.rerun()
        _show_heading(run)
        show_progress(run)
        if run.progress is not None:
            st.caption(_stages(run.progress))
        st.markdown("**Log**")
        _show_log(core, run.id)


def _show_heading(run: Run) -> None:
    now = datetime.now(UTC)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**Run `{words.short_id(run.id)}`**", width="content")
        run_badge(run.status)
    verb = "running for" if run.status.is_active else "took"
    st.caption(
        f"Started {words.when(run.started_at, now)} by {run.started_by} · "
        f"profile {run.profile} · {verb} {words.duration(words.elapsed(run, now))}"
    )


def _stages(progress: Progress) -> str:
    stages = list(Stage)
    at = stages.index(progress.stage)
    done = [f"✓ {stage.value}" for stage in stages[:at]]
    coming = [stage.value for stage in stages[at + 1 :]]
    return " → ".join([*done, f"**{progress.stage.value}**", *coming])


def _show_log(core: Pilothouse, run_id: str) -> None:
    show_log(lambda: core.runs.log(run_id, tail=LOG_LINES), f"pilothouse runs logs {run_id}")


def _show_outcome(core: Pilothouse, run: Run) -> None:
    if run.status is RunStatus.FAILED:
        show_failure(Failure(run.error or "The run failed without saying why.", "See its log."))
    elif run.status is RunStatus.CANCELLED:
        st.info("The run was cancelled. Start another one whenever you like.")
    elif run.model_version is None:
        st.info("The run finished without registering a version; its log says why.")
    else:
        st.success(f"The run finished and registered version v{run.model_version}.")
        _show_next_step(run)
        navigation.link_to_experiments("See its evaluation", problem=run.problem, run_ids=[run.id])


def _was_in_production(core: Pilothouse, run: Run) -> bool:
    # Nobody asks for the first version of all.
    return any(one.run_id == run.id for one in core.promotions.history(run.problem))


@st.fragment(run_every=NEXT_STEP_REFRESH_S)
def _show_next_step(run: Run) -> None:
    # The worker looks at a finished run a moment later, so this may change while it is read.
    with guarded():
        core = pilothouse()
        production = core.promotions.production(run.problem)
        requests = [one for one in core.promotions.requests(run.problem) if one.run_id == run.id]
        if production is not None and production.run_id == run.id:
            st.markdown(f"It is in **Production** by the rule *{production.rule}*.")
        elif not requests and _was_in_production(core, run):
            st.markdown("It was in **Production** until another version took its place.")
        elif not requests:
            st.markdown(
                "It has not been put up for promotion: it is still being judged, or a gate kept "
                "it out, which the tags of its version in MLflow say."
            )
        elif requests[0].status is RequestStatus.OPEN:
            st.markdown("It passed the hard gates and waits for a person.")
            navigation.link_to_approvals("Decide on it", request_id=requests[0].id)
        else:
            stands = requests[0].status.value.replace("_", " ")
            st.markdown(f"Its request for promotion is {stands}.")
