"""One promotion request: what the candidate is worth, why, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import streamlit as st

from app.components import installation, navigation, words
from app.components.decision_view import show_decision, show_too_late
from app.components.document_view import show_documents
from app.components.evidence_view import show_evidence, show_frozen
from app.components.failures import Failure, attempt, show_failure
from app.components.four_eyes_view import show_four_eyes
from app.components.gate_view import show_gates
from app.components.rollout_request import show_standing, show_way_back
from app.components.rollout_view import show_rollout
from app.components.status import request_badge
from app.promotion.tables import against
from core.domain import Approval, Promotion, PromotionRequest, RequestStatus, Verdict
from core.promotion.evidence import Evidence
from core.promotion.evidence_words import Finding, headline
from core.rollout.notes import said_of_shadow
from core.rollout.view import RolloutView
from core.wording import share as percent

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse

_SIGNS = {
    Verdict.PASS: ":green[:material/check_circle:]",
    Verdict.FAIL: ":red[:material/cancel:]",
    Verdict.CANNOT_TELL: ":orange[:material/help:]",
    None: ":material/info:",
}


def show_request(core: Pilothouse, request: PromotionRequest) -> None:
    """Draws a request: verdict first, then gates, evidence, and the decision."""
    evidence = installation.evidence(request)
    approvals = attempt(lambda: core.promotions.approvals(request.id))
    record = core.promotions.history(request.problem)
    promotion = next((one for one in record if one.request_id == request.id), None)
    with st.container(border=True):
        _show_head(core, request)
        if request.status is not RequestStatus.OPEN:
            show_too_late(request)
            _show_outcome(core, request, promotion)
        if isinstance(evidence, Failure):
            _show_unreadable(request, evidence)
        else:
            _show_headline(headline(evidence))
        shadows = _show_shadows(core, request)
        if request.status is RequestStatus.OPEN:
            show_four_eyes(core)
    st.subheader("Gates")
    show_gates(request.gates)
    if not isinstance(evidence, Failure):
        _show_evidence(core, request, evidence)
        given = () if isinstance(approvals, Failure) else approvals
        show_documents(core.problems[request.problem], evidence, request, given, promotion, shadows)
    _show_approvals(core, request, approvals)
    if request.status is RequestStatus.OPEN:
        show_decision(core, request, evidence)


def _show_shadows(core: Pilothouse, request: PromotionRequest) -> Sequence[RolloutView]:
    """Says how the version has done in the shadow of Production, if it was there."""
    problem, version, before = request.problem, request.version, request.decided_at
    found = attempt(lambda: core.rollouts.shadows(problem, version, before))
    if isinstance(found, Failure):
        show_failure(found)
        return ()
    for one in found:
        beside, share = one.rollout.incumbent_version, one.rollout.share
        st.markdown(
            f":material/contrast: In the shadow of v{beside} since "
            f"{words.clock(one.rollout.started_at)}, with {percent(share)} of the requests: "
            f"{said_of_shadow(one.notes.shadow)}"
        )
    return found


def _show_head(core: Pilothouse, request: PromotionRequest) -> None:
    now = datetime.now(UTC)
    title = core.problems[request.problem].title
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"### {title}: v{request.version}", width="content")
        request_badge(request.status)
    st.caption(
        f"Judged against {against(request)}. Asked {words.when(request.requested_at, now)} by "
        f"{words.plain(request.requested_by)} · request `{request.id}`"
    )
    if request.request_reason:
        st.markdown(f"Asked for because: {words.plain(request.request_reason)}")


def _show_outcome(core: Pilothouse, request: PromotionRequest, promotion: Promotion | None) -> None:
    status, by = request.status, words.plain(request.decided_by or "")
    reason = words.plain(request.reason or "")
    when = words.when(request.decided_at, datetime.now(UTC)) if request.decided_at else ""
    if status is RequestStatus.APPROVED:
        st.success(f"Approved by {by}, {when}: {reason}", icon=":material/check_circle:")
        if promotion is not None:
            passed_over = "; ".join(promotion.passed_over) or "nothing"
            st.caption(
                f"Passed over: {words.plain(passed_over)}. Four eyes were "
                f"{words.plain(promotion.four_eyes)}."
            )
            show_rollout(core, promotion)
    elif status is RequestStatus.ROLLING_OUT:
        st.caption(f"Approved by {by}, {when}: {reason}")
        show_standing(core, request)
    elif status is RequestStatus.ROLLED_BACK:
        st.caption(f"Approved by {by}, {when}: {reason}")
        show_way_back(core, request)
    elif status is RequestStatus.REJECTED:
        st.info(
            f"Rejected by {by}, {when}: {reason} The version stays registered and does not serve.",
            icon=":material/cancel:",
        )
    elif status is RequestStatus.STALE:
        st.warning(
            f"Stale since {when}: {reason} It cannot be approved any more; train again, or ask "
            "anew for this version.",
            icon=":material/history_toggle_off:",
        )
        version = f"{request.problem} {request.version}"
        st.code(f'pilothouse promote request {version} --reason "…"', language="bash")
    elif status is RequestStatus.SUPERSEDED:
        st.info("A younger candidate has taken its place.", icon=":material/redo:")
        if request.superseded_by:
            navigation.link_to_approvals("The younger one", request_id=request.superseded_by)


def _show_unreadable(request: PromotionRequest, failure: Failure) -> None:
    show_failure(failure)
    if request.status is RequestStatus.OPEN:
        st.caption("Without its evidence a request cannot be approved; it can be rejected.")


def _show_headline(findings: Sequence[Finding]) -> None:
    first, *rest = findings
    st.markdown(f"#### {_SIGNS[first.verdict]} {words.plain(first.text)}")
    if first.detail:
        st.caption(words.plain(first.detail))
    st.markdown("  \n".join(f"{_SIGNS[one.verdict]} {words.plain(one.text)}" for one in rest))


def _show_evidence(core: Pilothouse, request: PromotionRequest, evidence: Evidence) -> None:
    problem = core.problems[request.problem]
    st.subheader("Evidence")
    show_evidence(problem, evidence)
    with st.expander("The frozen evidence itself", icon=":material/ac_unit:"):
        show_frozen(evidence, request.evidence_path, request.evidence_sha256)
    run_ids = [model.run_id for model in (evidence.candidate, evidence.incumbent) if model]
    navigation.link_to_experiments("Compare both runs", problem=problem.name, run_ids=run_ids)


def _show_approvals(
    core: Pilothouse, request: PromotionRequest, approvals: Sequence[Approval] | Failure
) -> None:
    if isinstance(approvals, Failure):
        show_failure(approvals)
        return
    required = core.promotions.approvals_required
    if not approvals and (required == 1 or request.status is not RequestStatus.OPEN):
        return
    is_open = request.status is RequestStatus.OPEN
    st.subheader("Approvals so far" if is_open else "Approvals")
    now = datetime.now(UTC)
    for one in approvals:
        when = words.when(one.approved_at, now)
        st.markdown(f"- **{words.plain(one.approved_by)}**, {when}: {words.plain(one.reason)}")
    if is_open:
        st.caption(f"{len(approvals)} of {words.count(required, 'approval')} given.")
