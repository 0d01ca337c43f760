"""What was Production when: a timeline, a table, a question, and an alias that strayed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.column_config import DatetimeColumn, LinkColumn, NumberColumn, TextColumn

from app import charts
from app.components import installation, navigation, rights, words
from app.components.failures import Failure, attempt, guarded, show_failure
from app.components.rollback_view import show_rollback
from app.promotion.tables import history_frame, periods
from core.domain import Promotion
from core.promotion.audit import Action

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse
    from core.problems.contract import Problem

#: More bars than this are a blur; the table has them all.
MOST_DRAWN = 60
_RESTORED = "Restored from the panel: the promotion record decides."


def show_production(core: Pilothouse, problem: Problem) -> None:
    """Draws the promotion record of a problem."""
    record = core.promotions.history(problem.name)
    if not record:
        st.info(
            f"No version of {problem.title} was ever in Production.",
            icon=":material/rocket_launch:",
        )
        navigation.link_to_training("Start the first run", problem=problem.name)
        return
    with guarded():
        show_alias_drift(core, problem.name)
    now = datetime.now(UTC)
    drawn = periods(record, now)[:MOST_DRAWN]
    title = f"Versions of {problem.title} in Production over time"
    st.altair_chart(charts.timeline_chart(drawn), width="stretch", alt=title)
    if len(drawn) < len(record):
        st.caption(f"The last {MOST_DRAWN} of {words.count(len(record), 'period')}.")
    _show_table(record, now)
    show_rollback(core, problem.name, record)
    with guarded():
        _show_moment(core, problem.name)


def show_alias_drift(core: Pilothouse, problem: str) -> None:
    """Draws aliases that were moved behind the record, with the way to put them right."""
    drift = attempt(lambda: core.promotions.alias_drift(problem))
    if isinstance(drift, Failure):
        show_failure(drift)
        return
    if not drift:
        return
    said = " ".join(one.said() for one in drift)
    st.warning(
        f"{words.plain(said)} Nothing is deployed because of it: the promotion record decides.",
        icon=":material/alt_route:",
    )
    if st.button(
        "Restore the aliases",
        icon=":material/settings_backup_restore:",
        **rights.needs(Action.ALIAS_RESTORED),
    ):
        with st.spinner("Restoring…"):
            core.promotions.restore_alias(problem, actor=installation.actor(), reason=_RESTORED)
        st.rerun()


def _show_table(record: Sequence[Promotion], now: datetime) -> None:
    when = DatetimeColumn(format="YYYY-MM-DD HH:mm", timezone="UTC")
    st.dataframe(
        history_frame(record, now),
        hide_index=True,
        column_config={
            "Version": TextColumn(pinned=True),
            "From (UTC)": when,
            "To (UTC)": when,
            "Answering since (UTC)": DatetimeColumn(
                format="YYYY-MM-DD HH:mm:ss",
                timezone="UTC",
                help="When replicas first answered with it",
            ),
            "Answering after (s)": NumberColumn(
                format="%.1f", help="Seconds from the decision to the first answer"
            ),
            "Reason": TextColumn(width="large"),
            "Evidence": LinkColumn(display_text="open"),
        },
        placeholder="",
    )


def _show_moment(core: Pilothouse, problem: str) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        asked = st.datetime_input(
            "What served at (UTC)",
            value=None,
            key="moment",
            format="YYYY-MM-DD",
            width=260,
            bind="query-params",
        )
    if asked is None:
        return
    moment = asked.replace(tzinfo=UTC)
    found = core.promotions.serving_at(problem, moment)
    at = words.clock(moment)
    if found is None:
        st.info(f"Nothing served at {at}.", icon=":material/history:")
        return
    st.success(
        f"At {at} **v{found.version}** served, by {words.plain(found.rule)}, decided by "
        f"{words.plain(found.decided_by)}: {words.plain(found.reason)}",
        icon=":material/history:",
    )
    if found.request_id:
        navigation.link_to_approvals("Its evidence", request_id=found.request_id)
    command = f'pilothouse promote history {problem} --at "{moment:%Y-%m-%dT%H:%M}Z"'
    st.code(command, language="bash")
