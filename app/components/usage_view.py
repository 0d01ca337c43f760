"""CPU and memory of a piece of work on the screen, with its phases and slowest stages."""

from __future__ import annotations

import streamlit as st
from streamlit.column_config import NumberColumn, TextColumn

from app import charts
from app.compare.costs import phases_sentence, stages_frame, usage_sentence
from app.components import words
from core.training.usage import Usage

_TENTHS = ("Time (s)", "Task time (s)", "GC (s)", "Shuffle (MiB)", "Spilled (MiB)")


def show_usage(usage: Usage, *, wide: bool = True) -> None:
    """Draws CPU and memory over time and says the bill; side by side where it is ``wide``."""
    st.markdown(usage_sentence(usage))
    places = st.columns(2, gap="large") if wide else (st.container(), st.container())
    for place, drawing, text in zip(
        places,
        (charts.cpu_chart(usage), charts.memory_chart(usage)),
        ("Cores in use over time", "Memory held over time"),
        strict=True,
    ):
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
