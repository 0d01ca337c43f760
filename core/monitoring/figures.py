"""Draws a check's report: ranked columns, the estimate over chunks, what drifts most."""

from __future__ import annotations

from pathlib import Path

from core.monitoring.report import PROBABILITY, ColumnDrift, DriftReport
from core.monitoring.report_performance import MetricPerformance
from core.params_monitoring import DriftParams
from core.training.figures import GUIDE, INK, canvas, save, write_points

NOW = "#d1782f"
MOST_COLUMNS = 15
#: Columns whose distributions are drawn, those that drift most.
MOST_DISTRIBUTIONS = 3


def draw_check(report: DriftReport, params: DriftParams, folder: Path) -> None:
    """Writes psi, one distribution a column that drifts most, and performance."""
    folder.mkdir(parents=True, exist_ok=True)
    _psi(report, params, folder)
    shown = report.features[:MOST_DISTRIBUTIONS]
    for drift in (*shown, *filter(None, [report.prediction])):
        _distribution(drift, folder)
    if report.performance:
        _performance(report, report.performance[0], folder)


def _psi(report: DriftReport, params: DriftParams, folder: Path) -> None:
    shown = [drift for drift in report.features if drift.psi is not None][:MOST_COLUMNS][::-1]
    figure, axes = canvas("Population stability index", "PSI", "")
    axes.barh([_plain(d.column) for d in shown], [d.psi or 0.0 for d in shown], color=INK)
    for limit in (params.psi_warning, params.psi_critical):
        axes.axvline(limit, color=GUIDE, linestyle=":")
    save(figure, folder, "psi")
    rows = [(drift.column, drift.psi) for drift in report.features]
    write_points(folder, "psi", ["column", "psi"], rows)


def _distribution(drift: ColumnDrift, folder: Path) -> None:
    name = PROBABILITY if drift.rank == 0 else f"column_{drift.rank}"
    told = "no PSI" if drift.psi is None else f"PSI {drift.psi:.2f}"
    figure, axes = canvas(f"{_plain(drift.column)}, {told}", "Share of rows", "")
    places = range(len(drift.bins))
    height = 0.4
    axes.barh(
        [place + height / 2 for place in places],
        [one.reference_share for one in drift.bins],
        height=height,
        color=GUIDE,
        label="reference",
    )
    axes.barh(
        [place - height / 2 for place in places],
        [one.analysis_share for one in drift.bins],
        height=height,
        color=NOW,
        label="analysis",
    )
    axes.set_yticks(list(places), [_plain(one.label) for one in drift.bins])
    axes.invert_yaxis()
    axes.legend()
    save(figure, folder, name)
    rows = [(one.label, one.reference_share, one.analysis_share) for one in drift.bins]
    write_points(folder, name, ["bin", "reference_share", "analysis_share"], rows)


def _performance(report: DriftReport, told: MetricPerformance, folder: Path) -> None:
    figure, axes = canvas("Performance over chunks", "Chunk", told.metric.replace("_", " "))
    for course, colour, label in (
        (told.estimated, INK, "estimated"),
        (told.realized, NOW, "realized"),
    ):
        if course is not None:
            values = [float("nan") if v is None else v for v in course.chunk_values]
            axes.plot(range(len(values)), values, "o-", color=colour, label=label, markersize=3)
    for threshold in (told.lower_threshold, told.upper_threshold):
        if threshold is not None:
            axes.axhline(threshold, color=GUIDE, linestyle=":")
    begin = sum(1 for chunk in report.chunks if chunk.period == "reference")
    axes.axvline(begin - 0.5, color=GUIDE)
    axes.legend()
    save(figure, folder, "performance")
    estimated = told.estimated.chunk_values if told.estimated else ()
    realized = told.realized.chunk_values if told.realized else (None,) * len(estimated)
    rows = [
        (chunk.period, chunk.label, then, now)
        for chunk, then, now in zip(report.chunks, estimated, realized, strict=False)
    ]
    write_points(folder, "performance", ["period", "chunk", "estimated", "realized"], rows)


def _plain(text: str) -> str:
    # A dollar sign would start a formula.
    return text.replace("$", r"\$")
