"""The comparison as files to take away: CSV for a spreadsheet, HTML for a reader."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from html import escape

import altair as alt
import pandas as pd

from app import charts
from app.compare.slices import slices_frame
from app.compare.tables import Cell, Row, laid_out, metric_rows, parallel_axes, parameter_rows
from app.compare.values import Comparison, drawn_sentence, judged_sentence
from app.components import words
from core.data.spreadsheets import harmless
from core.problems.contract import Label
from core.training.comparison import AucComparison, Incomparable
from core.training.verdicts import slices_summary, verdict_sentence

_WIDTH = 430
#: The panel's colours in its light theme.
_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#B0568D", "#B8860B", "#5A6772"]

_STYLE = """
:root{font:15px/1.5 system-ui,sans-serif;color:#16242b;background:#fff}
body{max-width:1200px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.7rem;margin-bottom:0}h2{font-size:1.25rem;margin-top:2.2rem}
.note{color:#5a6772;font-size:.9rem}.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .8rem .3rem 0;border-bottom:1px solid #d5dee3;text-align:left}
.best{font-weight:600}.differs{background:#fdebd3;padding:0 .3rem;border-radius:.25rem}
.good{color:#0a7d4f}.bad{color:#b4360a}
.charts{display:grid;gap:1.2rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,430px),1fr))}
.charts svg{max-width:100%;height:auto}
"""


def comparison_csv(comparison: Comparison) -> str:
    """One row a run: settings, metrics with their intervals, costs, the verdict."""
    rows = [_flat(comparison, name) for name in comparison.evaluations]
    header = list(dict.fromkeys(key for row in rows for key in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, header, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows([{key: harmless(value) for key, value in row.items()} for row in rows])
    return out.getvalue()


def table_csv(frame: pd.DataFrame, run_ids: Sequence[str]) -> str:
    """The table of runs as it is shown, with each run's full id."""
    text = frame.drop(columns=["Age"], errors="ignore").map(harmless)
    text.insert(0, "run_id", list(run_ids))
    if "Duration" in text.columns:
        text["Duration"] = frame["Duration"].dt.total_seconds()
    out: str = text.rename(columns={"Duration": "Duration (s)"}).to_csv(index=False)
    return out


def _flat(comparison: Comparison, name: str) -> dict[str, object]:
    report = comparison.evaluations[name]
    row: dict[str, object] = {
        "run_id": comparison.run_ids[name],
        "run": name,
        "is_baseline": name == comparison.baseline,
        "family": report.family,
        **{f"model.{key}": value for key, value in sorted(report.params.items())},
        "threshold": report.threshold,
        "cv_auc": report.cv_auc,
    }
    for metric, estimate in report.metrics.items():
        row |= {
            metric: estimate.value,
            f"{metric}_low": estimate.low,
            f"{metric}_high": estimate.high,
        }
    row |= report.confusion.model_dump() | dict(comparison.costs.get(name, {}))
    verdict = comparison.verdicts.get(name)
    if isinstance(verdict, AucComparison):
        row |= {f"auc_comparison.{key}": value for key, value in asdict(verdict).items()}
    return row


def comparison_html(comparison: Comparison, title: str, label: Label, made_at: datetime) -> str:
    """One page that needs no other file and no network: tables, sentences and pictures."""
    head = escape(f"{title}: {words.count(len(comparison.evaluations), 'run')} compared")
    names = list(comparison.evaluations)
    cut = drawn_sentence(comparison) if comparison.is_cut else ""
    parts = [
        f"<h1>{head}</h1>",
        f'<p class="note">Made {escape(words.clock(made_at))} by Pilothouse. '
        f"Baseline: {escape(comparison.baseline)}</p>",
        _note(judged_sentence(comparison)),
        *_verdicts(comparison),
        "<h2>Metrics on the holdout</h2>",
        _table(*laid_out(metric_rows(comparison), names)),
        "<h2>Parameters</h2>",
        _table(*laid_out(parameter_rows(comparison), names)),
        f"<h2>Charts</h2>{_note(cut)}",
        f'<div class="charts">{"".join(_pictures(comparison, label))}</div>',
        *_slices(comparison),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{head}</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>' if text else ""


def _verdicts(comparison: Comparison) -> list[str]:
    said = []
    for name, verdict in comparison.verdicts.items():
        if isinstance(verdict, Incomparable):
            text = escape(f"{name}: {verdict.reason}")
        else:
            text = escape(verdict_sentence(name, comparison.baseline, verdict))
        said.append(f"<p>{text}</p>")
    return said


def _table(rows: tuple[Row, ...], names: list[str]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in ["", *names])
    body = "".join(
        f"<tr><th>{escape(heading)}</th>{''.join(map(_cell, cells))}</tr>"
        for heading, cells in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _cell(cell: Cell) -> str:
    marks = " ".join(name for name, on in (("best", cell.is_best), ("differs", cell.differs)) if on)
    text = f'<span class="{marks}">{escape(cell.text)}</span> {escape(cell.rest)}'
    if cell.change:
        kind = "good" if cell.change_is_good else "bad"
        text += f' <span class="{kind}">{escape(cell.change)}</span>'
    return f"<td>{text}</td>"


def _slices(comparison: Comparison) -> list[str]:
    parts = []
    for name, slices in comparison.slices.items():
        table = slices_frame(slices).to_html(
            index=False, border=0, float_format="{:.3f}".format, na_rep="–"
        )
        parts += [
            f"<h2>Slices: {escape(name)} against the baseline</h2>",
            f"<p>{escape(slices_summary(slices))}</p>",
            f'<div class="wide">{table}</div>',
        ]
    return parts


def _pictures(comparison: Comparison, label: Label) -> list[str]:
    runs, bands = comparison.drawn, comparison.bands
    drawings: list[alt.Chart | alt.LayerChart] = [
        charts.metrics_chart(runs),
        charts.roc_chart(runs, bands),
        charts.precision_recall_chart(runs, bands),
        charts.calibration_chart(runs, bands),
    ]
    if axes := parallel_axes(comparison):
        drawings.append(charts.parallel_chart(axes, list(comparison.evaluations)))
    for name, report in runs.items():
        before = None if name == comparison.baseline else runs[comparison.baseline].confusion
        drawings.append(
            charts.confusion_chart(
                report.confusion,
                positive=label.positive_meaning,
                negative=label.negative_meaning,
                title=name,
                baseline=before,
            )
        )
    drawings += [
        charts.weights_chart(report.weights, kind=report.weight_kind, title=name)
        for name, report in runs.items()
    ]
    return [_svg(one) for one in drawings]


def _svg(chart: alt.Chart | alt.LayerChart) -> str:
    out = io.StringIO()
    themed = chart.properties(width=_WIDTH).configure(
        background="white", range=alt.RangeConfig(category=_COLOURS)
    )
    # vl-convert, behind this, renders in the process, without a browser or a network.
    themed.save(out, format="svg")
    return out.getvalue()
