"""Whether a version gives again what it answered: logged and replayed probabilities, compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.problems.contract import Label
from core.scoring.bundle import BundleFacts
from core.wording import count

#: A model computes in float32, whose numbers near 1 lie 1.2e-7 apart (2**-23). On the same
#: machine the same bytes give the same bits; another processor, or another release of
#: onnxruntime, may add the terms of a sum in another order, which moves the last places of
#: the margin. This is eight units in the last place. A wrong model is off by far more.
TOLERANCE = 1e-6

Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ReplayedRow:
    """One record: what was answered, and what the version says of it now."""

    index: int
    logged: float
    replayed: float
    logged_label: int | str
    replayed_label: int | str
    difference: float


@dataclass(frozen=True)
class Replay:
    """What became of scoring a request again; ``rows`` are those of the page that is shown."""

    same: bool
    #: What ``same`` rests on, for people.
    summary: str
    records: int
    greatest_difference: float
    #: Where it is.
    greatest_at: int
    changed_labels: int
    tolerance: float
    #: Decision threshold of the version.
    threshold: float
    #: Of the ONNX file that scored.
    model_sha256: str
    rows: tuple[ReplayedRow, ...]


def compare(
    logged: Probabilities,
    replayed: Probabilities,
    facts: BundleFacts,
    label: Label,
    shown: slice,
) -> Replay:
    """Holds replayed probabilities, shape (records,), against the logged ones.

    A difference that is not a number counts as 1, the largest there can be. Besides the
    probabilities the labels have to be the same, since they were part of the answer.

    Raises:
        ValueError: there is nothing to compare, or the shapes differ.
    """
    if logged.shape != replayed.shape or logged.size == 0:
        raise ValueError(f"cannot compare {logged.shape} with {replayed.shape}")
    difference = np.abs(logged - replayed)
    difference = np.where(np.isnan(difference), 1.0, difference)
    positive = logged >= facts.threshold, replayed >= facts.threshold
    changed = int((positive[0] != positive[1]).sum())
    greatest_at = int(difference.argmax())
    greatest = float(difference[greatest_at])
    rows = tuple(
        ReplayedRow(
            index=index,
            logged=float(logged[index]),
            replayed=float(replayed[index]),
            logged_label=label.positive if positive[0][index] else label.negative,
            replayed_label=label.positive if positive[1][index] else label.negative,
            difference=float(difference[index]),
        )
        for index in range(logged.size)[shown]
    )
    return Replay(
        same=greatest <= TOLERANCE and changed == 0,
        summary=_summary(logged.size, greatest, greatest_at, changed),
        records=logged.size,
        greatest_difference=greatest,
        greatest_at=greatest_at,
        changed_labels=changed,
        tolerance=TOLERANCE,
        threshold=facts.threshold,
        model_sha256=facts.model_sha256,
        rows=rows,
    )


def _summary(records: int, greatest: float, greatest_at: int, changed: int) -> str:
    if greatest <= TOLERANCE and not changed:
        return (
            f"The same: {count(records, 'record')}, greatest difference {greatest:.1e}, "
            f"within the round-off of float32 ({TOLERANCE:.0e})."
        )
    where = f"greatest difference {greatest:.1e}, in record {greatest_at}"
    if greatest > TOLERANCE:
        where += f", above the round-off of float32 ({TOLERANCE:.0e})"
    return (
        f"Not the same: {count(records, 'record')}, {where}; "
        f"{count(changed, 'record')} with another label."
    )
