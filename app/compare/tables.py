"""Metrics and parameters as tables of any number of runs; what differs is marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from app.charts import Axis, Evaluations
from app.compare.values import MOST_DRAWN, Comparison, Costs
from app.components import words
from core.training.report import EvaluationReport


@dataclass(frozen=True)
class Cell:
    """One value of a table with what deserves a mark."""

    text: str
    #: Said after the value, such as its interval.
    rest: str = ""
    is_best: bool = False
    #: Difference to the baseline; empty where there is none.
    change: str = ""
    change_is_good: bool = False
    #: A setting unlike the baseline's.
    differs: bool = False


#: A row's heading and its cell for every run.
Row = tuple[str, tuple[Cell, ...]]


def metric_rows(comparison: Comparison) -> tuple[Row, ...]:
    """Metrics on the holdout, the search's own AUC, then what the runs cost."""
    evaluations, baseline = comparison.evaluations, comparison.baseline
    names = sorted(
        {metric for report in evaluations.values() for metric in report.metrics}, key=_metric_order
    )
    rows = [
        (_metric_label(metric), _metric_cells(evaluations, baseline, metric)) for metric in names
    ]
    cv_auc = {name: report.cv_auc for name, report in evaluations.items()}
    rows.append((words.metric_name("cv_auc"), _plain_cells(cv_auc, baseline)))
    return (*rows, *_cost_rows(comparison))


def _metric_cells(evaluations: Evaluations, baseline: str, metric: str) -> tuple[Cell, ...]:
    known = {
        name: report.metrics[metric]
        for name, report in evaluations.items()
        if metric in report.metrics
    }
    values = {name: estimate.value for name, estimate in known.items()}
    less_is_better = metric in words.LOWER_IS_BETTER
    best = (min if less_is_better else max)(values.values())
    cells = []
    for name in evaluations:
        if name not in known:
            cells.append(Cell(words.NOTHING))
            continue
        value, _, rest = words.interval(known[name]).partition(" ")
        is_best = len(set(values.values())) > 1 and values[name] == best
        change = _change(values, name, baseline)
        good = change.startswith("−") == less_is_better
        cells.append(Cell(value, rest, is_best, change, good))
    return tuple(cells)


def _change(values: Mapping[str, float], name: str, baseline: str) -> str:
    if name == baseline or baseline not in values:
        return ""
    change = words.signed(values[name] - values[baseline])
    return change if change.strip("+−0.") else ""


def _plain_cells(values: Mapping[str, float], baseline: str) -> tuple[Cell, ...]:
    cells = []
    for name, value in values.items():
        change = _change(values, name, baseline)
        cells.append(Cell(words.number(value), "", False, change, change.startswith("+")))
    return tuple(cells)


def _cost_rows(comparison: Comparison) -> list[Row]:
    rows = []
    for cost, title in words.COSTS.items():
        cells = tuple(
            _cost_cell(comparison.costs.get(name, {}), cost) for name in comparison.evaluations
        )
        if any(cell.text != words.NOTHING for cell in cells):
            rows.append((title, cells))
    return rows


def _cost_cell(costs: Costs, cost: str) -> Cell:
    return Cell(words.cost(cost, costs[cost]) if cost in costs else words.NOTHING)


def _metric_order(metric: str) -> tuple[int, str]:
    known = list(words.METRICS)
    return (known.index(metric) if metric in known else len(known), metric)


def _metric_label(metric: str) -> str:
    hint = " (less is better)" if metric in words.LOWER_IS_BETTER else ""
    return words.metric_name(metric) + hint


def parameter_rows(comparison: Comparison) -> tuple[Row, ...]:
    """What was chosen and how it was measured; rows in which runs differ come first."""
    facts = {name: _facts(report) for name, report in comparison.evaluations.items()}
    keys = dict.fromkeys(key for one in facts.values() for key in one)
    rows = []
    for key in keys:
        values = {name: one.get(key, words.NOTHING) for name, one in facts.items()}
        reference = values[comparison.baseline]
        cells = tuple(Cell(value, differs=value != reference) for value in values.values())
        rows.append((key, cells))
    return tuple(sorted(rows, key=lambda row: not any(cell.differs for cell in row[1])))


def _facts(report: EvaluationReport) -> dict[str, str]:
    return {
        "Family": words.family_name(report.family),
        **{key: str(value) for key, value in sorted(report.params.items())},
        "Decision threshold": f"{words.number(report.threshold)} ({report.threshold_rule})",
        "Rows trained on": f"{report.train_rows:,}",
        "Rows of the holdout": f"{report.holdout_rows:,}",
        "Candidates tried": str(len(report.candidates)),
    }


def laid_out(rows: tuple[Row, ...], runs: Sequence[str]) -> tuple[tuple[Row, ...], list[str]]:
    """Rows with the names of their columns: a column a run, or a row a run where they are many."""
    if len(runs) <= MOST_DRAWN:
        return rows, list(runs)
    by_run = zip(*(cells for _, cells in rows), strict=True)
    return tuple(zip(runs, by_run, strict=True)), [heading for heading, _ in rows]


def markdown_frame(rows: tuple[Row, ...], columns: list[str]) -> pd.DataFrame:
    """Rows as a frame of Markdown for a table on the screen."""
    return pd.DataFrame(
        [[_markdown(cell) for cell in cells] for _, cells in rows],
        index=[heading for heading, _ in rows],
        columns=columns,
    )


def _markdown(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.is_best else cell.text
    if cell.differs:
        text = f":orange-background[**{cell.text}**]"
    # Brackets would be read as a link by Markdown.
    parts = [text, cell.rest.replace("[", "\\[")]
    if cell.change:
        parts.append(f":{'green' if cell.change_is_good else 'red'}[{cell.change}]")
    return " ".join(part for part in parts if part)


def parallel_axes(comparison: Comparison) -> tuple[Axis, ...]:
    """Parameters, metrics and costs in which the runs differ, for parallel coordinates."""
    reports = comparison.evaluations
    facts: dict[str, dict[str, float | str | None]] = {
        "family": {name: words.family_short(report.family) for name, report in reports.items()}
    }
    for key in sorted({key for report in reports.values() for key in report.params}):
        facts[key] = {name: report.params.get(key) for name, report in reports.items()}
    chosen = [Axis(key, values) for key, values in facts.items() if _differ(values)]
    measured = []
    for metric in words.METRICS:
        values = {name: _value(report, metric) for name, report in reports.items()}
        if _differ(values):
            less = metric in words.LOWER_IS_BETTER
            measured.append(Axis(words.metric_name(metric), values, less))
    for cost, title in words.COSTS.items():
        spent = {name: comparison.costs.get(name, {}).get(cost) for name in reports}
        if _differ(spent):
            measured.append(Axis(title, spent, less_is_better=True))
    return (*chosen, *measured)


def _differ(values: Mapping[str, float | str | None]) -> bool:
    return len({value for value in values.values() if value is not None}) > 1


def _value(report: EvaluationReport, metric: str) -> float | None:
    if metric == "cv_auc":
        return report.cv_auc
    return report.metrics[metric].value if metric in report.metrics else None
