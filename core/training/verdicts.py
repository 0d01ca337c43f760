"""Which run is better, where it got worse, and how surely, in words."""

from __future__ import annotations

from collections.abc import Sequence

from core.training.comparison import AucComparison, SliceComparison
from core.wording import count, signed

#: A slice is called better or worse from this probability on.
SURE = 0.95
_MOST_SAID = 0.99

WORSE, BETTER = "▼ worse", "▲ better"
CANNOT_TELL, TOO_SMALL, ONE_CLASS = "≈ cannot tell", "· too small to tell", "· one class only"


def probability(value: float) -> str:
    """A share of resamples, never said to be certain."""
    if value > _MOST_SAID:
        return f"more than {_MOST_SAID}"
    return f"{value:.2f}"


def verdict_sentence(candidate: str, baseline: str, found: AucComparison) -> str:
    """``v4 is better than v3 with probability 0.93: …``, whichever is the better one."""
    first, second, share = candidate, baseline, found.probability_better
    if share < 0.5:
        first, second, share = baseline, candidate, 1 - share
    sentence = (
        f"{first} is better than {second} with probability {probability(share)}."
        if share > 0.5
        else f"{first} and {second} rank the holdout's rows alike."
    )
    return (
        f"{sentence} Against the baseline: AUC {signed(found.difference)}, "
        f"{found.confidence:.0%} interval {signed(found.low)} to {signed(found.high)}, "
        f"on the same {count(found.rows, 'row')}. {_conclusion(found)}"
    )


def _conclusion(found: AucComparison) -> str:
    if found.low > 0:
        return "The interval lies above zero: the difference is more than chance."
    if found.high < 0:
        return "The interval lies below zero: the difference is more than chance."
    return "The interval holds zero: this holdout alone does not settle it."


def slice_verdict(one: SliceComparison) -> str:
    """What a slice says of the candidate."""
    if one.too_small:
        return TOO_SMALL
    if one.probability_better is None:
        return ONE_CLASS
    if one.probability_better <= 1 - SURE:
        return WORSE
    return BETTER if one.probability_better >= SURE else CANNOT_TELL


def slices_summary(slices: Sequence[SliceComparison]) -> str:
    """How many slices got better or worse, and which are worst, in one sentence."""
    said = [slice_verdict(one) for one in slices]
    worse = [
        f"{one.column} {one.value}" for one, word in zip(slices, said, strict=True) if word == WORSE
    ]
    better, small = said.count(BETTER), said.count(TOO_SMALL)
    head = f"{count(len(worse), 'slice')} got worse"
    head += f" ({', '.join(worse)})" if worse else ""
    tail = f", {better} better, {small} too small to tell" if small else f", {better} better"
    return f"{head}{tail}, of {len(slices)} in all."
