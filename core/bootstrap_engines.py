"""The part of the composition root that builds what takes long to import and few need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from core.adapters.openmp import lend_openmp
from core.monitoring.detector import Detector
from core.params_monitoring import PerformanceParams
from core.problems.contract import SearchSpace
from core.settings import silence_vendors
from core.training.adaptive import Proposer
from core.training.trials import ParamValue


def propose_by_tpe(space: SearchSpace, families: Sequence[str], trials: int, seed: int) -> Proposer:
    """Builds what chooses the trials of an adaptive search."""
    # Optuna takes a third of a second to import, and most processes never search.
    from core.adapters.optuna import TpeProposer

    return TpeProposer(space, families, trials, seed)


def explain_by_fanova(
    settings: Sequence[Mapping[str, ParamValue]], values: Sequence[float]
) -> Mapping[str, float]:
    """Tells how much of the variance of ``values`` each parameter explains."""
    from core.adapters.optuna import explain_by_fanova as explain

    return explain(settings, values)


def build_detector() -> Detector:
    """Builds what tells drift and estimates performance."""
    # NannyML takes seconds to import, and only a check needs it.
    silence_vendors()
    lend_openmp()
    from core.adapters.nannyml_detector import NannymlDetector

    return NannymlDetector()


def estimate_performance(
    reference: pa.Table, answered: pa.Table, threshold: float, params: PerformanceParams
) -> tuple[float | None, str]:
    """Estimates the first metric of a version; see ``EstimatePerformance``."""
    # As above; only the worker needs it, and only while a canary runs.
    silence_vendors()
    lend_openmp()
    from core.adapters.nannyml_cbpe import estimate

    return estimate(reference, answered, threshold, params)
