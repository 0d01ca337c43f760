"""Gathers the evidence of a promotion request, freezes it in MLflow and reads it back."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import numpy as np

from core.adapters.mlflow import RunTracker
from core.adapters.mlflow_registry import ModelRegistry
from core.data.labelled import ReadLabelled
from core.domain import Batch, ModelVersion, Promotion, PromotionRequest, Run
from core.errors import ConflictError, NotFoundError
from core.params import Params
from core.problems.contract import Problem
from core.promotion.cause import read_cause, require_unchanged
from core.promotion.compared import Compared, compare
from core.promotion.evidence import Evidence, Parity, parse, sha256_of
from core.promotion.evidence_costs import Costs, LatencyComparison
from core.promotion.gates import Limits, judge
from core.promotion.latency import time_models
from core.promotion.models import Model, ModelReader
from core.scoring.bundle import bundles_folder
from core.training.comparison import Resampling

FOLDER = "promotion"
#: Batches that are looked through for held-back rows.
MOST_BATCHES = 1000


class NewestBatches(Protocol):
    """Accepted batches of every problem."""

    def list(self, problem: str, limit: int) -> Sequence[Batch]:
        """Batches of a problem, newest first."""


@dataclass(frozen=True)
class Frozen:
    """Where frozen evidence lies among the artifacts of the candidate's run."""

    path: str
    sha256: str


