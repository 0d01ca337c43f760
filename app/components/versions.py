"""A metric over the registered versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from app import charts
from app.components import words

if TYPE_CHECKING:
    from core.training.experiments import RunSummary


def version_metrics(
    summaries: Sequence[RunSummary], metric: str
) -> tuple[charts.VersionMetric, ...]:
    """The versions that have the metric, oldest first."""
    found = [
        charts.VersionMetric(
            one.run.model_version,
            one.metrics[metric],
            one.metrics.get(f"{metric}_low"),
            one.metrics.get(f"{metric}_high"),
        )
        for one in summaries
        if one.run.model_version is not None and metric in one.metrics
    ]
    return tuple(sorted(found, key=lambda one: one.version))


def show_versions(summaries: Sequence[RunSummary]) -> None:
    """Draws the chart in a fold; nothing as long as there are no two versions."""
    known = {
        title: points
        for metric, title in (words.METRICS | words.COSTS).items()
        if len(points := version_metrics(summaries, metric)) > 1
    }
    if not known:
        return
    with st.expander("A metric over the registered versions", icon=":material/timeline:"):
        title = st.selectbox("Metric", list(known), key="version-metric")
        drawing = charts.versions_chart(known[title], metric=title)
        st.altair_chart(drawing, width="stretch", alt=f"{title} of each registered version")
