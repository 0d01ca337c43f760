"""Draws the collected figures: equal figures, equal pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from core.training.figures import GUIDE, INK, save
from core.training.report import Candidate, EvaluationReport
from core.wording import FAMILIES, family_name
from reporting import diagram
from reporting.results import Course, Results

ARCHITECTURE = "architecture"
#: Told apart also without colours, by lightness; a family has the same one everywhere.
_COLOURS = dict(zip(FAMILIES, ("#1f5f8b", "#e08e2b", "#7ab07a", "#8c4a6b"), strict=True))
_MARKS = dict(zip(FAMILIES, ("o", "s", "^", "D"), strict=True))
_NOW = "#d1782f"
#: Columns whose course is drawn, those that drift most on any day.
MOST_COLUMNS = 4


def draw_all(results: Results, folder: Path) -> tuple[str, ...]:
    """Writes every picture of the report into ``folder`` and returns their names."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {ARCHITECTURE: diagram.draw(diagram.ARCHITECTURE)}
    for one in results.trained:
        drawn[candidates_name(one.report.problem)] = _candidates(one.title, one.report)
        drawn[holdout_name(one.report.problem)] = _holdout(one.title, one.report)
    for seen in results.courses:
        drawn[days_name(seen.problem)] = _days(seen)
    for name, figure in drawn.items():
        save(figure, folder, name)
    return tuple(drawn)


def candidates_name(problem: str) -> str:
    """Name of the picture of a problem's candidates."""
    return f"{problem}-candidates"


def holdout_name(problem: str) -> str:
    """Name of the picture of what the holdout says."""
    return f"{problem}-holdout"


def days_name(problem: str) -> str:
    """Name of the picture of the days that arrived."""
    return f"{problem}-days"


def _canvas(columns: int, height: float = 3.6) -> tuple[Figure, Sequence[Axes]]:
    # No pyplot: it keeps every figure in a global and picks a display.
    figure = Figure(figsize=(9.6, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def ranked(report: EvaluationReport) -> list[Candidate]:
    """Candidates, the best mean AUC first; those that were given up come last."""
    return sorted(report.candidates, key=lambda one: (one.pruned, -one.mean_auc))


def _candidates(title: str, report: EvaluationReport) -> Figure:
    shown = ranked(report)
    figure, (axes,) = _canvas(1, height=1.2 + 0.26 * len(shown))
    named: set[str] = set()
    for place, one in enumerate(shown):
        axes.errorbar(
            one.mean_auc,
            place,
            xerr=one.standard_error or 0.0,
            fmt=_MARKS.get(one.family, "o"),
            color=_COLOURS.get(one.family, INK),
            capsize=3,
            label=None if one.family in named else family_name(one.family),
        )
        named.add(one.family)
    axes.set_yticks(range(len(shown)), [words(one) for one in shown], fontsize="small")
    axes.invert_yaxis()
    axes.set(title=f"{title}: candidates", xlabel="Mean AUC over the folds, one standard error")
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def words(one: Candidate) -> str:
    """A candidate's parameters in one line."""
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, int | float) else f"{name} {value}"
        for name, value in sorted(one.params.items())
    )


def _holdout(title: str, report: EvaluationReport) -> Figure:
    figure, (roc, pr, calibration) = _canvas(3, height=3.3)
    auc = report.metrics["auc"]
    roc.plot(report.roc.x, report.roc.y, color=INK)
    roc.plot([0, 1], [0, 1], color=GUIDE, linestyle=":")
    roc.set(
        title=f"ROC, AUC {auc.value:.3f}",
        xlabel="False positive rate",
        ylabel="True positive rate",
    )
    curve = report.precision_recall
    pr.plot(curve.x, curve.y, color=INK)
    pr.set(title="Precision and recall", xlabel="Recall", ylabel="Precision", ylim=(0, 1.02))
    bins = report.calibration
    calibration.plot([0, 1], [0, 1], color=GUIDE, linestyle=":")
    calibration.plot(
        [one.mean_predicted for one in bins], [one.observed_rate for one in bins], "o-", color=INK
    )
    calibration.set(
        title="Calibration", xlabel="Mean predicted probability", ylabel="Observed rate"
    )
    figure.suptitle(f"{title}: holdout of {report.holdout_rows:,} rows")
    return figure


def _days(seen: Course) -> Figure:
    figure, (drift, performance) = _canvas(2)
    at = [day.number for day in seen.days]
    for column, mark in zip(drifting(seen), "os^Dv", strict=False):
        psi = [day.psi.get(column, float("nan")) for day in seen.days]
        # A dollar sign in a column's name would start a formula.
        drift.plot(at, psi, f"{mark}-", markersize=4, label=column.replace("$", r"\$"))
    for limit, name in ((seen.psi_warning, "warning"), (seen.psi_critical, "critical")):
        drift.axhline(limit, color=GUIDE, linestyle=":")
        drift.text(at[0], limit, name, fontsize="x-small", va="bottom", color="#666666")
    drift.set(title="Drift", xlabel="Day", ylabel="PSI against the training rows")
    drift.legend(fontsize="x-small", ncol=4, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    told = [day for day in seen.days if day.estimated is not None]
    days = [day.number for day in told]
    nan = float("nan")
    low = [nan if day.low is None else day.low for day in told]
    high = [nan if day.high is None else day.high for day in told]
    performance.fill_between(days, low, high, color=INK, alpha=0.15, label="its band")
    estimated = [nan if day.estimated is None else day.estimated for day in told]
    performance.plot(days, estimated, "o-", color=INK, markersize=4, label="estimated")
    realized = [day.realized for day in seen.days]
    performance.plot(at, realized, "s--", color=_NOW, markersize=4, label="realized later")
    if seen.reference is not None:
        performance.axhline(seen.reference, color=GUIDE, linestyle=":", label="on training rows")
    performance.set(title="Performance", xlabel="Day", ylabel=seen.metric.upper())
    # Below, where it hides no day.
    performance.legend(fontsize="x-small", ncol=4, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    figure.suptitle(f"{seen.title}: {len(seen.days)} days")
    return figure


def drifting(seen: Course) -> list[str]:
    """Columns by their largest PSI on any day, the largest first."""
    most: dict[str, float] = {}
    for day in seen.days:
        for column, psi in day.psi.items():
            most[column] = max(psi, most.get(column, psi))
    return sorted(most, key=lambda column: -most[column])[:MOST_COLUMNS]
