"""What evidence says, in words that the panel, the dossier and the model card share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.domain import Verdict
from core.promotion.evidence import (
    AucDifference,
    Cause,
    Difference,
    Evidence,
    ModelIdentity,
    RowsComparison,
    RowSet,
    SliceRates,
)
from core.promotion.evidence_costs import TrainingCost
from core.training.report import Estimate
from core.training.verdicts import probability
from core.wording import NOTHING, count, interval, number, signed

#: The larger the set of rows, the more it settles.
_MOST_TELLING = (RowSet.BOTH, RowSet.HOLDOUT, RowSet.HELD_BACK)
_MOST_NAMED = 4


@dataclass(frozen=True)
class Finding:
    """One sentence and what it means for the candidate; ``None`` where it means nothing."""

    text: str
    verdict: Verdict | None = None
    #: How it is known, where that does not go without saying.
    detail: str = ""


def headline(evidence: Evidence) -> tuple[Finding, ...]:
    """What the candidate is worth: quality first, then slices, then what it costs."""
    found = [quality(evidence), *_slices(evidence), *_cost(evidence), *_latency(evidence)]
    return tuple(found)


def names(evidence: Evidence) -> tuple[str, str]:
    """Candidate and incumbent in few letters; the latter is a dash where there is none."""
    incumbent = f"v{evidence.incumbent.version}" if evidence.incumbent else NOTHING
    return f"v{evidence.candidate.version}", incumbent


def most_telling(evidence: Evidence) -> RowsComparison | None:
    """The comparison that settles most, if any rows could be compared at all."""
    by_rows = {one.rows_of: one for one in evidence.comparisons}
    ordered = (by_rows[rows_of] for rows_of in _MOST_TELLING if rows_of in by_rows)
    return next((one for one in ordered if one.difference is not None), None)


def quality(evidence: Evidence) -> Finding:
    """By how much the candidate's AUC differs, how surely, and on which rows."""
    candidate, incumbent = names(evidence)
    if evidence.incumbent is None:
        return Finding(f"Nothing is in Production that {candidate} could be held against.")
    telling = most_telling(evidence)
    if telling is None or telling.difference is None:
        why = next((one.note for one in evidence.comparisons if one.note), "")
        text = f"{candidate} and {incumbent} could not be compared row by row: cannot tell."
        return Finding(text, Verdict.CANNOT_TELL, why)
    found = telling.difference
    return Finding(
        f"{candidate}'s AUC is {signed(found.value)} against {incumbent}'s: {surely(found)}.",
        _meaning(found),
        f"{found.confidence:.0%} interval {span(found)}, better with probability "
        f"{probability(found.probability_better)}, on {rows_sentence(telling)}.",
    )


def surely(found: Difference) -> str:
    """Whether a difference is more than chance, by its interval."""
    if found.low > 0:
        return "surely better"
    return "surely worse" if found.high < 0 else "cannot tell, the interval holds zero"


def _meaning(found: AucDifference) -> Verdict:
    if found.low > 0:
        return Verdict.PASS
    return Verdict.FAIL if found.high < 0 else Verdict.CANNOT_TELL


def span(found: Difference) -> str:
    """The interval of a difference, such as ``−0.004 to +0.021``."""
    return f"{signed(found.low)} to {signed(found.high)}"


def difference(found: Difference | None) -> str:
    """A difference with its interval; a dash where there is none."""
    return f"{signed(found.value)} [{span(found)}]" if found else NOTHING


def rows_sentence(one: RowsComparison) -> str:
    """How many rows of which kind, and whether they are a sample."""
    text = f"{count(one.rows, 'row')} of {where(one.rows_of)}"
    if one.available_rows > one.rows:
        text += f", sampled from {one.available_rows:,}"
    return text


def where(rows_of: RowSet) -> str:
    """A set of rows in the middle of a sentence."""
    if rows_of is RowSet.BOTH:
        return "the holdout and the held-back fifth together"
    return f"the {rows_of.value}"


def worse_slices(evidence: Evidence) -> tuple[SliceRates, ...]:
    """Slices that lose more than is allowed, worst first."""
    slices = evidence.judged.slices if evidence.judged else ()
    return tuple(one for one in slices if one.verdict is Verdict.FAIL and not one.too_small)


def slice_name(one: SliceRates) -> str:
    """A slice in few words, such as ``colour blue``."""
    return f"{one.column} {one.value}"