class EvidenceService:
    """Evidence for and against candidates."""

    def __init__(
        self,
        params: Params,
        problems: Mapping[str, Problem],
        tracker: RunTracker,
        registry: ModelRegistry,
        batches: NewestBatches,
        labelled_rows: ReadLabelled,
        home: Path,
    ) -> None:
        self._params = params
        self._seed = params.training.split.seed
        self._problems = problems
        self._tracker = tracker
        self._registry = registry
        self._cache = bundles_folder(home)
        self._models = ModelReader(tracker, registry, self._cache)
        self._batches = batches
        self._labelled_rows = labelled_rows

    def gather(
        self, request_id: str, run: Run, incumbent: Promotion | None, requested_by: str
    ) -> Evidence:
        """Measures a finished run's version beside what is in production, and judges it.

        What is missing or cannot be read is noted; a gate that needs it cannot tell.

        Raises:
            NotFoundError: the run has left no version.
            UnavailableError: MLflow does not answer.
        """
        if run.model_version is None:
            raise NotFoundError(f"Run {run.id[:8]} has left no version.")
        problem = self._problems[run.problem]
        candidate = self._models.read(problem, run.model_version, run.id)
        other = (
            self._models.read(problem, incumbent.version, incumbent.run_id) if incumbent else None
        )
        compared = self._compared(problem, candidate, other)
        evidence = Evidence(
            request_id=request_id,
            problem=run.problem,
            opened_at=datetime.now(UTC),
            requested_by=requested_by,
            run_started_by=run.started_by,
            candidate=candidate.identity,
            incumbent=other.identity if other else None,
            comparisons=compared.comparisons,
            judged=compared.judged,
            latency=self._timed(problem, candidate, other),
            costs=Costs(candidate=candidate.cost, incumbent=other.cost if other else None),
            parity=_parity(problem, candidate),
            cause=read_cause(self._tracker, candidate.tags),
            notes=(*candidate.notes, *(other.notes if other else ()), *compared.notes),
        )
        return evidence.model_copy(update={"gates": judge(evidence, self._limits(problem))})

    def _compared(self, problem: Problem, candidate: Model, other: Model | None) -> Compared:
        evaluation = self._params.training.evaluation
        return compare(
            problem,
            candidate,
            other,
            self._batches.list(problem.name, MOST_BATCHES),
            lambda batch: self._labelled_rows(batch.problem, batch.id),
            self._params.promotion,
            Resampling(evaluation.bootstrap_samples, evaluation.confidence, self._seed),
        )

    def _timed(
        self, problem: Problem, candidate: Model, other: Model | None
    ) -> LatencyComparison | None:
        if candidate.scorer is None:
            return None
        beside = other.scorer if other else None
        return time_models(problem, candidate.scorer, beside, self._seed)

    def _limits(self, problem: Problem) -> Limits:
        contract = problem.contract
        return Limits(
            policy=self._params.promotion,
            parity_tolerance=self._params.training.evaluation.parity_tolerance,
            contract_fingerprint=contract.fingerprint(),
            leaky=(*contract.leaky, contract.label.name),
        )

    def bundle_sha256(self, version: ModelVersion) -> str:
        """SHA-256 of a version's bundle as the registry has it now, in hex.

        Raises:
            NotFoundError: the registry has no bundle of it.
            TrainingError: the bundle is damaged.
            UnavailableError: MLflow does not answer.
        """
        return self._registry.bundle(version, self._cache).sha256

    def freeze(self, evidence: Evidence) -> Frozen:
        """Puts evidence beside the candidate's model, under a name that is its hash.

        Doing so again does nothing, so that a process that died may be followed by another.

        Raises:
            ConflictError: something else lies under that name.
            UnavailableError: MLflow does not answer.
        """
        text = evidence.canonical()
        frozen = Frozen(f"{FOLDER}/evidence-{sha256_of(text)}.json", sha256_of(text))
        run_id = evidence.candidate.run_id
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            try:
                there = self._tracker.fetch_file(run_id, frozen.path, folder).read_bytes()
            except NotFoundError:
                copy = folder / Path(frozen.path).name
                copy.write_bytes(text)
                self._tracker.log_files(run_id, copy, FOLDER)
                return frozen
        parse(there, frozen.sha256)
        return frozen

    def read(self, request: PromotionRequest) -> Evidence:
        """Reads the evidence that a request was opened with.

        Raises:
            NotFoundError: the request is of a release that kept no evidence.
            ConflictError: the evidence was changed or removed since.
            UnavailableError: MLflow does not answer.
        """
        if not request.evidence_path:
            raise NotFoundError(
                f"Request {request.id} was opened before evidence was kept.",
                fix="Train the candidate again; the new version comes with evidence.",
            )
        with tempfile.TemporaryDirectory() as scratch:
            try:
                path = self._tracker.fetch_file(
                    request.run_id, request.evidence_path, Path(scratch)
                )
            except NotFoundError as exc:
                raise ConflictError(
                    "The evidence of this request was removed from MLflow.",
                    fix="Train the candidate again; the new version comes with evidence.",
                ) from exc
            return parse(path.read_bytes(), request.evidence_sha256)

    def verify(self, request: PromotionRequest) -> Evidence:
        """The same, for a decision: what the evidence refers to has to be unchanged as well.

        Raises:
            NotFoundError: the request is of a release that kept no evidence.
            ConflictError: the evidence, or the report of the check behind the retrain, was
                changed or removed since.
            UnavailableError: MLflow does not answer.
        """
        evidence = self.read(request)
        if evidence.cause is not None:
            require_unchanged(self._tracker, evidence.cause)
        return evidence


def _parity(problem: Problem, candidate: Model) -> Parity | None:
    """``None`` where report, predictions or model are missing, or of another contract."""
    report, kept, scorer = candidate.report, candidate.predictions, candidate.scorer
    if report is None or kept is None or scorer is None:
        return None
    if not kept.columns.keys() >= set(problem.contract.names):
        return None
    now = scorer.probabilities(kept.columns)
    difference = np.abs(now - kept.probability)
    return Parity(
        spark_rows=report.parity.rows,
        spark_difference=report.parity.max_difference,
        served_rows=kept.rows,
        # What is not a number differs by the most there can be.
        served_difference=float(np.where(np.isnan(difference), 1.0, difference).max(initial=0.0)),
    )
