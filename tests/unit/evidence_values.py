"""Evidence for tests: a candidate that reaches everything, to be changed in one place."""

from __future__ import annotations

from datetime import UTC, datetime

from core.domain import Verdict
from core.domain_watching import Level
from core.promotion.evidence import (
    AucDifference,
    Calibration,
    Cause,
    ClassRates,
    Difference,
    DriftedFeature,
    Evidence,
    Judged,
    ModelIdentity,
    Parity,
    Rates,
    RowsComparison,
    RowSet,
    SliceRates,
)
from core.promotion.evidence_costs import Costs, Latency, LatencyComparison, TrainingCost
from core.training.report import CalibrationBin, Confusion, Estimate

FINGERPRINT = "f" * 64


def identity(version: int, **changed: object) -> ModelIdentity:
    """A version that is known in full."""
    made = ModelIdentity(
        version=version,
        run_id=f"{version:032x}",
        family="gbt",
        params={"maxDepth": 3, "stepSize": 0.1},
        threshold=0.45,
        model_sha256=f"{version:064x}",
        bundle_sha256=f"{version + 1:064x}",
        inputs=("weight", "colour"),
        contract_fingerprint=FINGERPRINT,
        data_version="md5:1",
        git_commit="0" * 40,
        code_digest="c" * 64,
        registered_at=datetime(2026, 11, 1, tzinfo=UTC),
        train_rows=800,
        holdout_rows=200,
        trained_on=(),
        metrics={"auc": Estimate(value=0.86, low=0.8, high=0.91)},
        confidence=0.95,
        confusion=Confusion(
            true_positive=80, false_positive=10, true_negative=90, false_negative=20
        ),
        calibration=(CalibrationBin(mean_predicted=0.4, observed_rate=0.5, rows=200),),
    )
    return made.model_copy(update=changed)


def difference(value: float, spread: float = 0.01) -> Difference:
    return Difference(value=value, low=value - spread, high=value + spread)


def auc_difference(low: float, high: float) -> AucDifference:
    return AucDifference(
        value=(low + high) / 2,
        low=low,
        high=high,
        probability_better=0.9,
        probability_by_margin=0.8,
        samples=1000,
        confidence=0.95,
    )


def comparison(
    low: float = 0.01, high: float = 0.03, *, rows: int = 200, positives: int = 80
) -> RowsComparison:
    return RowsComparison(
        rows_of=RowSet.BOTH,
        rows=rows,
        positives=positives,
        available_rows=rows,
        candidate_auc=0.88,
        incumbent_auc=0.86,
        difference=auc_difference(low, high),
    )


def slice_rates(
    value: str = "blue",
    recall: float = 0.0,
    verdict: Verdict = Verdict.PASS,
    *,
    too_small: bool = False,
) -> SliceRates:
    return SliceRates(
        column="colour",
        value=value,
        rows=60,
        positives=30,
        candidate=Rates(precision=0.8, recall=0.7),
        incumbent=Rates(precision=0.8, recall=0.7 - recall),
        precision_difference=None,
        recall_difference=difference(recall),
        verdict=verdict,
        too_small=too_small,
    )


def class_rates(positive: bool, verdict: Verdict = Verdict.PASS) -> ClassRates:
    return ClassRates(
        positive=positive,
        label="sweet" if positive else "sour",
        rows=80 if positive else 120,
        candidate=Rates(precision=0.8, recall=0.7),
        incumbent=Rates(precision=0.79, recall=0.72),
        precision_difference=difference(0.01),
        recall_difference=difference(-0.02),
        verdict=verdict,
    )


def judged(**changed: object) -> Judged:
    made = Judged(
        rows_of=RowSet.BOTH,
        classes=(class_rates(True), class_rates(False)),
        slices=(slice_rates(),),
        calibration=Calibration(
            rows=200,
            candidate=0.05,
            incumbent=0.045,
            difference=difference(0.005),
            by_chance=0.04,
        ),
    )
    return made.model_copy(update=changed)


def latency(single_ms: float = 0.05, thousand_ms: float = 4.0) -> Latency:
    return Latency(
        single_p50_ms=single_ms / 2,
        single_p95_ms=single_ms,
        thousand_p50_ms=thousand_ms / 2,
        thousand_p95_ms=thousand_ms,
    )


def timed(candidate: Latency, incumbent: Latency | None) -> LatencyComparison:
    return LatencyComparison(
        candidate=candidate,
        incumbent=incumbent,
        single_repetitions=200,
        thousand_repetitions=20,
    )


def cost(core_seconds: float | None = 120.0) -> TrainingCost:
    return TrainingCost(
        core_seconds=core_seconds, seconds=70.0, peak_memory_mb=900.0, profile="2c-2g"
    )


def evidence_of(**changed: object) -> Evidence:
    """Evidence of v4 against v3 that passes every gate."""
    nothing = RowsComparison(
        rows_of=RowSet.HELD_BACK, rows=0, positives=0, available_rows=0, note="None."
    )
    made = Evidence(
        request_id="r1",
        problem="plums",
        opened_at=datetime(2026, 11, 21, 12, 30, tzinfo=UTC),
        requested_by="ann",
        run_started_by="ann",
        candidate=identity(4),
        incumbent=identity(3),
        comparisons=(
            comparison().model_copy(update={"rows_of": RowSet.HOLDOUT}),
            nothing,
            comparison(),
        ),
        judged=judged(),
        latency=timed(latency(), latency()),
        costs=Costs(candidate=cost(), incumbent=cost()),
        parity=Parity(
            spark_rows=1200, spark_difference=1e-6, served_rows=200, served_difference=0.0
        ),
        cause=Cause(
            check_id="c" * 32,
            why="critical drift",
            level=Level.CRITICAL,
            summary="Fare drifts.",
            batch_id="b1",
            window=None,
            rows=400,
            features=(DriftedFeature(column="weight", psi=0.4, level=Level.CRITICAL),),
        ),
    )
    return made.model_copy(update=changed)


def with_both(both: RowsComparison) -> Evidence:
    """Evidence with another comparison on all rows."""
    made = evidence_of()
    return made.model_copy(update={"comparisons": (*made.comparisons[:2], both)})
