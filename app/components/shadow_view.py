"""A shadow on the screen: how far it agrees with Production, and what it would cost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.column_config import DatetimeColumn, LinkColumn, NumberColumn

from app import charts
from app.components import words
from app.components.failures import Failure, attempt
from app.components.status import rollout_badge
from app.rollout.figures import percent, percentile_ms
from app.rollout.tables import disagreements_frame
from core.rollout.notes import said_of_shadow
from core.rollout.view import RolloutView

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse
    from core.rollout.notes import ShadowNotes
    from core.rollout.values import Rollout


def show_shadow(core: Pilothouse, view: RolloutView) -> None:
    """Draws an active shadow: agreement first, then where the versions differ."""
    shadow, notes = view.rollout, view.notes.shadow
    _show_headline(shadow)
    _show_what_lacks(core, view)
    if notes.requests or notes.skipped or notes.failed:
        _show_comparison(shadow, notes)


def show_shadow_result(view: RolloutView) -> None:
    """Draws what a shadow that is over has come to."""
    if not view.notes.shadow.rows:
        st.caption(said_of_shadow(view.notes.shadow))
    else:
        _show_comparison(view.rollout, view.notes.shadow)


def _show_comparison(shadow: Rollout, notes: ShadowNotes) -> None:
    _show_figures(notes)
    if notes.rows:
        _show_differences(shadow, notes)
    if notes.worst:
        _show_worst(shadow, notes)


def _show_headline(shadow: Rollout) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"#### v{shadow.version} in the shadow of v{shadow.incumbent_version}", width="content"
        )
        rollout_badge(shadow.status)
    st.caption(
        f"It scores {percent(shadow.share)} of the requests as well; nobody gets its answers. "
        f"Started {words.when(shadow.started_at, datetime.now(UTC))} by "
        f"{words.plain(shadow.started_by)}: {words.plain(shadow.reason)} · rollout `{shadow.id}`"
    )


def _show_what_lacks(core: Pilothouse, view: RolloutView) -> None:
    shadow, notes = view.rollout, view.notes.shadow
    if view.notes.failure:
        st.warning(
            f"Replicas cannot load v{shadow.version}: {words.plain(view.notes.failure)} "
            f"v{shadow.incumbent_version} answers as before.",
            icon=":material/warning:",
        )
    elif not notes.requests and not notes.failed:
        status = attempt(core.serving.status)
        held = None if isinstance(status, Failure) else status.beside.get(shadow.problem)
        if held is not None and held.rollout == shadow.id and not held.loaded:
            said = f"Replicas are loading v{shadow.version}."
        else:
            said = "No request has been compared yet."
        st.info(said, icon=":material/hourglass_empty:")
    if notes.failure:
        st.warning(
            f"v{shadow.version} could not score {words.count(notes.failed, 'request')}, which no "
            f"caller has noticed. One of them: {words.plain(notes.failure)}",
            icon=":material/warning:",
        )


def _show_figures(notes: ShadowNotes) -> None:
    facts = {
        "Rows compared": f"{notes.rows:,}",
        "Same label": percent(notes.agreed / notes.rows) if notes.rows else words.NOTHING,
        "Failed": f"{notes.failed:,}",
        "Skipped": f"{notes.skipped:,}",
    }
    helps = {
        "Rows compared": "Records of live requests that both versions have scored",
        "Same label": "Share of them on which both versions decide the same",
        "Failed": "Requests that the shadow could not score",
        "Skipped": "Requests that were not compared because too many waited",
    }
    with st.container(horizontal=True, gap="large"):
        for name, value in facts.items():
            st.metric(name, value, width="content", help=helps[name])
    sides = {"Production": notes.production_durations, "The shadow": notes.shadow_durations}
    said = [
        f"{name}: p50 {_ms(percentile_ms(one, 0.5))}, p95 {_ms(percentile_ms(one, 0.95))}"
        for name, one in sides.items()
    ]
    st.caption(f"Scoring alone, without HTTP. {'. '.join(said)}.")


def _show_differences(shadow: Rollout, notes: ShadowNotes) -> None:
    drawing = charts.differences_chart(
        notes.differences, f"v{shadow.version}", f"v{shadow.incumbent_version}"
    )
    st.altair_chart(
        drawing,
        width="stretch",
        alt="How far the probabilities of both versions differ",
        key=f"shadow-differences-{shadow.id}",
    )


def _show_worst(shadow: Rollout, notes: ShadowNotes) -> None:
    st.markdown("**Records that disagree most**")
    names = (f"By v{shadow.incumbent_version}", f"By v{shadow.version}")
    probability = NumberColumn(format="%.3f", help="Probability of the positive class")
    st.dataframe(
        disagreements_frame(notes.worst, *names),
        hide_index=True,
        column_config={
            **dict.fromkeys(names, probability),
            "Difference": NumberColumn(format="%+.3f"),
            "When (UTC)": DatetimeColumn(format="YYYY-MM-DD HH:mm:ss", timezone="UTC"),
            "Record": NumberColumn(help="Its place in the request, from 0"),
            "Request": LinkColumn(display_text="trace"),
        },
        placeholder=words.NOTHING,
        key=f"shadow-worst-{shadow.id}",
    )


def _ms(value: float | None) -> str:
    return words.NOTHING if value is None else f"{words.milliseconds(value)} ms"
