"""NannyML as the detector of drift and the estimator of performance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.adapters import nannyml_drift, nannyml_performance
from core.monitoring.detector import Performed, Sample
from core.monitoring.report import MethodDrift, Multivariate
from core.params_monitoring import DriftParams, PerformanceParams


class NannymlDetector:
    """Answers by NannyML; see ``Detector``."""

    def univariate(
        self, sample: Sample, params: DriftParams
    ) -> Mapping[str, Sequence[MethodDrift]]:
        """Every method of every input and of the probability, by column."""
        return nannyml_drift.univariate(sample, params)

    def reconstruction(self, sample: Sample) -> Multivariate:
        """The reconstruction error of all inputs together."""
        return nannyml_drift.reconstruction(sample)

    def domain_classifier(self, sample: Sample) -> Multivariate:
        """How well a classifier tells the two sides apart, as AUC."""
        return nannyml_drift.domain_classifier(sample)

    def performance(self, sample: Sample, params: PerformanceParams, seed: int) -> Performed:
        """Estimated and realized performance."""
        return nannyml_performance.performance(sample, params, seed)
