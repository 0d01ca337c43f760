"""What has become of an approved request on its way through the steps of a canary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.components import navigation, words
from app.components.failures import Failure, attempt, show_failure
from app.rollout.figures import percent
from core.domain import PromotionRequest
from core.rollout.values import Rollout, RolloutStatus

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse


def show_standing(core: Pilothouse, request: PromotionRequest) -> None:
    """Draws how far the version of a request that rolls out has come."""
    found = _rollout_of(core, request)
    if found is not None:
        at = f"step {found.step + 1} of {len(found.shares)}"
        held = "; a person holds it there" if found.status is RolloutStatus.HELD else ""
        st.info(
            f"v{request.version} answers {percent(found.share)} of the requests, {at}{held}.",
            icon=":material/stairs:",
        )
    navigation.link_to_serving("Watch it on Serving", problem=request.problem)


def show_way_back(core: Pilothouse, request: PromotionRequest) -> None:
    """Draws why the version of a request was taken back."""
    found = _rollout_of(core, request)
    if found is None:
        return
    by = "by a guard" if found.status is RolloutStatus.ROLLED_BACK else f"by {found.ended_by}"
    st.warning(
        f"Taken back at {percent(found.share)} {words.plain(by)}: "
        f"{words.plain(found.end_reason)} v{found.incumbent_version} answers every request.",
        icon=":material/undo:",
    )


def show_under_way(core: Pilothouse, request: PromotionRequest) -> None:
    """Draws one line of a request that rolls out, with the way to where it is watched."""
    title = core.problems[request.problem].title
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge("Rolling out", color="blue", icon=":material/stairs:")
        navigation.link_to_serving(f"{title}: v{request.version}", problem=request.problem)


def _rollout_of(core: Pilothouse, request: PromotionRequest) -> Rollout | None:
    """The canary that carries a request out; ``None`` where it cannot be read or is not there."""
    found = attempt(lambda: core.rollouts.list(request.problem))
    if isinstance(found, Failure):
        show_failure(found)
        return None
    return next((one for one in found if one.request_id == request.id), None)
