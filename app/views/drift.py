"""Drift: whether what arrives is what the model learned from, and whether it still works."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from app.components import installation, navigation, rights, words
from app.components.alert_view import show_alerts
from app.components.asked import older
from app.components.check_view import show_report, show_verdict, what_was_checked
from app.components.failures import Failure, attempt, guarded, show_failure
from app.components.live import REFRESH_S, show_cancel
from app.components.status import run_badge
from app.watching.tables import level_word
from core.domain import Batch, Promotion, RunStatus
from core.domain_watching import Check
from core.params_monitoring import MOST_WINDOW_HOURS, MOST_WINDOW_ROWS, WINDOW
from core.promotion.audit import Action

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse
    from core.problems.contract import Problem

_QUERY = "check"
_MOST_BATCHES = 50
ALERTS_REFRESH_S = 5.0
_HOURS, _ROWS = "Hours", "Rows"
#: Whether in rows -> what is offered where ``params.yaml`` has a window of the other kind.
_FIRST = {False: 24, True: 5_000}


def render() -> None:
    """Draws the page."""
    st.title("Drift")
    core = installation.pilothouse()
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    with left:
        problem = installation.choose_problem(core)
    checks = attempt(lambda: core.monitoring.list(problem.name))
    if isinstance(checks, Failure):
        show_failure(checks)
        return
    newest = checks[0].id if checks else ""
    named = st.query_params.get(_QUERY, "")
    asked = older([named], [one.id for one in checks], core.monitoring.get)
    # Another problem may have been chosen since.
    checks = (*checks, *(one for one in asked if one.problem == problem.name))
    active = [one for one in checks if one.status.is_active]
    ended = [one for one in checks if not one.status.is_active]
    with right:
        shown = _choose_check(ended)
    for check in active:
        _show_active(core, check)
    if shown is not None:
        with guarded():
            _show_check(core, shown)
    _show_alerts(problem.name, newest)
    with (
        st.expander(
            "Check now", icon=":material/troubleshoot:", expanded=shown is None and not active
        ),
        guarded(),
    ):
        _show_form(core, problem, is_active=bool(active))
    if shown is not None and shown.status is RunStatus.FINISHED:
        report = installation.drift_report(shown.id)
        if not isinstance(report, Failure):
            with guarded():
                show_report(report)


@st.fragment(run_every=ALERTS_REFRESH_S)
def _show_alerts(problem: str, newest: str) -> None:
    """Alerts follow a check by a moment, so they come into view by themselves.

    So does a check that somebody else has started, such as one of labels that came late.
    """
    with guarded():
        core = installation.pilothouse()
        checks = core.monitoring.list(problem, 1)
        if checks and checks[0].id != newest:
            # Checks are drawn outside this fragment.
            st.rerun()
        rights.read(core)
        show_alerts(core, core.alerts.list(problem, open_only=True))


def _choose_check(ended: Sequence[Check]) -> Check | None:
    """The check that the address names, else the newest."""
    if not ended:
        return None
    by_id = {one.id: one for one in ended}
    asked = st.query_params.get(_QUERY, "")
    first = asked if asked in by_id else next(iter(by_id))
    # A widget keeps its choice under its key; with a new check the address decides anew.
    key = f"{_QUERY}-{ended[0].id}-{asked if asked in by_id else ''}"

    def remember() -> None:
        st.query_params[_QUERY] = st.session_state[key]

    chosen = st.selectbox(
        "Check",
        list(by_id),
        index=list(by_id).index(first),
        format_func=lambda check_id: _label(by_id[check_id]),
        key=key,
        on_change=remember,
        help="Earlier checks, newest first",
    )
    return by_id[chosen]


def _label(check: Check) -> str:
    came_to = level_word(check.level) if check.level else words.status_word(check.status)
    return f"{words.clock(check.started_at)} · {what_was_checked(check)} · {came_to}"


def _show_active(core: Pilothouse, check: Check) -> None:
    with st.container(border=True):
        actor = installation.actor()
        show_cancel(
            "check",
            check.id,
            Action.CHECK_CANCELLED,
            lambda: core.monitoring.cancel(check.id, actor=actor),
        )
        _show_live(check.id)


@st.fragment(run_every=REFRESH_S)
def _show_live(check_id: str) -> None:
    with guarded():
        core = installation.pilothouse()
        check = core.monitoring.get(check_id)
        if not check.status.is_active:
            # The verdict is drawn outside this fragment.
            st.query_params[_QUERY] = check.id
            st.rerun()
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**Checking {what_was_checked(check)}**", width="content")
            run_badge(check.status)
        progress = core.monitoring.progress(check.id)
        percent = progress.percent if progress else 0
        message = progress.message if progress else "waiting for the cluster"
        st.progress(percent / 100, text=f"{percent} % · {message}")


def _show_check(core: Pilothouse, check: Check) -> None:
    if check.status is RunStatus.FAILED:
        show_failure(Failure(check.error or "The check failed without saying why."))
    elif check.status is RunStatus.CANCELLED:
        st.info("This check was cancelled.")
    else:
        report = installation.drift_report(check.id)
        if isinstance(report, Failure):
            show_failure(report)
            return
        show_verdict(check, report)
        st.code(_command(check), language="bash")


def _command(check: Check) -> str:
    if check.batch_id is not None:
        return f"pilothouse drift {check.problem} --batch {check.batch_id}"
    match = WINDOW.fullmatch(check.window or "")
    if match and match["rows"]:
        return f"pilothouse drift {check.problem} --last-rows {match['rows']}"
    return f"pilothouse drift {check.problem} --window {check.window}"


def _show_form(core: Pilothouse, problem: Problem, *, is_active: bool) -> None:
    production = core.promotions.production(problem.name)
    if not isinstance(production, Promotion):
        st.info(
            "No version is in Production yet, so there is no reference to check against.",
            icon=":material/rocket_launch:",
        )
        navigation.link_to_training("Start the first run", problem=problem.name)
        return
    batches = core.batches.list(problem.name, _MOST_BATCHES)
    left, right = st.columns(2, gap="large")
    with left:
        batch = _choose_batch(batches)
    with right:
        window = _choose_window(core.params.monitoring.window)
    is_on = core.params.monitoring.drift.domain_classifier
    classifier = st.checkbox(
        "Train a domain classifier too",
        value=is_on,
        disabled=is_on,
        key="domain-classifier",
        help="It tells then from now by all features together; the check takes longer.",
    )
    check_batch = left.button(
        "Check this batch",
        type="primary",
        icon=":material/troubleshoot:",
        **rights.needs(Action.CHECK_STARTED, disabled=is_active or batch is None),
    )
    check_window = right.button(
        f"Check the last {window} of predictions",
        icon=":material/history:",
        key="check-window",
        **rights.needs(Action.CHECK_STARTED, disabled=is_active),
    )
    if check_batch and batch is not None:
        _start(core, problem, batch_id=batch.id, domain_classifier=classifier)
    if check_window:
        _start(core, problem, window=window, domain_classifier=classifier)


def _choose_window(usual: str) -> str:
    """The last hours or rows of the inference log; at first those of ``params.yaml``."""
    match = WINDOW.fullmatch(usual)
    by_rows = bool(match and match["rows"])
    unit = st.segmented_control(
        "Window of the inference log",
        [_HOURS, _ROWS],
        default=_ROWS if by_rows else _HOURS,
        required=True,
        key="window-unit",
    )
    in_rows = unit == _ROWS
    is_usual = match is not None and in_rows == by_rows
    first = int(match["rows"] or match["hours"]) if match and is_usual else _FIRST[in_rows]
    most = MOST_WINDOW_ROWS if in_rows else MOST_WINDOW_HOURS
    amount = st.number_input(
        "The last rows" if in_rows else "The last hours",
        min_value=1,
        max_value=most,
        value=min(first, most),
        step=1_000 if in_rows else 1,
        key=f"window-{'rows' if in_rows else 'hours'}",
    )
    return f"{amount} rows" if in_rows else f"{amount}h"


def _choose_batch(batches: Sequence[Batch]) -> Batch | None:
    if not batches:
        st.caption("No batch has arrived yet. Upload one on Data.")
        return None
    by_id = {one.id: one for one in batches}
    chosen = st.selectbox(
        "Batch",
        list(by_id),
        format_func=lambda batch_id: _batch_label(by_id[batch_id]),
        # Not by the newest batch: one that arrives before the click would take the choice's place.
        key=f"batch-{batches[0].problem}",
    )
    return by_id[chosen]


def _batch_label(batch: Batch) -> str:
    return (
        f"{words.clock(batch.added_at)} · {batch.name} · {words.count(batch.rows, 'row')} · "
        f"{words.short_id(batch.id)}"
    )


def _start(
    core: Pilothouse,
    problem: Problem,
    *,
    batch_id: str | None = None,
    window: str | None = None,
    domain_classifier: bool,
) -> None:
    with st.spinner("Submitting the check…"):
        check = core.monitoring.start(
            problem.name,
            batch_id=batch_id,
            window=window,
            domain_classifier=domain_classifier,
            actor=installation.actor(),
        )
    st.query_params[_QUERY] = check.id
    st.rerun()


if __name__ == "__main__":
    render()
