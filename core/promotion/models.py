"""Reads one of the two models: what MLflow keeps of its run and its version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnxruntime.capi import onnxruntime_pybind11_state as onnxruntime_errors

from core.adapters.mlflow import RunTracker, TrackedRun
from core.adapters.mlflow_registry import ModelRegistry
from core.domain import ModelVersion
from core.errors import InvalidInputError, NotFoundError, TrainingError
from core.problems.contract import Problem
from core.promotion.evidence import BatchRows, ModelIdentity
from core.promotion.evidence_costs import TrainingCost
from core.scoring.bundle import BundleFacts
from core.scoring.scorer import Scorer
from core.training.artifacts import read_holdout, read_value
from core.training.predictions import HoldoutPredictions
from core.training.report import EvaluationReport
from core.training.tracking import REPORT_FILE, learned_rows

_Value = TypeVar("_Value")
#: They have no base of their own.
_LOADING_ERRORS = tuple(
    getattr(onnxruntime_errors, name)
    for name in ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented")
)


@dataclass(frozen=True, eq=False)
class Model:
    """A version with all that could be read of it; ``notes`` say what could not, and why."""

    identity: ModelIdentity
    cost: TrainingCost
    report: EvaluationReport | None
    predictions: HoldoutPredictions | None
    #: ``None`` where the model cannot score rows of the problem as it is now.
    scorer: Scorer | None
    #: Of the run: who started it, why, and from what.
    tags: dict[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Bundle:
    facts: BundleFacts
    sha256: str
    inputs: tuple[str, ...]
    scorer: Scorer

    def unknown_inputs(self, problem: Problem) -> tuple[str, ...]:
        """Inputs that the problem, as it is now, does not give."""
        known = {*problem.numeric_features, *problem.categorical_features}
        return tuple(name for name in self.inputs if name not in known)


class ModelReader:
    """Versions as evidence needs them."""

    def __init__(self, tracker: RunTracker, registry: ModelRegistry, cache: Path) -> None:
        self._tracker = tracker
        self._registry = registry
        self._cache = cache

    def read(self, problem: Problem, version: int, run_id: str) -> Model:
        """Reads a version; what is gone or broken is noted.

        Raises:
            UnavailableError: MLflow does not answer.
        """
        notes: list[str] = []

        def attempt(read: Callable[[], _Value]) -> _Value | None:
            try:
                return read()
            except (NotFoundError, InvalidInputError, TrainingError) as exc:
                notes.append(f"v{version}: {exc.message}")
                return None

        registered = attempt(lambda: self._registry.get(problem.name, version))
        tracked = attempt(lambda: self._tracker.get(run_id))
        bundle = attempt(lambda: self._bundle(problem, registered)) if registered else None
        report = attempt(lambda: self._report(run_id))
        predictions = attempt(lambda: read_holdout(self._tracker, run_id))
        unknown = bundle.unknown_inputs(problem) if bundle else ()
        if unknown:
            notes.append(
                f"v{version}: It takes {', '.join(unknown)}, which the contract of today does "
                "not give, so it cannot score rows."
            )
        identity = _identity(version, run_id, registered, tracked, bundle, report)
        return Model(
            identity=identity.model_copy(update={"trained_on": self._trained_on(run_id)}),
            cost=_cost(tracked),
            report=report,
            predictions=predictions,
            scorer=bundle.scorer if bundle and not unknown else None,
            tags=dict(tracked.tags) if tracked else {},
            notes=tuple(notes),
        )

    def _bundle(self, problem: Problem, version: ModelVersion) -> _Bundle:
        bundle = self._registry.bundle(version, self._cache)
        try:
            graph = onnx.load_from_string(bundle.model).graph
            scorer = Scorer(problem, bundle.model)
        except (DecodeError, *_LOADING_ERRORS) as exc:
            raise TrainingError("Its model file cannot be loaded.") from exc
        inputs = tuple(node.name for node in graph.input)
        return _Bundle(bundle.facts, bundle.sha256, inputs, scorer)

    def _report(self, run_id: str) -> EvaluationReport:
        foreign = NotFoundError(f"The report of run {run_id[:8]} is of another release.")
        return read_value(self._tracker, run_id, REPORT_FILE, EvaluationReport, foreign=foreign)

    def _trained_on(self, run_id: str) -> tuple[BatchRows, ...]:
        try:
            learned = learned_rows(self._tracker, run_id)
        except NotFoundError:  # it learned from the source alone
            return ()
        return tuple(BatchRows(id=batch_id, rows=rows) for batch_id, rows in learned.items())


def _identity(
    version: int,
    run_id: str,
    registered: ModelVersion | None,
    tracked: TrackedRun | None,
    bundle: _Bundle | None,
    report: EvaluationReport | None,
) -> ModelIdentity:
    facts = bundle.facts if bundle else None
    tags = {**(tracked.tags if tracked else {}), **(registered.tags if registered else {})}
    return ModelIdentity(
        version=version,
        run_id=run_id,
        family=facts.family if facts else tags.get("family", ""),
        params=report.params if report else {},
        threshold=facts.threshold if facts else report and report.threshold,
        model_sha256=facts.model_sha256 if facts else "",
        bundle_sha256=bundle.sha256 if bundle else "",
        inputs=bundle.inputs if bundle else (),
        contract_fingerprint=facts.contract_fingerprint
        if facts
        else tags.get("contract_fingerprint", ""),
        data_version=facts.data_version if facts else tags.get("data_version", ""),
        git_commit=facts.git_commit if facts else tags.get("git_commit", ""),
        code_digest=tags.get("code_digest", ""),
        registered_at=registered.created_at if registered else None,
        train_rows=report.train_rows if report else None,
        holdout_rows=report.holdout_rows if report else None,
        trained_on=(),
        metrics=report.metrics if report else {},
        confidence=report.confidence if report else None,
        confusion=report.confusion if report else None,
        calibration=report.calibration if report else (),
    )


def _cost(tracked: TrackedRun | None) -> TrainingCost:
    if tracked is None:
        return TrainingCost(core_seconds=None, seconds=None, peak_memory_mb=None, profile="")
    ended, metrics = tracked.ended_at, tracked.metrics
    return TrainingCost(
        core_seconds=metrics.get("core_seconds"),
        seconds=(ended - tracked.started_at).total_seconds() if ended else None,
        peak_memory_mb=metrics.get("peak_rss_mb"),
        profile=tracked.tags.get("profile", ""),
    )
