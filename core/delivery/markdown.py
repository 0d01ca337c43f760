"""The report of a delivery as Markdown, for a pull request: a pure function.

Charts are Mermaid's, because a comment cannot show a file that a workflow has kept; the
figures themselves lie beside the report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from core.delivery.thresholds import failures
from core.domain import GateResult, Verdict
from core.training.report import Curve, EvaluationReport
from core.wording import METRICS, NOTHING, count, family_name, signed

#: By it a later comment finds the earlier one.
HEADING = "## What the pipeline has made"
MARKS = {Verdict.PASS: "✅", Verdict.FAIL: "❌", Verdict.CANNOT_TELL: "❔"}
#: Points of a chart; Mermaid spaces them evenly.
POINTS = 21


@dataclass(frozen=True)
class Judged:
    """What the pipeline has made of one problem, and what is to be said of it."""

    report: EvaluationReport
    #: ``None`` where the commit that is compared with has none.
    earlier: EvaluationReport | None
    verdicts: tuple[GateResult, ...]
    #: What the soft rules of the contract have found, one sentence each.
    findings: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[GateResult, ...]:
        """What keeps it from being delivered."""
        return failures(self.verdicts)

    @property
    def passes(self) -> bool:
        """Whether nothing does."""
        return not self.failures


def delivery_report(judged: Sequence[Judged], commit: str, base: str) -> str:
    """The whole report.

    Args:
        judged: one a problem.
        commit: that of the code.
        base: the commit that is compared with; empty where none is.
    """
    against = f", compared with `{base}`" if base else ""
    parts = [HEADING, f"Commit `{commit}`{against}.", *(_problem(one) for one in judged)]
    return "\n\n".join(parts) + "\n"


def _problem(one: Judged) -> str:
    report = one.report
    mark = MARKS[Verdict.PASS if one.passes else Verdict.FAIL]
    told = (
        f"{family_name(report.family)}, trained on {count(report.train_rows, 'row')}, measured on "
        f"{count(report.holdout_rows, 'row')} of the holdout, {report.confidence:.0%} intervals."
    )
    parts = [
        f"### {mark} {report.problem}",
        told,
        "\n".join(_metrics(one)),
        "\n".join(_verdicts(one.verdicts)),
        "\n".join(_confusion(report)),
        _chart(
            "ROC of the holdout",
            "false positive rate",
            "true positive rate",
            _curves(one, lambda found: found.roc),
        ),
        _chart(
            "Precision and recall of the holdout",
            "recall",
            "precision",
            _curves(one, lambda found: found.precision_recall),
        ),
    ]
    if one.earlier is not None:
        parts.append("In both charts the first line is this commit, the second the earlier one.")
    if one.findings:
        parts.append("Soft rules of the contract:\n\n" + "\n".join(f"- {f}" for f in one.findings))
    return "\n\n".join(parts)


def _metrics(one: Judged) -> Iterator[str]:
    yield "| metric | earlier | now | interval | change |"
    yield "| --- | ---: | ---: | :---: | ---: |"
    for name, words in METRICS.items():
        now = one.report.metrics.get(name)
        if now is None:
            continue
        then = one.earlier.metrics.get(name) if one.earlier else None
        before = NOTHING if then is None else f"{then.value:.4f}"
        change = NOTHING if then is None else signed(now.value - then.value, 4)
        interval = f"{now.low:.4f} to {now.high:.4f}"
        yield f"| {words} | {before} | {now.value:.4f} | {interval} | {change} |"


def _verdicts(verdicts: Sequence[GateResult]) -> Iterator[str]:
    yield "| | threshold | reason |"
    yield "| --- | --- | --- |"
    for one in verdicts:
        kind = "" if one.hard else " (told, not asked)"
        yield f"| {MARKS[one.verdict]} | {one.gate}{kind} | {one.reason} |"


def _confusion(report: EvaluationReport) -> Iterator[str]:
    found = report.confusion
    yield f"| at {report.threshold:.3f} | said positive | said negative |"
    yield "| --- | ---: | ---: |"
    yield f"| is positive | {found.true_positive:,} | {found.false_negative:,} |"
    yield f"| is negative | {found.false_positive:,} | {found.true_negative:,} |"


def _curves(one: Judged, of: Callable[[EvaluationReport], Curve]) -> list[Curve]:
    return [of(found) for found in (one.report, one.earlier) if found is not None]


def _chart(title: str, x: str, y: str, curves: Sequence[Curve]) -> str:
    lines = [
        "```mermaid",
        "xychart-beta",
        f'  title "{title}"',
        f'  x-axis "{x}" 0 --> 1',
        f'  y-axis "{y}" 0 --> 1',
        *(f"  line [{', '.join(f'{v:.3f}' for v in even(curve))}]" for curve in curves),
        "```",
    ]
    return "\n".join(lines)


def even(curve: Curve, points: int = POINTS) -> tuple[float, ...]:
    """Heights of a curve at evenly spaced x from 0 to 1, straight between its points.

    Of several points at one x the highest counts; before the first and after the last point
    the curve goes on as it was there.
    """
    highest: dict[float, float] = {}
    for x, y in zip(curve.x, curve.y, strict=True):
        highest[x] = max(y, highest.get(x, y))
    known = sorted(highest)
    at = np.linspace(0.0, 1.0, points)
    return tuple(map(float, np.interp(at, known, [highest[x] for x in known])))
