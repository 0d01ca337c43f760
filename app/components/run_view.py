"""One run on the screen: where it stands, its log, and what follows from it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import streamlit as st

from app.components import navigation, words
from app.components.failures import Failure, attempt, guarded, show_failure
from app.components.installation import pilothouse
from app.components.status import run_badge
from core.domain import Progress, RequestStatus, Run, RunStatus, Stage

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse

LOG_LINES = 200
REFRESH_S = 2.0
NEXT_STEP_REFRESH_S = 5.0
_LOG_HEIGHT = 300


def show_run(core: Pilothouse, run: Run) -> None:
    """Draws a run: live while it is active, its outcome afterwards."""
    with st.container(border=True):
        if run.status.is_active:
            _show_cancel(core, run)
            _show_live(run.id)
        else:
            _show_heading(run)
            _show_outcome(core, run)
            with st.expander("Log", icon=":material/article:"):
                _show_log(core, run.id)


def show_progress(run: Run) -> None:
    """Draws a run's stage and percent."""
    progress = run.progress
    if progress is None:
        waiting = "waiting for the cluster" if run.status is RunStatus.QUEUED else "starting"
        st.progress(0, text=f"0 % · {waiting}")
        return
    parts = [f"{progress.percent} %", progress.stage.value, progress.message]
    st.progress(
        min(max(progress.percent, 0), 100) / 100, text=" · ".join(part for part in parts if part)
    )


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
    log = attempt(lambda: core.runs.log(run_id, tail=LOG_LINES))
    if isinstance(log, Failure):
        show_failure(log)
    elif not log.strip():
        st.caption("Nothing logged yet.")
    else:
        with st.container(height=_LOG_HEIGHT, border=False, autoscroll=True):
            st.code(log, language=None, wrap_lines=True)
        st.caption(
            f"The last {LOG_LINES} lines at most; all of it: `pilothouse runs logs {run_id}`"
        )


def _show_cancel(core: Pilothouse, run: Run) -> None:
    with st.popover("Cancel this run", icon=":material/stop_circle:"):
        st.markdown("Cancelling frees the cluster and loses what the run computed so far.")
        if st.button("Yes, cancel the run", type="primary", key=f"cancel-{run.id}"):
            with guarded():
                with st.spinner("Cancelling…"):
                    core.runs.cancel(run.id, actor=core.settings.operator)
                st.rerun()


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


@st.fragment(run_every=NEXT_STEP_REFRESH_S)
def _show_next_step(run: Run) -> None:
    # The worker looks at a finished run a moment later, so this may change while it is read.
    with guarded():
        core = pilothouse()
        production = core.promotions.production(run.problem)
        requests = [one for one in core.promotions.requests(run.problem) if one.run_id == run.id]
        if production is not None and production.run_id == run.id:
            st.markdown(f"It is in **Production** by the rule *{production.rule}*.")
        elif not requests:
            st.markdown(
                "It has not been put up for promotion: it is still being judged, or a gate kept "
                "it out, which the tags of its version in MLflow say."
            )
        elif requests[0].status is RequestStatus.OPEN:
            st.markdown("It passed the gates and waits for a person:")
            st.code(words.approve_command(requests[0].id), language="bash")
        else:
            st.markdown(f"Its request for promotion is {requests[0].status.value}.")
