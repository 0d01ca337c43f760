"""NannyML's CBPE: the performance of a classifier, estimated from its probabilities alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from nannyml.chunk import Chunker
from nannyml.performance_estimation import CBPE

from core.adapters.nannyml_chunks import CutChunker, quiet, reason_of
from core.data.batch_files import LABEL
from core.monitoring.chunks import whole
from core.monitoring.report import PROBABILITY
from core.params_monitoring import PerformanceParams

#: The label at the decision threshold, 0 or 1; in frames of the adapter only.
PREDICTION = "prediction"
#: Labels of each class that the reference needs, so that every fold has some of both.
FEWEST_OF_A_CLASS = 10


def estimate(
    reference: pa.Table, answered: pa.Table, threshold: float, params: PerformanceParams
) -> tuple[float | None, str]:
    """The first metric alone, estimated on all rows that were answered.

    Args:
        reference: ``probability`` out of fold and ``label`` (0 or 1) of what the version learned
            from.
        answered: ``probability`` of each row, at least one.
        threshold: probability from which on that version's label is positive.
        params: names the metrics.

    Returns:
        The value, or ``None`` and why there is none.
    """
    learned_from = frame_of(reference.to_pandas(), threshold)
    if note := lacks_labels(learned_from):
        return None, note
    told_of = frame_of(answered.to_pandas().assign(**{LABEL: np.nan}), threshold)
    first = params.model_copy(update={"metrics": params.metrics[:1]})
    try:
        row = estimate_whole(learned_from, told_of, first)
    except Exception as exc:  # noqa: BLE001 - nobody's rollout depends on it
        return None, reason_of(exc)
    value = plain_number(row[params.metrics[0], "value"])
    return value, "" if value is not None else "NannyML found no value"


def frame_of(side: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Probability, label and prediction of each row."""
    frame = side[[PROBABILITY, LABEL]].copy()
    frame[PREDICTION] = (frame[PROBABILITY] >= threshold).astype(int)
    return frame


def lacks_labels(reference: pd.DataFrame) -> str:
    """Why nothing can be learned from a reference; empty where something can."""
    rarest = min(int((reference[LABEL] == kind).sum()) for kind in (0.0, 1.0))
    if rarest >= FEWEST_OF_A_CLASS:
        return ""
    return f"the reference has {rarest} rows of its rarer label: no performance estimate"


def build_estimator(params: PerformanceParams, chunker: Chunker) -> CBPE:
    """CBPE of all metrics, not fitted yet."""
    return CBPE(
        metrics=list(params.metrics),
        y_pred_proba=PROBABILITY,
        y_pred=PREDICTION,
        y_true=LABEL,
        problem_type="classification_binary",
        chunker=chunker,
    )


def estimate_whole(
    learned_from: pd.DataFrame, told_of: pd.DataFrame, params: PerformanceParams
) -> Any:
    """What CBPE, fitted on the first, says of the second as a whole: a row of its result."""
    chunker = CutChunker(whole(len(learned_from)))
    with quiet():
        estimator = build_estimator(params, chunker).fit(learned_from)
        chunker.cut = whole(len(told_of))
        return estimator.estimate(told_of).data.iloc[-1]


def plain_number(value: Any) -> float | None:
    """A number of NannyML's; ``None`` where it is none."""
    return float(value) if value is not None and np.isfinite(value) else None
