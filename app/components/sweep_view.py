"""One sweep over resource profiles on the screen: how far it is, or what follows from it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.column_config import NumberColumn, TextColumn

from app import charts
from app.compare.costs import means_frame
from app.components import installation, navigation, words
from app.components.failures import Failure, guarded, show_failure
from app.components.installation import pilothouse
from app.components.live import LOG_LINES, REFRESH_S, show_cancel, show_log, show_progress
from app.components.status import run_badge
from app.components.usage_view import show_stages, show_usage
from core.domain import RunStatus, Sweep
from core.training.advice import advise
from core.training.sweep_report import SweepMeasurement, SweepReport

if TYPE_CHECKING:
    import altair as alt

    from core.bootstrap import Pilothouse

_FEWEST_CUTS = 2


def show_active(core: Pilothouse, sweep: Sweep) -> None:
    """Draws a sweep that goes on, and the button that ends it."""
    with st.container(border=True):
        actor = installation.actor()
        show_cancel("sweep", sweep.id, lambda: core.sweeps.cancel(sweep.id, actor=actor))
        _show_live(sweep.id)


@st.fragment(run_every=REFRESH_S)
def _show_live(sweep_id: str) -> None:
    with guarded():
        core = pilothouse()
        sweep = core.sweeps.get(sweep_id)
        if not sweep.status.is_active:
            # What it measured is drawn outside this fragment.
            st.rerun()
        _show_heading(sweep)
        show_progress(sweep)
        with st.expander("Log", icon=":material/article:"):
            _show_log(core, sweep.id)


def _show_heading(sweep: Sweep) -> None:
    now = datetime.now(UTC)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**Sweep `{words.short_id(sweep.id)}`**", width="content")
        run_badge(sweep.status)
    verb = "running for" if sweep.status.is_active else "took"
    families = ", ".join(words.family_name(one) for one in sweep.families)
    st.caption(
        f"{', '.join(sweep.profiles)} · {families} · {words.count(sweep.repeat, 'repeat')} · "
        f"started {words.when(sweep.started_at, now)} by {sweep.started_by} · "
        f"{verb} {words.duration(words.elapsed(sweep, now))}"
    )


def _show_log(core: Pilothouse, sweep_id: str) -> None:
    show_log(
        lambda: core.sweeps.log(sweep_id, tail=LOG_LINES), f"pilothouse profiles logs {sweep_id}"
    )


def show_unfinished(core: Pilothouse, sweep: Sweep) -> None:
    """Draws a sweep that ended without a report."""
    with st.container(border=True):
        _show_heading(sweep)
        if sweep.status is RunStatus.FAILED:
            said = sweep.error or "The sweep failed without saying why."
            show_failure(Failure(said, "See its log."))
        else:
            st.info("The sweep was cancelled, so it measured nothing to show.")
        with st.expander("Log", icon=":material/article:"):
            _show_log(core, sweep.id)


def show_verdict(sweep: Sweep, report: SweepReport) -> None:
    """Draws which profile and family to use next, and why."""
    advice = advise(report)
    profiles = {one.profile.name: one.profile for one in report.measurements}
    with st.container(border=True):
        label = words.profile_label(profiles[advice.profile], report.physical_cores)
        st.markdown(f"### Use {label} with {words.family_name(advice.family)}")
        st.markdown(
            "\n".join(f"- **{one.topic.value.capitalize()}**: {one.text}" for one in advice.reasons)
        )
        _show_heading(sweep)
        navigation.link_to_training(
            "Train with this profile", problem=sweep.problem, profile=advice.profile
        )


def show_report(sweep: Sweep, report: SweepReport) -> None:
    """Draws everything that a sweep measured."""
    _show_profiles(report)
    _show_frontiers(report)
    _show_course(sweep, report)
    _show_boosting(report)


def _show_profiles(report: SweepReport) -> None:
    st.subheader("Time and quality by profile")
    _side_by_side(
        (charts.sweep_time_chart(report), "Training time of each family by profile"),
        (charts.sweep_auc_chart(report), "Cross-validated AUC of each family by profile"),
    )
    st.caption(
        "Bars are means and points are repeats. Time is that of preprocessing, search, final fit "
        "and export on a session that was warm; starting Spark comes on top, once a run. "
        f"{words.count(report.train_rows, 'row')}, {report.folds} folds, on a machine with "
        f"{words.count(report.physical_cores, 'core')}."
    )
    with st.expander("The same as a table", icon=":material/table_view:"):
        _show_means(report)


def _show_means(report: SweepReport) -> None:
    shares = {name: NumberColumn(format="percent") for name in ("Utilization", "GC share")}
    tenths = ("Time (s)", "Core-seconds", "Spilled (MiB)")
    st.dataframe(
        means_frame(report),
        hide_index=True,
        column_config={
            "Profile": TextColumn(pinned=True),
            "AUC": NumberColumn(format="%.4f", help="Cross-validated, mean of the repeats"),
            "Peak memory (MiB)": NumberColumn(format="%.0f", help="Driver and executors together"),
            **{name: NumberColumn(format="%.1f") for name in tenths},
            **shares,
        },
    )


def _show_frontiers(report: SweepReport) -> None:
    st.subheader("Efficiency frontier")
    _side_by_side(
        *(
            (charts.frontier_chart(report, price), f"AUC against {title}, with the frontier")
            for price, title in charts.PRICES.items()
        )
    )
    st.caption(
        "A point is the mean of a profile's and family's repeats. On the dashed line lies what "
        "nothing beats in both AUC and cost; what is beaten is faint."
    )


def _show_course(sweep: Sweep, report: SweepReport) -> None:
    st.subheader("CPU and memory over time")
    measured = _choose_measurement(sweep, report)
    if measured is None:
        st.info("The sweep did not measure this family with this profile.")
        return
    show_usage(measured.usage)
    st.subheader("Stages that took longest")
    show_stages(measured.usage)


def _choose_measurement(sweep: Sweep, report: SweepReport) -> SweepMeasurement | None:
    profiles = {one.profile.name: one.profile for one in report.measurements}
    families = list(dict.fromkeys(one.family for one in report.measurements))
    repeats = sorted({one.repeat for one in report.measurements})
    left, middle, right = st.columns(3)
    profile = left.selectbox(
        "Profile",
        list(profiles),
        format_func=lambda name: words.profile_label(profiles[name], report.physical_cores),
        key=f"course-profile-{sweep.id}",
    )
    family = middle.selectbox(
        "Family", families, format_func=words.family_name, key=f"course-family-{sweep.id}"
    )
    repeat = right.selectbox("Repeat", repeats, key=f"course-repeat-{sweep.id}")
    wanted = (profile, family, repeat)
    found = (m for m in report.measurements if (m.profile.name, m.family, m.repeat) == wanted)
    return next(found, None)


def _show_boosting(report: SweepReport) -> None:
    if len(report.boosting) < _FEWEST_CUTS:
        return
    st.subheader("Diminishing returns of boosting")
    _side_by_side(
        (charts.boosting_chart(report.boosting, "iterations"), "AUC by depth and iterations"),
        (charts.boosting_chart(report.boosting, "seconds"), "AUC by depth and training time"),
    )
    st.caption(
        "Each line is one ensemble cut after so many iterations. The longest of its depth was "
        "fitted on every fold, and a cut has its share of that time by iterations."
    )


def _side_by_side(*drawings: tuple[alt.LayerChart, str]) -> None:
    for column, (drawing, text) in zip(
        st.columns(len(drawings), gap="large"), drawings, strict=True
    ):
        with column:
            st.altair_chart(drawing, width="stretch", alt=text)
