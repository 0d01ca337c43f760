"""The marked regions of docs/report.md, as Markdown: pure functions of the collected figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from benchmarks.report import replace_figures
from core.training.report import Candidate, EvaluationReport
from core.training.resources_page import advice_lines, markdown_table, totals_table
from core.training.sweep_report import SweepReport
from core.wording import METRICS, NOTHING, count, family_name
from reporting import diagram
from reporting.pictures import (
    ARCHITECTURE,
    candidates_name,
    days_name,
    drifting,
    holdout_name,
    ranked,
    words,
)
from reporting.results import Day, Results, Trained

#: Folder of the report's pictures and figures, beside it.
FOLDER = "report"


def with_regions(page: str, results: Results, sweep: SweepReport) -> str:
    """Returns the page with every marked region written anew; all else stays.

    Raises:
        ValueError: a region has no marks.
    """
    for name, text in regions(results, sweep).items():
        page = replace_figures(page, name, text)
    return page


def regions(results: Results, sweep: SweepReport) -> Mapping[str, str]:
    """Every region: its name -> what stands between its marks."""
    told: Mapping[str, Callable[[], Iterator[str]]] = {
        "summary": lambda: _summary(results),
        "architecture": _architecture,
        "runs": lambda: _runs(results),
        "data": lambda: _data(results),
        "candidates": lambda: _each(results, _candidates),
        "holdout": lambda: _each(results, _holdout),
        "days": lambda: _days(results),
        "resources": lambda: _resources(sweep),
        "benchmarks": lambda: _benchmarks(results),
    }
    return {name: "\n".join(lines()).strip("\n") for name, lines in told.items()}


def _summary(results: Results) -> Iterator[str]:
    header = ["problem", "rows", "best family", "cross-validated AUC", "AUC of the holdout"]
    header += ["accuracy of the holdout", "furthest from Spark"]
    rows = []
    for one in results.trained:
        report = one.report
        rows.append(
            (
                one.title,
                f"{report.train_rows + report.holdout_rows:,}",
                family_name(report.family),
                _with_error(_chosen(report)),
                _with_interval(report, "auc"),
                _with_interval(report, "accuracy"),
                f"{report.parity.max_difference:.0e}",
            )
        )
    yield from markdown_table(header, rows)


def _architecture() -> Iterator[str]:
    yield diagram.mermaid(diagram.ARCHITECTURE)


def _runs(results: Results) -> Iterator[str]:
    commit, dash, dirty = results.git_commit.partition("-")
    versions = ", ".join(f"{one.title} `{one.data_version}`" for one in results.trained)
    yield f"Commit `{commit[:12]}{dash}{dirty}`. {results.conditions} Data: {versions}."


def _data(results: Results) -> Iterator[str]:
    header = ["problem", "to train on", "holdout", "inputs", "derived", "a positive is"]
    header += ["columns with missing values", "found by soft rules"]
    rows = []
    for one in results.trained:
        report = one.report
        gaps = [f"{c.column} {c.missing / c.rows:.0%}" for c in report.columns if c.missing]
        positives = _positives(report)
        rows.append(
            (
                one.title,
                f"{report.train_rows:,}",
                f"{report.holdout_rows:,}",
                f"{one.inputs}",
                f"{one.derived}",
                f"{one.positive_meaning}, {positives:.0%} of the holdout",
                ", ".join(gaps) or "none",
                "; ".join(one.findings) or "nothing",
            )
        )
    yield from markdown_table(header, rows)


def _positives(report: EvaluationReport) -> float:
    found = report.confusion
    return (found.true_positive + found.false_negative) / report.holdout_rows


def _each(results: Results, told: Callable[[Trained], Iterator[str]]) -> Iterator[str]:
    for one in results.trained:
        yield f"#### {one.title}"
        yield ""
        yield from told(one)


def _candidates(one: Trained) -> Iterator[str]:
    report = one.report
    yield from _picture(candidates_name(report.problem), f"{one.title}: AUC of the candidates")
    header = ["family", "parameters", "mean AUC ± standard error", "folds", "time of its fits"]
    rows = [
        (
            family_name(c.family) + (" (chosen)" if c.index == _chosen(report).index else ""),
            words(c),
            _with_error(c),
            ", ".join(f"{auc:.3f}" for auc in c.fold_auc) + (" (given up)" if c.pruned else ""),
            f"{c.seconds:.0f} s",
        )
        for c in ranked(report)
    ]
    yield from markdown_table(header, rows)


def _chosen(report: EvaluationReport) -> Candidate:
    return ranked(report)[0]


def _with_error(one: Candidate) -> str:
    error = NOTHING if one.standard_error is None else f"{one.standard_error:.4f}"
    return f"{one.mean_auc:.4f} ± {error}"


def _with_interval(report: EvaluationReport, metric: str) -> str:
    found = report.metrics[metric]
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _holdout(one: Trained) -> Iterator[str]:
    report = one.report
    yield from _picture(
        holdout_name(report.problem), f"{one.title}: ROC, precision and recall, calibration"
    )
    header = ["metric", "holdout", f"{report.confidence:.0%} interval"]
    rows = [
        (name, f"{found.value:.4f}", f"{found.low:.4f} to {found.high:.4f}")
        for metric, name in METRICS.items()
        if (found := report.metrics.get(metric)) is not None
    ]
    yield from markdown_table(header, rows)
    c = report.confusion
    yield (
        f"The threshold {report.threshold:.3f} maximises {report.threshold_rule} on out-of-fold "
        f"predictions. There the holdout has {c.true_positive:,} true and "
        f"{c.false_positive:,} false positives, {c.true_negative:,} true and "
        f"{c.false_negative:,} false negatives. The exported model differs from Spark by at most "
        f"{report.parity.max_difference:.1e} in probability over "
        f"{count(report.parity.rows, 'record')} ({report.parity.tolerance:.0e} is allowed)."
    )
    yield ""


def _days(results: Results) -> Iterator[str]:
    for seen in results.courses:
        yield f"#### {seen.title}"
        yield ""
        yield f"Arrivals: {seen.arrival}."
        yield ""
        yield from _picture(days_name(seen.problem), f"{seen.title}: drift and performance by day")
        columns = drifting(seen)[:2]
        header = ["day", "rows", "verdict", *(f"PSI of {name}" for name in columns)]
        header += [f"estimated {seen.metric.upper()}", f"realized {seen.metric.upper()}", "says"]
        yield from markdown_table(header, [_day(day, columns) for day in seen.days])


def _day(day: Day, columns: list[str]) -> tuple[str, ...]:
    psi = [f"{day.psi[name]:.3f}" if name in day.psi else NOTHING for name in columns]
    estimate = NOTHING if day.estimated is None else f"{day.estimated:.3f}"
    return (
        f"{day.number}",
        f"{day.rows:,}",
        day.level.value,
        *psi,
        estimate,
        f"{day.realized:.3f}",
        day.summary,
    )


def _resources(sweep: SweepReport) -> Iterator[str]:
    yield (
        f"Measured on {sweep.started_at:%Y-%m-%d} on {sweep.physical_cores} physical cores: "
        f"{sweep.problem}, {sweep.train_rows} training rows, {sweep.folds} folds."
    )
    yield ""
    yield from totals_table(sweep)
    yield from advice_lines(sweep)


def _benchmarks(results: Results) -> Iterator[str]:
    header = ["benchmark", "target", "limit", "measured", ""]
    rows = [
        (one.title, aim.what, aim.limit, aim.measured, aim.outcome)
        for one in results.benchmarks
        for aim in one.aims
    ]
    yield from markdown_table(header, rows)


def _picture(name: str, what: str) -> Iterator[str]:
    yield f"![{what}]({FOLDER}/{name}.png)"
    yield ""


def picture_of_architecture() -> str:
    """Where the picture lies that stands in the PDF for the diagram."""
    return f"{FOLDER}/{ARCHITECTURE}.png"
