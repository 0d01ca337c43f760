"""Status in words and colours that mean the same on every page."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from core.domain import RequestStatus, RunStatus, Verdict
from core.domain_serving import Health
from core.domain_watching import AlertStatus, Level
from core.rollout.steps import GuardVerdict
from core.rollout.values import RolloutStatus

_Colour = Literal["green", "orange", "red", "blue", "gray"]

_HEALTH: dict[Health, tuple[_Colour, str]] = {
    Health.HEALTHY: ("green", ":material/check_circle:"),
    Health.STARTING: ("orange", ":material/hourglass_top:"),
    Health.DOWN: ("red", ":material/cancel:"),
}
_RUN: dict[RunStatus, tuple[_Colour, str]] = {
    RunStatus.QUEUED: ("orange", ":material/schedule:"),
    RunStatus.RUNNING: ("blue", ":material/play_circle:"),
    RunStatus.FINISHED: ("green", ":material/check_circle:"),
    RunStatus.FAILED: ("red", ":material/cancel:"),
    RunStatus.CANCELLED: ("gray", ":material/stop_circle:"),
}
_VERDICT: dict[Verdict, tuple[_Colour, str]] = {
    Verdict.PASS: ("green", ":material/check_circle:"),
    Verdict.FAIL: ("red", ":material/cancel:"),
    Verdict.CANNOT_TELL: ("orange", ":material/help:"),
}


_LEVEL: dict[Level, tuple[_Colour, str]] = {
    Level.OK: ("green", ":material/check_circle:"),
    Level.WARNING: ("orange", ":material/warning:"),
    Level.CRITICAL: ("red", ":material/error:"),
    Level.NOT_ENOUGH_DATA: ("gray", ":material/help:"),
}
_ALERT: dict[AlertStatus, tuple[_Colour, str]] = {
    AlertStatus.OPEN: ("red", ":material/notifications_active:"),
    AlertStatus.ACKNOWLEDGED: ("orange", ":material/visibility:"),
    AlertStatus.CLOSED: ("gray", ":material/done_all:"),
}
_REQUEST: dict[RequestStatus, tuple[_Colour, str]] = {
    RequestStatus.OPEN: ("orange", ":material/hourglass_top:"),
    RequestStatus.APPROVED: ("green", ":material/check_circle:"),
    RequestStatus.REJECTED: ("red", ":material/cancel:"),
    RequestStatus.SUPERSEDED: ("gray", ":material/redo:"),
    RequestStatus.STALE: ("gray", ":material/history_toggle_off:"),
    RequestStatus.ROLLING_OUT: ("blue", ":material/stairs:"),
    RequestStatus.ROLLED_BACK: ("orange", ":material/undo:"),
}
_ROLLOUT: dict[RolloutStatus, tuple[_Colour, str]] = {
    RolloutStatus.RUNNING: ("blue", ":material/play_circle:"),
    RolloutStatus.HELD: ("orange", ":material/pause_circle:"),
    RolloutStatus.DONE: ("green", ":material/check_circle:"),
    RolloutStatus.STOPPED: ("gray", ":material/stop_circle:"),
    RolloutStatus.ROLLED_BACK: ("red", ":material/undo:"),
}
_GUARD: dict[GuardVerdict, tuple[_Colour, str]] = {
    GuardVerdict.OK: ("green", ":material/check_circle:"),
    GuardVerdict.FAILED: ("red", ":material/cancel:"),
    GuardVerdict.UNSURE: ("orange", ":material/warning:"),
    GuardVerdict.CANNOT_TELL: ("gray", ":material/help:"),
}


def health_badge(health: Health) -> None:
    """Draws a service's health as word, sign and colour."""
    colour, icon = _HEALTH[health]
    st.badge(health.value.capitalize(), color=colour, icon=icon)


def run_badge(status: RunStatus) -> None:
    """Draws a run's status as word, sign and colour."""
    colour, icon = _RUN[status]
    st.badge(status.value.capitalize(), color=colour, icon=icon)


def verdict_mark(verdict: Verdict) -> str:
    """A gate's verdict as word, sign and colour, to stand in a line of Markdown."""
    colour, icon = _VERDICT[verdict]
    return f":{colour}-badge[{icon} {verdict.value.capitalize()}]"


def level_badge(level: Level) -> None:
    """Draws what a check comes to as word, sign and colour."""
    colour, icon = _LEVEL[level]
    st.badge(level.value.capitalize(), color=colour, icon=icon)


def alert_badge(status: AlertStatus) -> None:
    """Draws where an alert stands as word, sign and colour."""
    colour, icon = _ALERT[status]
    st.badge(status.value.capitalize(), color=colour, icon=icon)


def request_badge(status: RequestStatus) -> None:
    """Draws where a promotion request stands as word, sign and colour."""
    colour, icon = _REQUEST[status]
    st.badge(status.value.replace("_", " ").capitalize(), color=colour, icon=icon)


def rollout_badge(status: RolloutStatus) -> None:
    """Draws where a rollout stands as word, sign and colour."""
    colour, icon = _ROLLOUT[status]
    st.badge(status.value.capitalize(), color=colour, icon=icon)


def guard_mark(verdict: GuardVerdict) -> str:
    """What a guard says as word, sign and colour, to stand in a line of Markdown."""
    colour, icon = _GUARD[verdict]
    return f":{colour}-badge[{icon} {verdict.value.capitalize()}]"
