"""Alerts on the screen: what is wrong, who has seen it, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import streamlit as st

from app.components import installation, navigation, rights, words
from app.components.failures import guarded
from app.components.status import alert_badge, level_badge
from core.domain_watching import Alert, AlertStatus, Level
from core.promotion.audit import Action

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse


def show_alerts(core: Pilothouse, alerts: Sequence[Alert]) -> None:
    """Draws alerts, critical ones first, each with the way to say that one has seen it."""
    for alert in sorted(alerts, key=lambda one: one.severity is not Level.CRITICAL):
        with st.container(border=True), guarded():
            _show_alert(core, alert)


def _show_alert(core: Pilothouse, alert: Alert) -> None:
    now = datetime.now(UTC)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"**{core.problems[alert.problem].title}: {alert.kind.value}**", width="content"
        )
        level_badge(alert.severity)
        alert_badge(alert.status)
    st.markdown(words.plain(alert.summary))
    st.caption(_history(alert, now))
    if alert.run_id:
        under_way = f"run {words.short_id(alert.run_id)} is under way."
        st.markdown(f"**Retraining**: {words.plain(alert.outcome or under_way)}")
    with st.container(horizontal=True, vertical_alignment="center"):
        if alert.status is AlertStatus.OPEN:
            _show_acknowledge(core, alert)
        if alert.check_id:
            navigation.link_to_drift("The check", problem=alert.problem, check_id=alert.check_id)
        else:
            navigation.link_to_serving("What serves", problem=alert.problem)
        if alert.run_id:
            navigation.link_to_training("The retrain", problem=alert.problem, run_id=alert.run_id)
    if len(alert.details) > 1:
        with st.expander("What stands out", icon=":material/list:"):
            st.markdown("\n".join(f"- {words.plain(one)}" for one in alert.details))


def _history(alert: Alert, now: datetime) -> str:
    said = [f"Raised {words.when(alert.raised_at, now)}"]
    if alert.acknowledged_at is not None:
        said.append(
            f"seen {words.when(alert.acknowledged_at, now)} by {alert.acknowledged_by}: "
            f"{words.plain(alert.note or '')}"
        )
    if alert.closed_at is not None:
        said.append(f"ended {words.when(alert.closed_at, now)}")
    return " · ".join([*said, f"alert `{alert.id}`"])


def _show_acknowledge(core: Pilothouse, alert: Alert) -> None:
    needs = rights.needs(Action.ALERT_ACKNOWLEDGED)
    with st.popover("I have seen it", icon=":material/visibility:", **needs):
        note = st.text_input(
            "Note", key=f"note-{alert.id}", placeholder="What it means and what you will do"
        )
        needs = rights.needs(Action.ALERT_ACKNOWLEDGED, disabled=not note.strip())
        if st.button("Acknowledge", type="primary", key=f"ack-{alert.id}", **needs):
            with guarded():
                core.alerts.acknowledge(alert.id, note=note, actor=installation.actor())
                st.rerun()
