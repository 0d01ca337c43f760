"""Evidence of a candidate as values, for the panel and for documents."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from core.domain import GateResult, Verdict
from core.domain_watching import Level
from core.promotion.evidence import (
    AucDifference,
    BatchRows,
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

OPENED = datetime(2026, 1, 31, 8, 15, tzinfo=UTC)


def make_model(version: int, *, auc: float = 0.87) -> ModelIdentity:
    return ModelIdentity(
        version=version,
        run_id=f"{version:032x}",
        family="gbt",
        params={"maxDepth": 5, "maxIter": 30 + version},
        threshold=0.52,
        model_sha256=f"{version:064x}",
        bundle_sha256=f"{version + 1000:064x}",
        inputs=("Pclass", "Sex", "Age", "Fare"),
        contract_fingerprint="c0ffee",
        data_version=f"md5:{version:032x}",
        git_commit=f"{version:040x}",
        code_digest=f"{version + 2000:064x}",
        registered_at=OPENED - timedelta(days=10 - version),
        train_rows=713,
        holdout_rows=178,
        trained_on=(BatchRows(id="b" * 32, rows=334),),
        metrics={
            "auc": Estimate(value=auc, low=auc - 0.04, high=auc + 0.03),
            "accuracy": Estimate(value=0.827, low=0.77, high=0.88),
            "log_loss": Estimate(value=0.421, low=0.38, high=0.47),
        },
        confidence=0.95,
        confusion=Confusion(
            true_positive=50 + version, false_positive=12, true_negative=97, false_negative=18
        ),
        calibration=tuple(
            CalibrationBin(mean_predicted=(bin_ + 0.5) / 6, observed_rate=(bin_ + 0.2) / 6, rows=30)
            for bin_ in range(6)
        ),
    )


def make_difference(value: float = 0.012, *, low: float = 0.003) -> AucDifference:
    return AucDifference(
        value=value,
        low=low,
        high=2 * value - low,
        probability_better=0.985 if low > 0 else 0.74,
        probability_by_margin=0.91 if low > 0 else 0.52,
        samples=2000,
        confidence=0.95,
    )


def make_slice(
    column: str, value: str, verdict: Verdict = Verdict.PASS, *, too_small: bool = False
) -> SliceRates:
    loss = -0.08 if verdict is Verdict.FAIL else 0.01
    change = Difference(value=loss, low=loss - 0.02, high=loss + 0.02)
    return SliceRates(
        column=column,
        value=value,
        rows=9 if too_small else 120,
        positives=4 if too_small else 52,
        candidate=Rates(precision=0.81 + loss, recall=0.74 + loss),
        incumbent=Rates(precision=0.81, recall=0.74),
        precision_difference=None if too_small else change,
        recall_difference=None if too_small else change,
        verdict=Verdict.CANNOT_TELL if too_small else verdict,
        too_small=too_small,
    )


def make_gates(auc: Verdict = Verdict.PASS) -> tuple[GateResult, ...]:
    slices = "Sex female loses 0.080 of recall; 0.050 is allowed."
    return (
        GateResult("parity with Spark", Verdict.PASS, 6.1e-7, 1e-5, "At most 6.1e-07.", True),
        GateResult("contract", Verdict.PASS, None, None, "It is the contract served.", True),
        GateResult("AUC", auc, 0.012, 0.005, "AUC +0.012; 0.005 is asked."),
        GateResult("slices", Verdict.FAIL, -0.08, -0.05, slices),
    )


def make_evidence(
    version: int = 4,
    *,
    incumbent: int | None = 3,
    difference: AucDifference | None = None,
    request_id: str = "",
    **changed: object,
) -> Evidence:
    """A candidate that is surely better, but not on every slice; a check has led to it."""
    found = make_difference() if difference is None else difference
    evidence = Evidence(
        request_id=request_id or f"req-{version}",
        problem="titanic",
        opened_at=OPENED,
        requested_by="retraining policy",
        run_started_by="retraining policy",
        candidate=make_model(version, auc=0.884),
        incumbent=None if incumbent is None else make_model(incumbent, auc=0.872),
        comparisons=tuple(
            RowsComparison(
                rows_of=rows_of,
                rows=rows,
                positives=rows // 3,
                available_rows=rows,
                candidate_auc=0.884,
                incumbent_auc=0.872,
                difference=None if incumbent is None else found,
            )
            for rows_of, rows in zip(RowSet, (178, 84, 262), strict=True)
        ),
        judged=_judged(),
        latency=LatencyComparison(
            candidate=_latency(0.31),
            incumbent=_latency(0.29),
            single_repetitions=200,
            thousand_repetitions=20,
        ),
        costs=Costs(candidate=_cost(124.0), incumbent=_cost(98.0)),
        parity=Parity(
            spark_rows=20_178, spark_difference=6.1e-7, served_rows=178, served_difference=0.0
        ),
        cause=_cause(),
        gates=make_gates(),
        notes=("The latency was measured with another load on the machine.",),
    )
    return evidence.model_copy(update=changed)


def _judged() -> Judged:
    change = Difference(value=0.01, low=-0.02, high=0.04)
    classes = tuple(
        ClassRates(
            positive=positive,
            label=str(int(positive)),
            rows=84 if positive else 178,
            candidate=Rates(precision=0.82, recall=0.75),
            incumbent=Rates(precision=0.81, recall=0.74),
            precision_difference=change,
            recall_difference=change,
            verdict=Verdict.PASS,
        )
        for positive in (True, False)
    )
    return Judged(
        rows_of=RowSet.BOTH,
        classes=classes,
        slices=(
            make_slice("Sex", "female", Verdict.FAIL),
            make_slice("Pclass", "3", Verdict.FAIL),
            make_slice("Age", "missing", Verdict.CANNOT_TELL),
            make_slice("Sex", "male"),
            make_slice("Deck", "G", too_small=True),
        ),
        calibration=Calibration(
            rows=262, candidate=0.041, incumbent=0.038, difference=change, by_chance=0.035
        ),
    )


def _latency(single_ms: float) -> Latency:
    return Latency(
        single_p50_ms=single_ms,
        single_p95_ms=2 * single_ms,
        thousand_p50_ms=30 * single_ms,
        thousand_p95_ms=50 * single_ms,
    )


def _cost(core_seconds: float) -> TrainingCost:
    return TrainingCost(
        core_seconds=core_seconds, seconds=61.0, peak_memory_mb=1480.0, profile="2c-2g"
    )


def _cause() -> Cause:
    return Cause(
        check_id="c" * 32,
        why="334 labelled rows are new.",
        level=Level.CRITICAL,
        summary="Fare has drifted: PSI 0.31.",
        batch_id="b" * 32,
        window=None,
        rows=418,
        features=(
            DriftedFeature(column="Fare", psi=0.31, level=Level.CRITICAL),
            DriftedFeature(column="Age", psi=0.08, level=Level.OK),
        ),
    )
