"""Drift by NannyML: each column by itself, and all of them together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nannyml.chunk import Chunker
from nannyml.drift.multivariate.data_reconstruction import DataReconstructionDriftCalculator
from nannyml.drift.multivariate.domain_classifier import DomainClassifierCalculator
from nannyml.drift.univariate import UnivariateDriftCalculator
from nannyml.thresholds import StandardDeviationThreshold

from core.adapters.nannyml_chunks import LeastThreshold, reason_of, run_calculator
from core.monitoring.chunks import equal_parts
from core.monitoring.detector import Sample
from core.monitoring.report import PROBABILITY, MethodDrift, Multivariate
from core.params_monitoring import DriftParams

#: Distances between 0 and 1, for which a least value makes sense.
BOUNDED = frozenset({"jensen_shannon", "kolmogorov_smirnov", "hellinger", "l_infinity"})
RECONSTRUCTION, CLASSIFIER = "reconstruction_error", "domain_classifier_auroc"
#: A plane of one column reconstructs it without error.
FEWEST_COLUMNS = 2


def univariate(sample: Sample, params: DriftParams) -> Mapping[str, Sequence[MethodDrift]]:
    """Every method of every input and of the probability, each by itself.

    One calculator a column and method, because a calculator of many fails with its first.
    """
    methods = dict.fromkeys((*sample.numeric, PROBABILITY), params.continuous_methods)
    return {
        column: [_method(sample, column, name, params.least_distance) for name in names]
        for column, names in (
            *methods.items(),
            *dict.fromkeys(sample.categorical, params.categorical_methods).items(),
        )
    }


def _method(sample: Sample, column: str, method: str, least: float) -> MethodDrift:
    empty = _why_empty(sample, column)
    if empty:
        return _untold(method, empty)
    is_numeric = column not in sample.categorical

    def build(chunker: Chunker) -> UnivariateDriftCalculator:
        bounded = {method: LeastThreshold(least)} if method in BOUNDED else None
        return UnivariateDriftCalculator(
            column_names=[column],
            treat_as_numerical=[column] if is_numeric else None,
            treat_as_categorical=None if is_numeric else [column],
            continuous_methods=[method] if is_numeric else None,
            categorical_methods=None if is_numeric else [method],
            chunker=chunker,
            thresholds=bounded,
        )

    try:
        rows = run_calculator(build, sample.reference[[column]], sample.analysis[[column]], sample)
    except Exception as exc:  # noqa: BLE001 - whatever a column is like, the check goes on
        return _untold(method, reason_of(exc))
    value = rows.value(column, method, "value")
    if value is None:
        return _untold(method, "NannyML found no value")
    values = rows.course(column, method, "value")
    alerts = rows.alerts(column, method, "alert")
    return MethodDrift(
        method=method,
        value=value,
        lower_threshold=rows.value(column, method, "lower_threshold"),
        upper_threshold=rows.value(column, method, "upper_threshold"),
        alert=rows.alert(column, method, "alert"),
        chunk_values=values,
        # A chunk without a value may carry the alert of the one before it.
        chunk_alerts=tuple(a and v is not None for a, v in zip(alerts, values, strict=True)),
    )


def _why_empty(sample: Sample, column: str) -> str:
    if not sample.reference[column].notna().any():
        return "the reference has no values"
    if not sample.analysis[column].notna().any():
        return "no values arrived"
    return ""


def _untold(method: str, note: str) -> MethodDrift:
    return MethodDrift(
        method=method,
        value=None,
        lower_threshold=None,
        upper_threshold=None,
        alert=False,
        note=note,
    )


def reconstruction(sample: Sample) -> Multivariate:
    """How badly the reference's principal components describe what arrived."""
    columns = _telling(sample)
    if len(columns) < FEWEST_COLUMNS:
        return _untold_all("fewer than two inputs vary in the reference")

    def build(chunker: Chunker) -> DataReconstructionDriftCalculator:
        return DataReconstructionDriftCalculator(
            column_names=columns, chunker=chunker, threshold=StandardDeviationThreshold()
        )

    return _multivariate(sample, columns, build, RECONSTRUCTION)


def domain_classifier(sample: Sample) -> Multivariate:
    """AUC of a classifier that tells the two sides apart; 0.5 where it cannot.

    Its threshold is a constant, so the reference's chunks tell nothing; each would cost
    another classifier, and there are two in place of many.
    """
    columns = _telling(sample)
    if not columns:
        return _untold_all("no input varies in the reference")

    def build(chunker: Chunker) -> DomainClassifierCalculator:
        return DomainClassifierCalculator(feature_column_names=columns, chunker=chunker)

    halves = replace(sample, reference_cut=equal_parts(sample.reference_cut.rows, 2))
    found = _multivariate(halves, columns, build, CLASSIFIER)
    if not found.chunk_values:
        return found
    begin, untold = halves.reference_cut.size, sample.reference_cut.size
    return found.model_copy(
        update={
            "chunk_values": (*(None,) * untold, *found.chunk_values[begin:]),
            "chunk_alerts": (*(False,) * untold, *found.chunk_alerts[begin:]),
        }
    )


def _telling(sample: Sample) -> list[str]:
    """Inputs that vary in the reference; a constant one has no scale."""
    names = (*sample.numeric, *sample.categorical)
    return [name for name in names if sample.reference[name].nunique(dropna=True) > 1]


def _multivariate(
    sample: Sample, columns: list[str], build: Callable[[Chunker], Any], key: str
) -> Multivariate:
    try:
        rows = run_calculator(build, sample.reference[columns], sample.analysis[columns], sample)
    except Exception as exc:  # noqa: BLE001 - whatever the inputs are like, the check goes on
        return _untold_all(reason_of(exc))
    value = rows.value(key, "value")
    if value is None:
        return _untold_all("NannyML found no value")
    return Multivariate(
        value=value,
        lower_threshold=rows.value(key, "lower_threshold"),
        upper_threshold=rows.value(key, "upper_threshold"),
        alert=rows.alert(key, "alert"),
        chunk_values=rows.course(key, "value"),
        chunk_alerts=rows.alerts(key, "alert"),
    )


def _untold_all(note: str) -> Multivariate:
    return Multivariate(
        value=None, lower_threshold=None, upper_threshold=None, alert=False, note=note
    )
