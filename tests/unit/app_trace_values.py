"""A lineage for the panel's tests, and what gives it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from core.deployment.lineage import (
    PAGE_ROWS,
    EvidenceRef,
    LearnedBatch,
    Lineage,
    LoggedAnswer,
    LoggedRow,
    Missing,
    TrainingCode,
    TrainingData,
    TrainingRun,
)
from core.deployment.replay import TOLERANCE, Replay, ReplayedRow
from core.domain import Approval, Batch, ModelVersion, Promotion, PromotionRequest, RequestStatus
from core.errors import PilothouseError

NOW = datetime(2026, 11, 20, 12, 30, 15, tzinfo=UTC)
REQUEST_ID = "019aa1c6a0c87f3e9b1d2c4e5a6b7c8d"
RUN_ID = "5f0c6f8e0d7b4e36a1c2f4d5b6a79880"


def make_lineage(records: int = 2) -> Lineage:
    """An answer whose chain is whole."""
    request = PromotionRequest(
        id="3c41d07a9be2",
        problem="titanic",
        version=4,
        run_id=RUN_ID,
        status=RequestStatus.APPROVED,
        requested_by="retraining policy",
        requested_at=NOW - timedelta(hours=5),
        incumbent_version=3,
        gates=(),
        decided_by="ann",
        decided_at=NOW - timedelta(hours=2),
        reason="Better on every slice, and the fares are those of today.",
        evidence_path="promotion/3c41d07a9be2/evidence.json",
        evidence_sha256="9f" * 32,
    )
    batch = Batch(
        id="0f3d7a11c2b84e5f9a6c1d2e3f405162",
        problem="titanic",
        name="monday.csv",
        sha256="b7" * 32,
        data_version="md5:8c1f0b6e5a4d3c2b1a09f8e7d6c5b4a3",
        rows=418,
        given_labels=0,
        added_by="ann",
        added_at=NOW - timedelta(days=2),
    )
    return Lineage(
        id=REQUEST_ID,
        problem="titanic",
        answer=_answer(records, 0),
        version=ModelVersion(
            "titanic",
            4,
            RUN_ID,
            NOW - timedelta(hours=5),
            "gbt",
            "mlflow-artifacts:/1/models/m-4",
            {"auc": 0.874},
            {"promotion_state": "production"},
        ),
        run=TrainingRun(
            RUN_ID,
            "gbt",
            {"family": "gbt", "model.maxDepth": "5", "model.maxIter": "30"},
            "2c-2g",
            "retraining policy",
            NOW - timedelta(hours=6),
            NOW - timedelta(hours=5),
        ),
        data=TrainingData(
            "nannyml: titanic",
            "md5:1f3870be274f6c49b3e31a0c6728957f",
            (LearnedBatch(batch.id, 334, batch),),
            "training-data/titanic/1f3870be274f6c49b3e31a0c6728957f.parquet",
        ),
        code=TrainingCode("4aa623a26eae817fe2590cbd38d4fc7e65cf1ca0", "c0" * 32),
        promotion=Promotion(
            "77aa00bb11cc",
            "titanic",
            4,
            RUN_ID,
            "approval",
            "ann",
            request.reason or "",
            NOW - timedelta(hours=2),
            request.id,
        ),
        promotion_remark="",
        request=request,
        approvals=(Approval(request.id, "ann", NOW - timedelta(hours=2), request.reason or ""),),
        evidence=EvidenceRef(request.evidence_path, request.evidence_sha256),
    )


def _answer(records: int, skip: int) -> LoggedAnswer:
    rows = [
        LoggedRow(
            index,
            {"Pclass": 1.0 + index % 3, "Sex": "male", "Age": None if index % 2 else 22.0},
            0.25 + index % 4 * 0.125,
        )
        for index in range(records)
    ]
    return LoggedAnswer(4, NOW, records, skip, tuple(rows[skip : skip + PAGE_ROWS]))


def make_replay(answer: LoggedAnswer, *, off: float = 0.0) -> Replay:
    """A replay that is the same, or off by as much in each record."""
    same = off == 0.0
    rows = tuple(
        ReplayedRow(row.index, row.probability, row.probability + off, 0, 0, off)
        for row in answer.rows
    )
    return Replay(
        same=same,
        summary="The same: all is well." if same else "Not the same: greatest difference 1.0e-02.",
        records=answer.records,
        greatest_difference=off,
        greatest_at=0,
        changed_labels=0,
        tolerance=TOLERANCE,
        threshold=0.52,
        model_sha256="ab" * 32,
        rows=rows,
    )


@dataclass
class FakeTracing:
    """Knows one answer, or fails."""

    lineage: Lineage = field(default_factory=make_lineage)
    #: Difference of a replay, or why there is none.
    replay: float | Missing = 0.0
    failure: PilothouseError | None = None
    asked: list[tuple[str, int, bool]] = field(default_factory=list)

    def trace(self, request_id: str, *, skip: int = 0, replay: bool = False) -> Lineage:
        self.asked.append((request_id, skip, replay))
        if self.failure:
            raise self.failure
        answer = _answer(self.lineage.answer.records, skip)
        found = replace(self.lineage, answer=answer)
        if not replay:
            return found
        made = (
            self.replay
            if isinstance(self.replay, Missing)
            else make_replay(answer, off=self.replay)
        )
        return replace(found, replay=made)
