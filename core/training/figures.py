"""Draws a report: each figure as a picture and, beside it, its points as CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from core.training.report import EvaluationReport

INK = "#1f5f8b"
GUIDE = "#999999"
MAX_WEIGHTS = 15


def draw_figures(report: EvaluationReport, folder: Path) -> None:
    """Writes roc, precision_recall, calibration, confusion and weights into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    _roc(report, folder)
    _precision_recall(report, folder)
    _calibration(report, folder)
    _confusion(report, folder)
    _weights(report, folder)


def canvas(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    """An empty figure with its title and axes."""
    # No pyplot: it keeps every figure in a global and picks a display.
    figure = Figure(figsize=(5, 4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=x, ylabel=y)
    return figure, axes


def save(figure: Figure, folder: Path, name: str) -> None:
    """Writes a figure as a picture; equal figures, equal bytes."""
    # Matplotlib's version in the file would make equal figures differ.
    figure.savefig(folder / f"{name}.png", metadata={"Software": None})


def write_points(
    folder: Path, name: str, header: Sequence[str], rows: Sequence[Sequence[object]]
) -> None:
    """Writes the points of a figure beside its picture."""
    with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _roc(report: EvaluationReport, folder: Path) -> None:
    auc = report.metrics["auc"]
    figure, axes = canvas(
        f"ROC, AUC {auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}]",
        "False positive rate",
        "True positive rate",
    )
    axes.plot(report.roc.x, report.roc.y, color=INK)
    axes.plot([0, 1], [0, 1], color=GUIDE, linestyle=":")
    save(figure, folder, "roc")
    points = list(zip(report.roc.x, report.roc.y, strict=True))
    write_points(folder, "roc", ["false_positive_rate", "true_positive_rate"], points)


def _precision_recall(report: EvaluationReport, folder: Path) -> None:
    curve = report.precision_recall
    figure, axes = canvas("Precision and recall", "Recall", "Precision")
    axes.plot(curve.x, curve.y, color=INK)
    axes.set_ylim(0, 1.02)
    save(figure, folder, "precision_recall")
    points = list(zip(curve.x, curve.y, strict=True))
    write_points(folder, "precision_recall", ["recall", "precision"], points)


def _calibration(report: EvaluationReport, folder: Path) -> None:
    bins = report.calibration
    figure, axes = canvas("Calibration", "Mean predicted probability", "Observed rate")
    axes.plot([0, 1], [0, 1], color=GUIDE, linestyle=":")
    axes.plot([b.mean_predicted for b in bins], [b.observed_rate for b in bins], "o-", color=INK)
    save(figure, folder, "calibration")
    points = [(b.mean_predicted, b.observed_rate, b.rows) for b in bins]
    write_points(folder, "calibration", ["mean_predicted", "observed_rate", "rows"], points)


def _confusion(report: EvaluationReport, folder: Path) -> None:
    c = report.confusion
    cells = [[c.true_negative, c.false_positive], [c.false_negative, c.true_positive]]
    figure, axes = canvas(f"Confusion at threshold {report.threshold:.3f}", "Predicted", "Actual")
    axes.imshow(cells, cmap="Blues")
    axes.set(xticks=[0, 1], yticks=[0, 1])
    axes.set_xticklabels(["negative", "positive"])
    axes.set_yticklabels(["negative", "positive"])
    darkest = max(max(row) for row in cells)
    for y, row in enumerate(cells):
        for x, count in enumerate(row):
            shade = "white" if count > darkest / 2 else "black"
            axes.text(x, y, str(count), ha="center", va="center", color=shade)
    save(figure, folder, "confusion")
    rows = [("negative", *cells[0]), ("positive", *cells[1])]
    write_points(folder, "confusion", ["actual", "negative", "positive"], rows)


def _weights(report: EvaluationReport, folder: Path) -> None:
    ranked = sorted(report.weights, key=lambda w: -abs(w.weight))
    shown = ranked[:MAX_WEIGHTS][::-1]
    figure, axes = canvas(report.weight_kind.capitalize(), report.weight_kind, "")
    # A dollar sign in a column's name would start a formula.
    names = [w.feature.replace("$", r"\$") for w in shown]
    axes.barh(names, [w.weight for w in shown], color=INK)
    save(figure, folder, "weights")
    rows = [(w.feature, w.weight) for w in ranked]
    write_points(folder, "weights", ["feature", "weight"], rows)
