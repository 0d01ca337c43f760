"""What a promotion request is decided on: one frozen value, kept as JSON beside the model.

Differences are candidate minus incumbent. What could not be measured is ``None``, and a note
says why. Every set of rows is one that neither model was trained on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import ValidationError

from core.domain import GateResult, Verdict
from core.domain_watching import Level
from core.errors import ConflictError
from core.frozen import Finite
from core.promotion.evidence_costs import Costs, LatencyComparison
from core.training.report import CalibrationBin, Confusion, Estimate

#: Raised when a field changes its meaning; readers know what they read by it.
FORMAT: Literal[1] = 1


class RowSet(StrEnum):
    """Rows on which both models are held against each other."""

    HOLDOUT = "holdout"
    HELD_BACK = "held-back fifth of labelled batches"
    BOTH = "both together"


class BatchRows(Finite):
    """Rows of one batch."""

    id: str
    rows: int


class ModelIdentity(Finite):
    """One of the two models: what it is, where it comes from, how it did on its holdout.

    Texts are empty and values ``None`` where they are not known.
    """

    version: int
    run_id: str
    family: str
    #: Hyper-parameters of the family.
    params: Mapping[str, float | int | str]
    #: Probability of the positive class from which on the label is positive.
    threshold: float | None
    #: SHA-256 of the ONNX bytes that answer, and of the page of facts beside them.
    model_sha256: str
    bundle_sha256: str
    #: Features that the ONNX model takes, in its order.
    inputs: tuple[str, ...]
    contract_fingerprint: str
    data_version: str
    git_commit: str
    #: SHA-256 over the source of the core and of the problems' packages.
    code_digest: str
    registered_at: datetime | None
    train_rows: int | None
    holdout_rows: int | None
    #: Batches it has learned from beside the problem's source.
    trained_on: tuple[BatchRows, ...]
    #: Metric -> value with interval, on its own holdout at ``threshold``.
    metrics: Mapping[str, Estimate]
    #: Level of these intervals, 0 to 1.
    confidence: float | None
    confusion: Confusion | None
    calibration: tuple[CalibrationBin, ...]


class Difference(Finite):
    """Candidate minus incumbent with a paired percentile bootstrap interval."""

    value: float
    low: float
    high: float


class AucDifference(Difference):
    """A difference in AUC, and how surely the candidate is better.

    ``probability_better`` is as in ``core.training.comparison``, ``probability_by_margin``
    the share of the resamples in which the candidate leads by the asked margin or more.
    """

    probability_better: float
    probability_by_margin: float
    samples: int
    confidence: float


class RowsComparison(Finite):
    """Both models on one set of rows."""

    rows_of: RowSet
    rows: int
    positives: int
    #: Rows there are; more than ``rows`` where a seeded sample was taken.
    available_rows: int
    #: Of the held-back rows, the batches they come from.
    batches: tuple[BatchRows, ...] = ()
    candidate_auc: float | None = None
    incumbent_auc: float | None = None
    difference: AucDifference | None = None
    #: Why there is no difference.
    note: str = ""


class Rates(Finite):
    """Precision and recall of one model at its own threshold, 0 to 1; None where undefined."""

    precision: float | None
    recall: float | None


class ClassRates(Finite):
    """Both models on one class of the label."""

    #: Whether it is the positive class.
    positive: bool
    #: The label as the contract spells it.
    label: str
    #: Rows of the class.
    rows: int
    candidate: Rates
    incumbent: Rates
    precision_difference: Difference | None
    recall_difference: Difference | None
    verdict: Verdict


class SliceRates(Finite):
    """Both models, on the positive class, on the rows where ``column`` is ``value``."""

    column: str
    value: str
    rows: int
    positives: int
    candidate: Rates
    incumbent: Rates
    precision_difference: Difference | None
    recall_difference: Difference | None
    verdict: Verdict
    #: Too few rows to say anything; such a slice decides nothing.
    too_small: bool


class Calibration(Finite):
    """Expected calibration error of both, 0 to 1; see ``core.monitoring.calibration``."""

    rows: int
    candidate: float
    incumbent: float
    difference: Difference
    #: What the candidate would show on so many rows, were it calibrated perfectly.
    by_chance: float


class Judged(Finite):
    """Both models beyond their AUC, on the rows ``rows_of``."""

    rows_of: RowSet
    classes: tuple[ClassRates, ...]
    #: Those that lost most first, those that are too small last.
    slices: tuple[SliceRates, ...]
    calibration: Calibration


class Parity(Finite):
    """How far the candidate, as it would serve, is from the Spark pipeline it came from.

    ``spark_difference`` is the largest one between Spark and the export, measured by the run
    on the holdout and on generated records. ``served_difference`` is the largest one between
    the export then and the registered bytes now, on the rows of the holdout.
    """

    spark_rows: int
    spark_difference: float
    served_rows: int
    served_difference: float

    @property
    def max_difference(self) -> float:
        """No row of the holdout differs by more, by the triangle inequality."""
        return self.spark_difference + self.served_difference


class DriftedFeature(Finite):
    """A column that stands out in the check behind a retrain."""

    column: str
    psi: float | None
    level: Level


class Cause(Finite):
    """What has led to the run, where the retraining policy has started it."""

    #: The last check before it; empty where there was none.
    check_id: str
    #: What the retraining policy said for it.
    why: str
    #: ``None`` where the report of the check is gone.
    level: Level | None
    summary: str
    #: What was checked: one of the two.
    batch_id: str | None
    window: str | None
    rows: int | None
    #: Those that drift most first.
    features: tuple[DriftedFeature, ...]
    #: SHA-256 of the check's whole report as it was then; empty where the report was gone, or
    #: in evidence of a release that did not keep it.
    report_sha256: str = ""


class Evidence(Finite):
    """Everything that a decision on a candidate rests on."""

    format: Literal[1] = FORMAT
    request_id: str
    problem: str
    opened_at: datetime
    requested_by: str
    run_started_by: str
    candidate: ModelIdentity
    #: ``None`` where nothing is in production.
    incumbent: ModelIdentity | None
    #: One of each ``RowSet``, in its order.
    comparisons: tuple[RowsComparison, ...]
    #: ``None`` where the two models have no rows in common.
    judged: Judged | None
    latency: LatencyComparison | None
    costs: Costs
    parity: Parity | None
    cause: Cause | None
    gates: tuple[GateResult, ...] = ()
    #: What could not be measured, and why; one sentence each.
    notes: tuple[str, ...] = ()

    def comparison(self, rows_of: RowSet) -> RowsComparison:
        """Both models on one of the sets of rows."""
        (found,) = [one for one in self.comparisons if one.rows_of is rows_of]
        return found

    def canonical(self) -> bytes:
        """The JSON that is frozen and hashed: keys sorted, no spaces, UTF-8."""
        values = self.model_dump(mode="json")
        text = json.dumps(
            values, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        )
        return text.encode()


def sha256_of(frozen: bytes) -> str:
    """SHA-256 of frozen evidence, in hex."""
    return hashlib.sha256(frozen).hexdigest()


def parse(frozen: bytes, sha256: str) -> Evidence:
    """Reads frozen evidence and checks that it is what was frozen.

    Raises:
        ConflictError: the bytes have another SHA-256, or this release cannot read them.
    """
    if sha256_of(frozen) != sha256:
        raise ConflictError(
            "The evidence of this request was changed after it was frozen.",
            fix="Train the candidate again; the new version comes with evidence of its own.",
        )
    try:
        return Evidence.model_validate_json(frozen)
    except ValidationError as exc:
        raise ConflictError(
            "The evidence of this request was written by another release.",
            fix="Decide on it with that release, or train the candidate again.",
        ) from exc
