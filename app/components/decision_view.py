"""Approving or rejecting a request: a reason, what is passed over, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import streamlit as st

from app.components import installation, rights, words
from app.components.budget_view import ask_despite_budget
from app.components.failures import Failure, attempt, failure_from, show_failure
from app.rollout.figures import percent
from core.domain import PromotionRequest
from core.errors import ConflictError, PilothouseError
from core.promotion.audit import Action
from core.promotion.evidence import Evidence
from core.promotion.gates import hard_failures, soft_reservations

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse

_TOLD, _CLICKED = "decision-told", "decision-clicked"
_AT_ONCE = "All at once"


@dataclass(frozen=True)
class _Decision:
    """What the form says."""

    reason: str
    is_approval: bool
    in_steps: bool = False
    #: Why in steps although the error budget is spent; empty where nobody has said so.
    despite_budget: str = ""


def show_told() -> None:
    """Draws what became of the last decision where the request itself does not say it."""
    told = st.session_state.pop(_TOLD, None)
    if isinstance(told, Failure):
        show_failure(told)
    elif told:
        st.success(told, icon=":material/check_circle:")


def show_too_late(request: PromotionRequest) -> None:
    """Says so where the click has met a request that somebody had closed meanwhile."""
    # Clicked twice, the second click meets what the first has done.
    is_own = request.decided_by == installation.actor()
    if st.session_state.pop(_CLICKED, None) == request.id and not is_own:
        st.warning(
            "Your decision was not taken: the request was not open any more when you clicked.",
            icon=":material/running_with_errors:",
        )


def _remember_click(request_id: str) -> None:
    # Called before the page is drawn anew, and so before anybody knows what has become of it.
    st.session_state[_CLICKED] = request_id
    # Named, it stays in view when it is no longer the one that waits.
    st.query_params["request"] = request_id


def show_decision(
    core: Pilothouse, request: PromotionRequest, evidence: Evidence | Failure
) -> None:
    """Draws the form of an open request; what cannot be approved says why."""
    st.session_state.pop(_CLICKED, None)
    st.subheader("Decide")
    against = _why_not(core, request, evidence)
    if against:
        st.warning(words.plain(against), icon=":material/block:")
    gates = request.gates if isinstance(evidence, Failure) else evidence.gates
    passed_over = ", ".join(gate.gate for gate in soft_reservations(gates))
    least = core.params.promotion.reason_min_length
    with st.form(f"decision-{request.id}", border=True):
        reason = st.text_area(
            f"Reason, at least {words.count(least, 'character')}",
            key=f"reason-{request.id}",
            placeholder="Why this is right; it is kept with the decision and in the audit trail.",
        )
        confirmed = (
            bool(against)
            or not passed_over
            or st.checkbox(
                f"If I approve, I pass over: {words.plain(passed_over)}.",
                key=f"passed-over-{request.id}",
            )
        )
        in_steps, despite_budget = _ask_way(core, request)
        with st.container(horizontal=True):
            approve = st.form_submit_button(
                f"Approve v{request.version}",
                on_click=_remember_click,
                args=(request.id,),
                type="primary",
                icon=":material/check_circle:",
                **rights.needs(Action.APPROVAL_GIVEN, disabled=bool(against)),
            )
            reject = st.form_submit_button(
                f"Reject v{request.version}",
                on_click=_remember_click,
                args=(request.id,),
                icon=":material/cancel:",
                **rights.needs(Action.REQUEST_REJECTED),
            )
        if (approve or reject) and _may_go_on(reason, least, confirmed=confirmed or reject):
            _decide(core, request, _Decision(reason, approve, in_steps, despite_budget))
    st.caption(f"You decide as **{words.plain(installation.actor())}**. In a terminal:")
    commands = (
        words.approve_command(request.id, in_steps=in_steps),
        words.reject_command(request.id),
    )
    st.code("\n".join(commands), language="bash")


def _ask_way(core: Pilothouse, request: PromotionRequest) -> tuple[bool, str]:
    """Whether it takes over in steps, and why it may although the error budget is spent."""
    if request.incumbent_version is None:
        # There is nothing that could answer the other requests.
        return False, ""
    canary = core.params.rollout.canary
    steps = f"In steps ({', '.join(percent(share) for share in canary.steps)})"
    way = st.radio(
        "How it takes over",
        [_AT_ONCE, steps],
        key=f"way-{request.id}",
        horizontal=True,
        help=f"In steps it answers a share of the requests first. Each step takes "
        f"{words.duration(timedelta(seconds=canary.bake_s))} and "
        f"{words.count(canary.minimum_requests, 'request')} at least, and a guard that fails "
        "takes it back.",
    )
    despite = ask_despite_budget(core, request.problem, key=f"despite-{request.id}")
    return way == steps, despite


def _why_not(core: Pilothouse, request: PromotionRequest, evidence: Evidence | Failure) -> str:
    """Why the request cannot be approved by who sits here; empty if nothing is against it."""
    if isinstance(evidence, Failure):
        return "It cannot be approved, because its evidence cannot be read."
    failed = hard_failures(evidence.gates)
    if failed:
        named = ", ".join(gate.gate for gate in failed)
        return f"It cannot be approved: hard gates cannot be passed over ({named})."
    said = attempt(lambda: core.promotions.objection(request, installation.actor()))
    return said.sentence if isinstance(said, Failure) else said


def _may_go_on(reason: str, least: int, *, confirmed: bool) -> bool:
    short = least - len(reason.strip())
    if short > 0:
        st.error(f"The reason lacks {words.count(short, 'character')}.", icon=":material/edit:")
    elif not confirmed:
        st.error("Tick what you pass over, then approve.", icon=":material/rule:")
    return short <= 0 and confirmed


def _decide(core: Pilothouse, request: PromotionRequest, decision: _Decision) -> None:
    actor, reason = installation.actor(), decision.reason
    try:
        if decision.is_approval:
            with st.spinner("Checking the evidence once more and switching over…", show_time=True):
                decided = core.promotions.approve(
                    request.id,
                    reason=reason,
                    actor=actor,
                    in_steps=decision.in_steps,
                    despite_budget=decision.despite_budget if decision.in_steps else "",
                )
            if decided.missing:
                wanted = words.count(decided.missing, "more approval")
                st.session_state[_TOLD] = f"Your approval is kept; {wanted} needed."
        else:
            with st.spinner("Rejecting…", show_time=True):
                core.promotions.reject(request.id, reason=reason, actor=actor)
    except PilothouseError as exc:
        if not isinstance(exc, ConflictError):
            show_failure(failure_from(exc))
            return
        # The request is not what it was on this page: it is read again, with the reason why.
        st.session_state[_TOLD] = failure_from(exc)
    st.rerun()
