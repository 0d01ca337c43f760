"""Performance by NannyML: estimated without labels by CBPE, realized where labels are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from nannyml.calibration import IsotonicCalibrator, needs_calibration
from nannyml.chunk import Chunker
from nannyml.performance_estimation import CBPE
from nannyml.thresholds import StandardDeviationThreshold
from sklearn.model_selection import StratifiedKFold

from core.adapters.nannyml_cbpe import (
    build_estimator,
    estimate_whole,
    frame_of,
    lacks_labels,
    plain_number,
)
from core.adapters.nannyml_chunks import Rows, quiet, reason_of, run_calculator
from core.data.batch_files import LABEL
from core.monitoring.calibration import calibration_error, calibration_error_by_chance
from core.monitoring.chunks import Cut, cut_reference, whole
from core.monitoring.detector import Performed, Sample
from core.monitoring.report import PROBABILITY
from core.monitoring.report_performance import (
    BAND_ERRORS,
    NANNYML_NAMES,
    Calibration,
    MetricCourse,
    MetricPerformance,
)
from core.monitoring.scatter import auc_standard_error
from core.params_monitoring import PerformanceParams
from core.training.evaluation import point_metrics

CALIBRATION_FOLDS = 5
#: Rows on which the estimate is held against what was realized; more take long.
MOST_ROWS_OF_HALVES = 20_000


def performance(sample: Sample, params: PerformanceParams, seed: int) -> Performed:
    """Every metric, estimated on all rows and realized on the labelled ones."""
    reference = frame_of(sample.reference, sample.threshold)
    if note := lacks_labels(reference):
        return Performed((), None, None, (note,))
    analysis = frame_of(sample.analysis, sample.threshold)

    def build(chunker: Chunker) -> CBPE:
        return build_estimator(params, chunker)

    try:
        rows = run_calculator(build, reference, analysis, sample)
        calibration = _calibration(reference, seed)
        error = _reference_error(reference, params, seed)
    except Exception as exc:  # noqa: BLE001 - the rest of the check does not depend on it
        return Performed((), None, None, (f"no performance estimate: {reason_of(exc)}",))
    labels = _count_labels(sample)
    values = _realized(reference, whole(len(reference)), sample.threshold)
    parts = cut_reference(len(reference), whole(len(analysis)))
    of_parts = _realized(reference, parts, sample.threshold)
    metrics = tuple(
        _told(
            metric,
            rows,
            values[metric][0],
            _lower_threshold(of_parts.get(metric, [])),
            labels,
            params,
        )
        for metric in params.metrics
    )
    return Performed(metrics, calibration, error)


def _realized(reference: pd.DataFrame, cut: Cut, threshold: float) -> dict[str, list[float]]:
    """Metrics of parts of the reference: metric -> one value a part that has both labels."""
    label, probability = reference[LABEL].to_numpy(), reference[PROBABILITY].to_numpy()
    found: dict[str, list[float]] = {}
    for begin, end in cut.spans:
        if np.unique(label[begin:end]).size == 2:
            told = point_metrics(label[begin:end], probability[begin:end], threshold)
            for name, value in told.items():
                found.setdefault(NANNYML_NAMES.get(name, name), []).append(value)
    return found


def _lower_threshold(values: Sequence[float]) -> float | None:
    """NannyML's: three standard deviations below the mean of parts of the reference."""
    if not values:
        return None
    lower, _ = StandardDeviationThreshold().thresholds(np.array(values))
    return plain_number(lower)


def _reference_error(reference: pd.DataFrame, params: PerformanceParams, seed: int) -> float | None:
    """Estimated minus realized by the first metric, on halves learned from each other."""
    order = np.random.default_rng(seed).permutation(len(reference))[:MOST_ROWS_OF_HALVES]
    first = params.model_copy(update={"metrics": params.metrics[:1]})
    one, other = (reference.iloc[np.sort(half)] for half in np.array_split(order, 2))
    errors = []
    for learned_from, told_of in ((one, other), (other, one)):
        row = estimate_whole(
            learned_from.reset_index(drop=True), told_of.reset_index(drop=True), first
        )
        metric = params.metrics[0]
        estimated = plain_number(row[metric, "value"])
        realized = plain_number(row[metric, "realized"])
        if estimated is None or realized is None:
            return None
        errors.append(estimated - realized)
    return float(np.mean(errors))


def _calibration(reference: pd.DataFrame, seed: int) -> Calibration:
    """Calibration on the reference; after recalibration on rows it did not see."""
    label = reference[LABEL].to_numpy(np.float64)
    probability = reference[PROBABILITY].to_numpy(np.float64)
    with quiet():
        is_needed = bool(needs_calibration(label, probability, IsotonicCalibrator()))
    before = calibration_error(label, probability)
    after = before
    if is_needed:
        after = calibration_error(label, _recalibrated(label, probability, seed))
    return Calibration(
        error_before=before,
        error_after=after,
        error_by_chance=calibration_error_by_chance(probability),
        recalibrated=is_needed,
    )


