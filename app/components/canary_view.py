"""A canary on the screen: where it stands, why it goes on or not, both versions side by side."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import streamlit as st

from app import charts
from app.components import words
from app.components.failures import Failure, attempt
from app.components.status import guard_mark, rollout_badge
from app.rollout.figures import figures, last_answered, percent
from app.rollout.tables import guards_frame, sides_frame, steps_frame, worst_first
from core.rollout.notes import VersionNotes
from core.rollout.steps import GuardVerdict, Move
from core.rollout.values import RolloutStatus
from core.rollout.view import RolloutView

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse
    from core.rollout.steps import StepDecision
    from core.rollout.values import Rollout

_MARKS = {verdict: guard_mark(verdict) for verdict in GuardVerdict}


def show_canary(core: Pilothouse, view: RolloutView) -> None:
    """Draws an active canary: headline and reason first, then what they rest on."""
    canary = view.rollout
    new = view.notes.of(canary.step, canary.version)
    _show_headline(canary)
    _show_steps(canary)
    if view.decision is not None:
        _show_decision(canary, view.decision)
    _show_what_lacks(core, view, new)
    if view.decision is not None and view.decision.guards:
        st.markdown("**Guards**")
        st.table(guards_frame(worst_first(view.decision.guards), _MARKS), hide_index=True)
    _show_sides(core, view, new)


def show_canary_result(view: RolloutView) -> None:
    """Draws what both versions have answered in each step of a canary that is over."""
    frame = steps_frame(view.rollout, view.notes)
    if frame.empty:
        st.caption("Nothing that was measured of it is kept.")
    else:
        st.table(frame, hide_index=True)


def _show_headline(canary: Rollout) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"#### v{canary.version} answers {percent(canary.share)} of the requests, "
            f"v{canary.incumbent_version} the rest"
            if canary.share < 1
            else f"#### v{canary.version} answers every request; v{canary.incumbent_version} "
            "is kept beside it",
            width="content",
        )
        rollout_badge(canary.status)
    st.caption(
        f"Started {words.when(canary.started_at, datetime.now(UTC))} by "
        f"{words.plain(canary.started_by)}: {words.plain(canary.reason)} · rollout `{canary.id}`"
    )


def _show_steps(canary: Rollout) -> None:
    """A mark for each step: behind, now, ahead."""
    with st.container(horizontal=True, vertical_alignment="center"):
        for at, share in enumerate(canary.shares):
            if at < canary.step:
                st.badge(percent(share), color="green", icon=":material/check:")
            elif at == canary.step:
                st.badge(
                    f"{percent(share)} now", color="blue", icon=":material/radio_button_checked:"
                )
            else:
                st.badge(percent(share), color="gray", icon=":material/radio_button_unchecked:")
        st.caption(
            f"Step {canary.step + 1} of {len(canary.shares)}, since "
            f"{words.when(canary.step_since, datetime.now(UTC))}",
            width="content",
        )


def _show_decision(canary: Rollout, decision: StepDecision) -> None:
    said = words.plain(decision.reason)
    if decision.move is Move.ROLL_BACK:
        st.error(f"It goes back to v{canary.incumbent_version}: {said}", icon=":material/undo:")
    elif canary.status is RolloutStatus.HELD:
        st.warning(
            f"{said} Its share stays as it is, and the guards go on watching.",
            icon=":material/pause_circle:",
        )
    elif any(one.verdict is GuardVerdict.UNSURE for one in decision.guards):
        st.warning(said, icon=":material/warning:")
    else:
        st.info(said, icon=":material/stairs:")
    left = timedelta(seconds=math.ceil(decision.seconds_left))
    facts = {
        "Time left": words.duration(left),
        "Requests missing": f"{decision.requests_missing:,}",
    }
    with st.container(horizontal=True, gap="large"):
        for name, value in facts.items():
            st.metric(name, value, width="content", help="Of what this step takes at least")


def _show_what_lacks(core: Pilothouse, view: RolloutView, new: VersionNotes) -> None:
    """What there is nothing to go by for, each in a calm sentence."""
    canary = view.rollout
    if view.notes.failure and canary.is_last_step:
        # What replicas hold beside Production is the version before now.
        st.warning(
            f"Replicas cannot load v{canary.incumbent_version}, so going back would take longer: "
            f"{words.plain(view.notes.failure)}",
            icon=":material/warning:",
        )
    elif view.notes.failure:
        st.warning(
            f"Replicas cannot load v{canary.version}: {words.plain(view.notes.failure)} "
            f"Callers get v{canary.incumbent_version}.",
            icon=":material/warning:",
        )
    elif not new.requests:
        status = attempt(core.serving.status)
        held = None if isinstance(status, Failure) else status.beside.get(canary.problem)
        if held is not None and held.rollout == canary.id and not held.loaded:
            said = f"Replicas are loading v{canary.version}; v{canary.incumbent_version} answers."
        else:
            said = (
                f"v{canary.version} has answered nothing in this step yet. Without requests it "
                "waits; nothing is lost."
            )
        st.info(said, icon=":material/hourglass_empty:")


def _show_sides(core: Pilothouse, view: RolloutView, new: VersionNotes) -> None:
    canary = view.rollout
    at, old = last_answered(view.notes, canary.incumbent_version, canary.step)
    if not new.requests and not old.requests:
        return
    before = "" if at == canary.step else f", at {percent(canary.shares[at])}"
    names = (f"v{canary.incumbent_version} (before{before})", f"v{canary.version} (new)")
    st.markdown("**Both versions in this step**")
    left, right = st.columns([2, 3], gap="large")
    with left:
        st.table(sides_frame(dict(zip(names, (figures(old), figures(new)), strict=True))))
        _show_split(canary, new, view.notes.of(canary.step, canary.incumbent_version))
        _show_estimates(view)
    with right:
        least = core.params.rollout.canary.minimum_rows
        _show_answers(core, view, dict(zip(names, (old, new), strict=True)), least)


def _show_split(canary: Rollout, new: VersionNotes, old: VersionNotes) -> None:
    asked = new.requests + old.requests
    if asked:
        st.caption(
            f"Split: {percent(new.requests / asked)} of {words.count(asked, 'request')} went to "
            f"v{canary.version}; the target is {percent(canary.share)}."
        )


def _show_estimates(view: RolloutView) -> None:
    found = view.estimates
    if found is None:
        return
    if found.new is None or found.old is None:
        st.caption(words.plain(found.note or "Performance cannot be estimated yet."))
        return
    st.caption(
        f"Estimated {words.metric_name(found.metric)}, without labels: "
        f"{words.number(found.new)} against {words.number(found.old)} "
        f"({words.signed(found.new - found.old)}), from {found.new_rows:,} and "
        f"{words.count(found.old_rows, 'row')}."
    )


def _show_answers(
    core: Pilothouse, view: RolloutView, sides: dict[str, VersionNotes], least: int
) -> None:
    drawn = {name: one.probabilities for name, one in sides.items() if one.rows}
    if drawn:
        label = core.problems[view.rollout.problem].contract.label
        st.altair_chart(
            charts.answers_chart(drawn, label.positive_meaning),
            width="stretch",
            alt="How the probabilities of both versions are spread",
            key="rollout-answers",
        )
    few = min(one.rows for one in sides.values())
    if few < least:
        st.caption(
            f"Predictions are compared from {words.count(least, 'row')} of each version on; "
            f"the smaller side has {few:,}."
        )