def _slices(evidence: Evidence) -> list[Finding]:
    if evidence.judged is None:
        return []
    worse = worse_slices(evidence)
    told = [one for one in evidence.judged.slices if not one.too_small]
    unsure = sum(one.verdict is Verdict.CANNOT_TELL for one in told)
    tail = f"; for {unsure} the rows are too few to tell" if unsure else ""
    if not worse:
        text = f"No slice of {len(told)} surely loses more than is allowed{tail}."
        return [Finding(text, Verdict.CANNOT_TELL if unsure else Verdict.PASS)]
    named = ", ".join(slice_name(one) for one in worse[:_MOST_NAMED])
    more = f" and {len(worse) - _MOST_NAMED} more" if len(worse) > _MOST_NAMED else ""
    lose = "loses" if len(worse) == 1 else "lose"
    text = f"{count(len(worse), 'slice')} of {len(told)} {lose} more than is allowed: {named}{more}"
    return [Finding(f"{text}{tail}.", Verdict.FAIL)]


def _cost(evidence: Evidence) -> list[Finding]:
    spent = evidence.costs.candidate
    if spent.core_seconds is None:
        return []
    _, incumbent = names(evidence)
    text = f"Training cost {spent.core_seconds:,.0f} core-seconds"
    before = evidence.costs.incumbent
    if before is not None and before.core_seconds is not None:
        text += f" ({incumbent}: {before.core_seconds:,.0f})"
    return [Finding(f"{text}.")]


def _latency(evidence: Evidence) -> list[Finding]:
    if evidence.latency is None:
        return []
    _, incumbent = names(evidence)
    text = f"A record takes {milliseconds(evidence.latency.candidate.single_p50_ms)}"
    before = evidence.latency.incumbent
    if before is not None:
        text += f" ({incumbent}: {milliseconds(before.single_p50_ms)})"
    return [Finding(f"{text}, without HTTP.")]


def milliseconds(value: float) -> str:
    """A time of scoring, to a hundredth."""
    return f"{value:.2f} ms"


def share(value: float | None) -> str:
    """Precision or recall; a dash where undefined."""
    return NOTHING if value is None else number(value)


def amount(value: float | None, unit: str) -> str:
    """What was spent, with its unit; a dash where it is not known."""
    return NOTHING if value is None else f"{value:,.0f} {unit}"


def cost_rows(
    candidate: TrainingCost, incumbent: TrainingCost | None
) -> tuple[tuple[str, str, str], ...]:
    """What training cost, name by name, of the candidate and of the incumbent."""

    def told(one: TrainingCost | None) -> tuple[str, ...]:
        if one is None:
            return (NOTHING,) * 4
        return (
            amount(one.core_seconds, "core-seconds"),
            amount(one.seconds, "s"),
            amount(one.peak_memory_mb, "MiB"),
            one.profile or NOTHING,
        )

    titles = ("Core time of Spark", "Wall time", "Peak memory of Spark", "Resource profile")
    return tuple(zip(titles, told(candidate), told(incumbent), strict=True))


def metric(of: ModelIdentity | None, name: str) -> str:
    """A metric with its interval; a dash where it is not known."""
    estimate: Estimate | None = of.metrics.get(name) if of else None
    return NOTHING if estimate is None else interval(estimate)


def cause_sentence(cause: Cause) -> str:
    """The check behind a retrain, in words."""
    looked = f"batch {cause.batch_id[:8]}" if cause.batch_id else f"the last {cause.window}"
    level = cause.level.value if cause.level else "no report is left"
    rows = f", {count(cause.rows, 'row')}" if cause.rows is not None else ""
    return f"Check {cause.check_id[:8]} of {looked}{rows}: {level}. {cause.summary}".strip()


def identity_rows(models: Sequence[ModelIdentity | None]) -> tuple[tuple[str, ...], ...]:
    """What each model is and where it comes from, name by name."""

    def told(one: ModelIdentity | None) -> tuple[str, ...]:
        if one is None:
            return (NOTHING,) * len(_IDENTITY)
        batches = ", ".join(f"{b.id[:8]} ({count(b.rows, 'row')})" for b in one.trained_on)
        rows = NOTHING if one.train_rows is None else f"{one.train_rows:,}"
        known = (one.run_id, one.data_version, batches, rows, one.git_commit, one.code_digest)
        sums = (one.model_sha256, one.bundle_sha256, one.contract_fingerprint)
        return tuple(value or NOTHING for value in (*known, *sums))

    return tuple(zip(_IDENTITY, *(told(one) for one in models), strict=True))


_IDENTITY = (
    "Run",
    "Data version",
    "Batches learned from",
    "Rows trained on",
    "Git commit",
    "Digest of the code",
    "SHA-256 of the model",
    "SHA-256 of the bundle",
    "Fingerprint of the contract",
)
