"""The tables of a dossier: both models side by side, one table a question."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from core.domain import GateResult
from core.problems.contract import Problem
from core.promotion import evidence_words as words
from core.promotion.document import Section, Table, Text, table, toned
from core.promotion.evidence import ClassRates, Evidence, Judged, SliceRates
from core.training.report import Confusion
from core.training.verdicts import probability
from core.wording import LOWER_IS_BETTER, METRICS, NOTHING, count, family_name, metric_name, number


def gates_table(gates: Sequence[GateResult]) -> Table:
    """Every gate with what was measured against what limit."""
    rows = [
        (
            f"{gate.gate} (hard)" if gate.hard else gate.gate,
            toned(gate.verdict),
            _measure(gate.measured),
            _measure(gate.limit),
            gate.reason,
        )
        for gate in gates
    ]
    note = "A hard gate cannot be passed over; any other may be, by a person with a reason."
    return table(("Gate", "Verdict", "Measured", "Limit", "Reason"), rows, note)


def _measure(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.4g}".replace("-0", "−0")


def comparisons_table(evidence: Evidence) -> Table:
    """The AUC of both on each set of rows, with the paired difference."""
    candidate, incumbent = words.names(evidence)
    rows = [
        (
            one.rows_of.value,
            f"{one.rows:,}",
            number_or_dash(one.candidate_auc),
            number_or_dash(one.incumbent_auc),
            words.difference(one.difference),
            probability(one.difference.probability_better) if one.difference else one.note,
        )
        for one in evidence.comparisons
    ]
    header = ("Rows of", "Rows", f"AUC {candidate}", f"AUC {incumbent}", "Difference", "P(better)")
    return table(header, rows, _how(evidence))


def _how(evidence: Evidence) -> str:
    known = words.most_telling(evidence)
    if known is None or known.difference is None:
        return ""
    drawn = known.difference
    return (
        f"Paired bootstrap with {drawn.samples:,} resamples of the same rows; in brackets the "
        f"{drawn.confidence:.0%} interval. Neither model was trained on any of these rows."
    )


def metrics_table(evidence: Evidence) -> Table:
    """Metrics of both with their intervals, family and threshold."""
    models = (evidence.candidate, evidence.incumbent)
    present = dict.fromkeys(chain.from_iterable(m.metrics for m in models if m))
    ordered = sorted(present, key=lambda name: (name not in METRICS, [*METRICS, name].index(name)))
    rows = [
        (metric_title(name), *(words.metric(model, name) for model in models)) for name in ordered
    ]
    settings = [
        ("Model family", *(family_name(model.family) if model else NOTHING for model in models)),
        (
            "Decision threshold",
            *(number_or_dash(model.threshold) if model else NOTHING for model in models),
        ),
    ]
    confidence = evidence.candidate.confidence
    note = f"In brackets the {confidence:.0%} bootstrap interval." if confidence else ""
    return table(("", *words.names(evidence)), [*rows, *settings], note)


def metric_title(metric: str) -> str:
    """A metric in words, and which way is better where it is not the usual one."""
    return metric_name(metric) + (" (less is better)" if metric in LOWER_IS_BETTER else "")


def confusions_blocks(problem: Problem, evidence: Evidence) -> tuple[Text | Table, ...]:
    """The confusion matrices of both at their thresholds, as counts."""
    label = problem.contract.label
    rows = []
    for name, model in zip(
        words.names(evidence), (evidence.candidate, evidence.incumbent), strict=True
    ):
        if model is not None and model.confusion is not None:
            rows += _confusion(
                name, model.confusion, label.positive_meaning, label.negative_meaning
            )
    if not rows:
        return (Text("Neither model has one."),)
    header = ("", "Actual", f"Predicted {label.positive_meaning}")
    return (table((*header, f"Predicted {label.negative_meaning}"), rows),)


def _confusion(
    name: str, cells: Confusion, positive: str, negative: str
) -> list[tuple[str, str, str, str]]:
    return [
        (name, positive, f"{cells.true_positive:,}", f"{cells.false_negative:,}"),
        (name, negative, f"{cells.false_positive:,}", f"{cells.true_negative:,}"),
    ]


def judged_sections(problem: Problem, evidence: Evidence) -> tuple[Section, ...]:
    """Classes, slices and calibration, as far as both have rows in common."""
    judged = evidence.judged
    if judged is None:
        return ()
    rows_of = f"On {words.where(judged.rows_of)}."
    return (
        Section("Classes", (Text(rows_of), _classes(problem, judged.classes, evidence))),
        Section("Slices", (Text(rows_of), _slices(judged.slices, evidence))),
        Section("Calibration", (_calibration(judged, evidence),)),
    )


def _classes(problem: Problem, classes: Sequence[ClassRates], evidence: Evidence) -> Table:
    label = problem.contract.label
    rows = [
        (
            label.positive_meaning if one.positive else label.negative_meaning,
            toned(one.verdict),
            f"{one.rows:,}",
            *_pair(one),
        )
        for one in classes
    ]
    return table(("Class", "Verdict", "Rows", *_pair_header(evidence)), rows)


def _slices(slices: Sequence[SliceRates], evidence: Evidence) -> Table:
    told = [one for one in slices if not one.too_small]
    rows = [
        (words.slice_name(one), toned(one.verdict), f"{one.rows:,}", *_pair(one)) for one in told
    ]
    small = len(slices) - len(told)
    note = "Precision and recall of the positive class, each model at its own threshold."
    note += f" {count(small, 'slice')} too small to tell left out." if small else ""
    return table(("Slice", "Verdict", "Rows", *_pair_header(evidence)), rows, note)


def _pair_header(evidence: Evidence) -> tuple[str, str, str]:
    candidate, incumbent = words.names(evidence)
    return (
        f"Precision {candidate} / {incumbent}",
        f"Recall {candidate} / {incumbent}",
        "Differences",
    )


def _pair(one: ClassRates | SliceRates) -> tuple[str, str, str]:
    after, before = one.candidate, one.incumbent
    precision, recall = one.precision_difference, one.recall_difference
    told = [
        f"{name} {words.difference(found)}"
        for name, found in (("precision", precision), ("recall", recall))
        if found is not None
    ]
    return (
        f"{words.share(after.precision)} / {words.share(before.precision)}",
        f"{words.share(after.recall)} / {words.share(before.recall)}",
        "; ".join(told) or NOTHING,
    )


def _calibration(judged: Judged, evidence: Evidence) -> Table:
    candidate, incumbent = words.names(evidence)
    found = judged.calibration
    rows = [
        (f"Calibration error of {candidate}", number(found.candidate, 4)),
        (f"Calibration error of {incumbent}", number(found.incumbent, 4)),
        ("Difference", words.difference(found.difference)),
        ("Expected by chance", number(found.by_chance, 4)),
    ]
    note = (
        f"Expected calibration error on {count(found.rows, 'row')}: how far predicted and "
        "observed rates lie apart; less is better. By chance: what perfect probabilities would "
        "show on so many rows."
    )
    return table(("", ""), rows, note)


def running_blocks(evidence: Evidence) -> tuple[Text | Table, ...]:
    """What scoring and training take, and how far the served model is from Spark."""
    rows: list[tuple[str, str, str]] = []
    if evidence.latency is not None:
        timed = (evidence.latency.candidate, evidence.latency.incumbent)
        for title, name in _LATENCIES:
            told = [words.milliseconds(getattr(t, name)) if t else NOTHING for t in timed]
            rows.append((title, told[0], told[1]))
    rows += words.cost_rows(evidence.costs.candidate, evidence.costs.incumbent)
    blocks: list[Text | Table] = [table(("", *words.names(evidence)), rows)]
    if evidence.parity is not None:
        parity = evidence.parity
        blocks.append(
            Text(
                f"Parity: the export differs from Spark by at most {tiny(parity.spark_difference)} "
                f"on {count(parity.spark_rows, 'record')}, what is served from the export by at "
                f"most {tiny(parity.served_difference)} on {count(parity.served_rows, 'record')}."
            )
        )
    return tuple(blocks)


_LATENCIES = (
    ("One record, median", "single_p50_ms"),
    ("One record, 95th percentile", "single_p95_ms"),
    ("1,000 records, median", "thousand_p50_ms"),
    ("1,000 records, 95th percentile", "thousand_p95_ms"),
)


def number_or_dash(value: float | None) -> str:
    """A number; a dash where there is none."""
    return NOTHING if value is None else number(value)


def tiny(value: float) -> str:
    """A difference that is nearly nothing, or nothing."""
    return f"{value:.1e}" if value else "0"
