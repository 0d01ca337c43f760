"""A stand-in for what gathers evidence: three gates over logged metrics, kept in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from core.domain import GateResult, ModelVersion, Promotion, PromotionRequest, Run, Verdict
from core.errors import NotFoundError
from core.promotion.evidence import (
    Evidence,
    ModelIdentity,
    RowsComparison,
    RowSet,
    parse,
    sha256_of,
)
from core.promotion.evidence_costs import Costs, TrainingCost
from core.promotion.measuring import Frozen

if TYPE_CHECKING:
    from tests.unit.core_fakes import FakeRegistry

PARITY, CONTRACT, AUC = "parity with Spark", "contract", "AUC"


def identity_of(version: int, run_id: str, fingerprint: str = "") -> ModelIdentity:
    """A model of which nothing but its name is known."""
    return ModelIdentity(
        version=version,
        run_id=run_id,
        family="gbt",
        params={},
        threshold=0.5,
        model_sha256="0" * 64,
        bundle_sha256="0" * 64,
        inputs=("weight",),
        contract_fingerprint=fingerprint,
        data_version="md5:0",
        git_commit="0" * 40,
        code_digest="0" * 64,
        registered_at=None,
        train_rows=None,
        holdout_rows=None,
        trained_on=(),
        metrics={},
        confidence=None,
        confusion=None,
        calibration=(),
    )


def evidence_of(
    request_id: str,
    run: Run,
    requested_by: str,
    gates: tuple[GateResult, ...],
    incumbent: Promotion | None = None,
) -> Evidence:
    """Evidence in which nothing but the gates is measured."""
    cost = TrainingCost(core_seconds=None, seconds=None, peak_memory_mb=None, profile="2c-2g")
    return Evidence(
        request_id=request_id,
        problem=run.problem,
        opened_at=datetime.now(UTC),
        requested_by=requested_by,
        run_started_by=run.started_by,
        candidate=identity_of(run.model_version or 0, run.id),
        incumbent=identity_of(incumbent.version, incumbent.run_id) if incumbent else None,
        comparisons=tuple(
            RowsComparison(rows_of=rows, rows=0, positives=0, available_rows=0) for rows in RowSet
        ),
        judged=None,
        latency=None,
        costs=Costs(candidate=cost, incumbent=None),
        parity=None,
        cause=None,
        gates=gates,
    )


@dataclass
class FakeEvidence:
    """Judges by the AUC that runs have logged, and by the fingerprint of their contract.

    The AUC may be ``margin`` below the incumbent's.
    """

    registry: FakeRegistry
    fingerprint: str
    margin: float = 0.0
    kept: dict[str, bytes] = field(default_factory=dict)
    #: Called at each step with its name.
    step: Callable[[str], None] = field(default=lambda _: None)

    def gather(
        self, request_id: str, run: Run, incumbent: Promotion | None, requested_by: str
    ) -> Evidence:
        self.step("gather")
        version = run.model_version or 0
        found = self.registry.get(run.problem, version)
        against = self.registry.get(run.problem, incumbent.version) if incumbent else found
        same = found.tags.get("contract_fingerprint") == self.fingerprint
        limit = against.metrics["auc"] - self.margin
        gates = (
            _gate(PARITY, found.metrics["parity_max_difference"] <= 1e-5, hard=True),
            _gate(CONTRACT, same, hard=True),
            _gate(AUC, found.metrics["auc"] >= limit, hard=False),
        )
        return evidence_of(request_id, run, requested_by, gates, incumbent)

    def bundle_sha256(self, version: ModelVersion) -> str:
        return "0" * 64

    def freeze(self, evidence: Evidence) -> Frozen:
        self.step("freeze")
        self.registry.plug.check()
        path = f"evidence/{evidence.request_id}.json"
        self.kept[path] = evidence.canonical()
        return Frozen(path, sha256_of(self.kept[path]))

    def read(self, request: PromotionRequest) -> Evidence:
        self.step("read")
        self.registry.plug.check()
        if request.evidence_path not in self.kept:
            raise NotFoundError("MLflow has no such file.")
        return parse(self.kept[request.evidence_path], request.evidence_sha256)

    def verify(self, request: PromotionRequest) -> Evidence:
        return self.read(request)


def _gate(name: str, good: bool, *, hard: bool) -> GateResult:
    verdict = Verdict.PASS if good else Verdict.FAIL
    return GateResult(name, verdict, None, None, "It is good." if good else "It is bad.", hard)
