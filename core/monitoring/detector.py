"""What NannyML is asked, as a port: samples of both sides in, values of the report out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pandas as pd

from core.monitoring.chunks import Cut
from core.monitoring.report import MethodDrift, Multivariate
from core.monitoring.report_performance import Calibration, MetricPerformance
from core.params_monitoring import DriftParams, PerformanceParams


@dataclass(frozen=True, eq=False)
class Sample:
    """Both sides as NannyML takes them.

    Frames have rows in order of time and a plain index from 0; numbers are float64 with NaN,
    categories objects with NaN for missing. Beside the inputs they hold ``probability`` and
    ``label``, the true one as 0.0 or 1.0 with NaN where it is not known.
    """

    reference: pd.DataFrame
    analysis: pd.DataFrame
    reference_cut: Cut
    analysis_cut: Cut
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    #: Probability from which on the predicted label is positive.
    threshold: float


@dataclass(frozen=True)
class Performed:
    """What is known of the model's performance.

    ``reference_error`` is the first metric's estimate minus what was realized, on rows of the
    reference that the estimator did not learn from.
    """

    metrics: tuple[MetricPerformance, ...]
    calibration: Calibration | None
    reference_error: float | None
    notes: tuple[str, ...] = ()


class Detector(Protocol):
    """What says how far the analysis is from the reference.

    Nothing that it is given makes it fail: what it cannot compute, it says in a note.
    """

    def univariate(
        self, sample: Sample, params: DriftParams
    ) -> Mapping[str, Sequence[MethodDrift]]:
        """Every method of every input and of the probability, by column."""

    def reconstruction(self, sample: Sample) -> Multivariate:
        """The reconstruction error of all inputs together."""

    def domain_classifier(self, sample: Sample) -> Multivariate:
        """How well a classifier tells the two sides apart, as AUC."""

    def performance(self, sample: Sample, params: PerformanceParams, seed: int) -> Performed:
        """Estimated and realized performance."""
