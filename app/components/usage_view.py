"""CPU and memory of a piece of work on the screen, with its phases and slowest stages."""

from __future__ import annotations

from itertools import cycle

import streamlit as st
from streamlit.column_config import NumberColumn, ProgressColumn, TextColumn

from app import charts
from app.compare.costs import (
    phases_sentence,
    spark_start_sentence,
    stage_times_frame,
    stages_frame,
    usage_sentence,
)
from app.components import words
from core.training.stage_times import StageTimes
from core.training.usage import Usage

_TENTHS = ("Time (s)", "Task time (s)", "GC (s)", "Shuffle (MiB)", "Spilled (MiB)")


def show_stage_times(times: StageTimes) -> None:
    """Draws the seconds of each stage of a run as a table with bars."""
    st.dataframe(
        stage_times_frame(times),
        hide_index=True,
        width="content",
        column_config={
            "Stage": TextColumn(width="small"),
            "Time (s)": ProgressColumn(
                format="%.1f", min_value=0.0, max_value=times.seconds, width="medium"
            ),
        },
    )
    st.caption(spark_start_sentence(times))


def show_usage(usage: Usage, *, wide: bool = True) -> None:
    """Draws CPU and memory over time and says the bill; side by side where it is ``wide``."""
    st.markdown(usage_sentence(usage))
    drawings = {
        "Cores in use over time": charts.cpu_chart(usage),
        "Memory held over time": charts.memory_chart(usage),
    }
    if len(usage.executors) > 1:
        drawings["Cores in use by each executor"] = charts.executors_cpu_chart(usage)
        drawings["Memory held by each executor"] = charts.executors_memory_chart(usage)
    places = st.columns(2, gap="large") if wide else (st.container(),)
    for place, (text, drawing) in zip(cycle(places), drawings.items(), strict=False):
        with place:
            st.altair_chart(drawing, width="stretch", alt=text)
    st.caption(
        f"{phases_sentence(usage)} Dashed: the {words.count(usage.cores, 'core')} of the profile, "
        "which are the executors'; the driver comes on top. Memory counts a page that two "
        "processes share twice."
    )


def show_stages(usage: Usage) -> None:
    """Draws the stages of Spark that took longest."""
    if not usage.slowest:
        st.caption("Spark named no stages.")
        return
    st.dataframe(
        stages_frame(usage.slowest),
        hide_index=True,
        column_config={
            "Stage": NumberColumn(format="%d", help="Spark's number", pinned=True),
            "What for": TextColumn(width="medium", pinned=True),
            "Unusual": TextColumn(width="medium"),
            **{name: NumberColumn(format="%.1f") for name in _TENTHS},
            "Peak execution memory (MiB)": NumberColumn(
                format="%.1f", help="For sorting, joining and aggregating, summed over tasks"
            ),
            "Skew": NumberColumn(
                format="%.1f", help="Longest task over the median; empty with a single task"
            ),
        },
    )
    st.caption(
        f"The {len(usage.slowest)} longest of {usage.stages:,} stages, longest first. Stages of "
        "candidates that are fitted side by side overlap."
    )
