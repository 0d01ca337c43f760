"""NannyML's calculators on chunks that we cut, and what they return as plain values."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from nannyml.chunk import Chunk, Chunker
from nannyml.thresholds import StandardDeviationThreshold

from core.monitoring.chunks import Cut, whole
from core.monitoring.detector import Sample

MOST_WORDS = 160


class CutChunker(Chunker):
    """Cuts whatever it is given where ``cut`` says.

    A calculator keeps one chunker for both sides, so ``cut`` is set anew between them.
    """

    def __init__(self, cut: Cut) -> None:
        super().__init__()
        self.cut = cut

    def _split(self, data: pd.DataFrame) -> list[Chunk]:
        if len(data) != self.cut.rows:
            raise ValueError(f"{len(data)} rows cannot be cut as {self.cut.rows}")
        return [
            Chunk(key=str(number), data=data.iloc[begin:end], start_index=begin, end_index=end - 1)
            for number, (begin, end) in enumerate(self.cut.spans)
        ]


class LeastThreshold(StandardDeviationThreshold, type="pilothouse_least"):  # type: ignore[call-arg]
    """Three standard deviations above the mean of the reference's chunks, at least ``least``."""

    def __init__(self, least: float) -> None:
        super().__init__(std_lower_multiplier=None)
        self._least = least

    def thresholds(self, data: Any, **kwargs: Any) -> tuple[float | None, float | None]:
        """Lower and upper threshold; there is no lower one."""
        _, upper = super().thresholds(data, **kwargs)
        return None, upper if upper is None else max(upper, self._least)


@dataclass(frozen=True, eq=False)
class Rows:
    """What a calculator said, one row a chunk: reference, analysis, and the analysis whole."""

    reference: pd.DataFrame
    analysis: pd.DataFrame
    whole: pd.DataFrame
    #: Rows of the analysis.
    rows: int

    @property
    def reference_chunks(self) -> int:
        """Chunks of the reference, which come first in every course."""
        return len(self.reference)

    def course(self, *key: str) -> tuple[float | None, ...]:
        """A value over the chunks of both sides, in order."""
        return (*_plain(self.reference[key]), *_plain(self.analysis[key]))

    def alerts(self, *key: str) -> tuple[bool, ...]:
        """An alert over the chunks of both sides; the reference's own scatter raises none."""
        return (*(False for _ in range(self.reference_chunks)), *_flags(self.analysis[key]))

    def value(self, *key: str) -> float | None:
        """A value of the whole analysis."""
        return _plain(self.whole[key])[0]

    def alert(self, *key: str) -> bool:
        """Whether the whole analysis raises an alert."""
        return _flags(self.whole[key])[0]


def run_calculator(
    build: Callable[[Chunker], Any], reference: pd.DataFrame, analysis: pd.DataFrame, sample: Sample
) -> Rows:
    """Fits what ``build`` makes on the reference and runs it on the analysis, twice.

    ``reference`` and ``analysis`` are columns of the sample's frames.
    """
    chunker = CutChunker(sample.reference_cut)
    with quiet():
        calculator = build(chunker).fit(reference)
        run = getattr(calculator, "estimate", None) or calculator.calculate
        chunker.cut = sample.analysis_cut
        told = run(analysis).data
        chunker.cut = whole(len(analysis))
        of_all = run(analysis).data
    begin = sample.reference_cut.size
    return Rows(told.iloc[:begin], told.iloc[begin:], of_all.iloc[begin:], len(analysis))


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps NannyML's advice on chunks and thresholds off our logs; it is not an operator's."""
    logger = logging.getLogger("nannyml")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def reason_of(exc: Exception) -> str:
    """Why NannyML could not compute something, in one line."""
    line = str(exc).strip().splitlines()[-1:] or [type(exc).__name__]
    return f"NannyML could not compute it: {line[0][:MOST_WORDS]}"


def _plain(values: Any) -> list[float | None]:
    numbers = pd.to_numeric(pd.Series(np.asarray(values)), errors="coerce").to_numpy(float)
    return [float(number) if np.isfinite(number) else None for number in numbers]


def _flags(values: Any) -> list[bool]:
    return [value is True or value is np.True_ or value == 1 for value in np.asarray(values)]