def _recalibrated(
    label: npt.NDArray[np.float64], probability: npt.NDArray[np.float64], seed: int
) -> npt.NDArray[np.float64]:
    """Probabilities recalibrated out of fold, shape (rows,)."""
    recalibrated = np.empty_like(probability)
    folds = StratifiedKFold(CALIBRATION_FOLDS, shuffle=True, random_state=seed)
    for learned_from, told_of in folds.split(probability, label):
        calibrator = IsotonicCalibrator()
        calibrator.fit(probability[learned_from], label[learned_from])
        recalibrated[told_of] = calibrator.calibrate(probability[told_of])
    return recalibrated


@dataclass(frozen=True)
class _Labels:
    """Labelled rows: of every chunk of both sides, of the analysis, and the positive ones."""

    of_chunks: tuple[int, ...]
    arrived: int
    positives: int


def _count_labels(sample: Sample) -> _Labels:
    sides = ((sample.reference, sample.reference_cut), (sample.analysis, sample.analysis_cut))
    label = sample.analysis[LABEL]
    return _Labels(
        of_chunks=tuple(count for frame, cut in sides for count in _labelled(frame, cut)),
        arrived=int(label.notna().sum()),
        positives=int((label == 1.0).sum()),
    )


def _labelled(frame: pd.DataFrame, cut: Cut) -> list[int]:
    known = frame[LABEL].notna().to_numpy()
    return [int(known[begin:end].sum()) for begin, end in cut.spans]


def _told(
    metric: str,
    rows: Rows,
    reference_value: float,
    whole_threshold: float | None,
    labels: _Labels,
    params: PerformanceParams,
) -> MetricPerformance:
    low, high = rows.value(metric, "lower_threshold"), rows.value(metric, "upper_threshold")
    return MetricPerformance(
        metric=metric,
        reference_value=reference_value,
        lower_threshold=low,
        upper_threshold=high,
        whole_threshold=whole_threshold,
        estimated=_course_of_estimates(metric, rows),
        realized=_course_of_realized(metric, rows, labels, (low, high), params),
    )


def _course_of_estimates(metric: str, rows: Rows) -> MetricCourse:
    value = rows.value(metric, "value")
    return MetricCourse(
        value=value,
        low=rows.value(metric, "lower_confidence_boundary"),
        high=rows.value(metric, "upper_confidence_boundary"),
        rows=rows.rows,
        chunk_values=rows.course(metric, "value"),
        chunk_lows=rows.course(metric, "lower_confidence_boundary"),
        chunk_highs=rows.course(metric, "upper_confidence_boundary"),
        chunk_alerts=rows.alerts(metric, "alert"),
        note="" if value is not None else "NannyML found no value",
    )


def _course_of_realized(
    metric: str,
    rows: Rows,
    labels: _Labels,
    thresholds: tuple[float | None, float | None],
    params: PerformanceParams,
) -> MetricCourse | None:
    """Where too few labels are known there is no value; ``None`` where there are none."""
    arrived = labels.arrived
    if not arrived:
        return None
    values = tuple(
        value if known >= params.minimum_labels else None
        for value, known in zip(rows.course(metric, "realized"), labels.of_chunks, strict=True)
    )
    value, low, high, note = rows.value(metric, "realized"), None, None, ""
    if arrived < params.minimum_labels:
        value, note = None, f"not enough labels ({arrived} of {params.minimum_labels})"
    error = _standard_error(metric, value, rows, labels)
    if value is not None and error is not None:
        low, high = value - BAND_ERRORS * error, value + BAND_ERRORS * error
    return MetricCourse(
        value=value,
        low=low,
        high=high,
        rows=arrived,
        chunk_values=values,
        chunk_alerts=tuple(
            number >= rows.reference_chunks and one is not None and _is_beyond(one, thresholds)
            for number, one in enumerate(values)
        ),
        note=note,
    )


def _standard_error(metric: str, value: float | None, rows: Rows, labels: _Labels) -> float | None:
    if metric == "roc_auc" and value is not None:
        return auc_standard_error(value, labels.positives, labels.arrived - labels.positives)
    error = rows.value(metric, "sampling_error")
    # NannyML's is for all rows; labels are of some.
    return None if error is None else error * float(np.sqrt(rows.rows / labels.arrived))


def _is_beyond(value: float, thresholds: tuple[float | None, float | None]) -> bool:
    low, high = thresholds
    return (low is not None and value < low) or (high is not None and value > high)
