"""From the values that a problem lists for a parameter to the range they span."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.training.trials import ParamValue

#: Values whose largest is more than this many times the smallest are searched by order
#: of magnitude.
DECADE = 10.0
#: What a model can tell apart, and a person can read.
SIGNIFICANT_DIGITS = 4


@dataclass(frozen=True)
class Choice:
    """One of these values; they have no order."""

    values: tuple[ParamValue, ...]


@dataclass(frozen=True)
class Range:
    """A number between two, both inclusive.

    ``log`` spreads values by order of magnitude. ``or_zero`` adds 0, which has none.
    """

    low: float
    high: float
    integer: bool
    log: bool = False
    or_zero: bool = False

    def rounded(self, value: float) -> float:
        """Returns ``value`` with four significant digits, still within the range."""
        return min(max(float(f"{value:.{SIGNIFICANT_DIGITS}g}"), self.low), self.high)


Dimension = Choice | Range


def dimension_of(values: Sequence[ParamValue]) -> Dimension:
    """Returns what ``values`` span: a range if they are different numbers."""
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < len(values) or len(set(numbers)) < 2:
        return Choice(tuple(dict.fromkeys(values)))
    integer = all(isinstance(v, int) for v in numbers)
    positive = [v for v in numbers if v > 0]
    if min(numbers) >= 0 and positive and max(positive) / min(positive) > DECADE:
        or_zero = 0 in numbers
        return Range(min(positive), max(positive), integer, log=True, or_zero=or_zero)
    return Range(min(numbers), max(numbers), integer)
