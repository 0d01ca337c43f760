"""Follows an answer back to what caused it, and scores it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import pyarrow as pa

from core.adapters.database import Database
from core.adapters.database_batches import BatchRecords
from core.adapters.database_rollouts import RolloutRecords
from core.adapters.mlflow import RunTracker, TrackedRun
from core.adapters.mlflow_registry import ModelRegistry
from core.data.batch_files import AT
from core.data.log_tables import fit
from core.data.tables import ROW_ID, contract_columns
from core.deployment.inference_log import PROBABILITY, REQUEST_ID, VERSION, InferenceLog, schema_of
from core.deployment.lineage import (
    PAGE_ROWS,
    LearnedBatch,
    Lineage,
    LoggedAnswer,
    LoggedRow,
    Missing,
    TrainingData,
    TrainingRun,
    canary_behind,
    code_behind,
    evidence_behind,
    made_production,
    not_logged,
    remark_on,
    request_behind,
)
from core.deployment.replay import Probabilities, Replay, compare
from core.deployment.request_ids import made_at, read_request_id
from core.domain import Batch, ModelVersion, Promotion, Run
from core.errors import NotFoundError, PilothouseError
from core.params_inference import InferenceLogParams
from core.problems.contract import Columns, Problem
from core.promotion.promotions import PromotionService
from core.scoring.bundle import obtain_bundle, require_contract
from core.training.tracking import learned_rows

_OWN_COLUMNS = frozenset({REQUEST_ID, ROW_ID, AT, VERSION, PROBABILITY})
_T = TypeVar("_T")


class Scores(Protocol):
    """A model ready to score."""

    def probabilities(self, columns: Columns) -> Probabilities:
        """Probability of the positive class, shape (rows,)."""


#: Problem and the bytes of an ONNX file -> what scores with it.
BuildScorer = Callable[[Problem, bytes], Scores]


def build_scorer(problem: Problem, model: bytes) -> Scores:
    """Builds what scores records with a version's ONNX file."""
    # onnxruntime takes a while to import, and most processes never score.
    from core.scoring.scorer import Scorer

    return Scorer(problem, model)


class TracingService:
    """Answers by their request ids. ``cache`` is the folder of bundles that were fetched."""

    def __init__(
        self,
        problems: Mapping[str, Problem],
        log: InferenceLog,
        log_params: InferenceLogParams,
        database: Database,
        tracker: RunTracker,
        registry: ModelRegistry,
        promotions: PromotionService,
        rollouts: RolloutRecords,
        build_scorer: BuildScorer,
        cache: Path,
    ) -> None:
        self._problems = problems
        self._log = log
        self._log_params = log_params
        self._database = database
        self._batches = BatchRecords(database)
        self._tracker = tracker
        self._registry = registry
        self._promotions = promotions
        self._rollouts = rollouts
        self._build_scorer = build_scorer
        self._cache = cache

    def trace(self, request_id: str, *, skip: int = 0, replay: bool = False) -> Lineage:
        """Reads the chain behind an answer; what cannot be read is a ``Missing``.

        Args:
            request_id: of an answer of any problem.
            skip: records before the first of the ``PAGE_ROWS`` that are shown.
            replay: whether all of its records are scored again.

        Raises:
            InvalidInputError: it is no request id.
            NotFoundError: the inference log does not have it.
        """
        request_id = read_request_id(request_id)
        logged = self._log.find(request_id)
        if logged is None:
            now = datetime.now(UTC)
            raise not_logged(request_id, made_at(request_id), now, self._log_params)
        problem = logged.problem
        answer = _answer(logged.rows, skip)
        version = _link(lambda: self._registry.get(problem, answer.version))
        history = self._promotions.history(problem)
        rollouts = self._rollouts.list(problem)
        canary = canary_behind(history, rollouts, answer.version, answer.at)
        rolling = canary.promotion if canary is not None else None
        promotion = rolling or made_production(history, answer.version, answer.at)
        run_id = _run_id(version, promotion)
        tracked, run = self._run(run_id)
        tags = _tags(tracked, version)
        request = request_behind(promotion, self._promotions.requests(problem))
        return Lineage(
            id=request_id,
            problem=problem,
            answer=answer,
            version=version,
            run=run,
            data=self._data(problem, tracked, tags),
            code=code_behind(tags),
            promotion=promotion,
            promotion_remark=remark_on(history, answer.version, answer.at, canary),
            request=request,
            approvals=()
            if isinstance(request, Missing)
            else self._promotions.approvals(request.id),
            evidence=evidence_behind(request),
            replay=_link(lambda: self._replay(problem, version, promotion, logged.rows, skip))
            if replay
            else None,
        )

    def _run(self, run_id: str | Missing) -> tuple[TrackedRun | Missing, TrainingRun | Missing]:
        if isinstance(run_id, Missing):
            return run_id, run_id
        tracked = _link(lambda: self._tracker.get(run_id))
        if isinstance(tracked, TrackedRun):
            return tracked, _training_run(tracked)
        recorded = _link(lambda: self._database.run(run_id))
        return tracked, _remembered(recorded, tracked) if isinstance(recorded, Run) else tracked

    def _data(
        self, problem: str, tracked: TrackedRun | Missing, tags: Mapping[str, str]
    ) -> TrainingData:
        known = self._problems.get(problem)
        version = tags.get("data_version")
        return TrainingData(
            source=f"{known.source.provider}: {known.source.name}" if known else "",
            data_version=version or Missing("Neither run nor version says what it was."),
            batches=tracked if isinstance(tracked, Missing) else self._learned(tracked),
            data_file=tags.get("data_file", ""),
        )

    def _learned(self, tracked: TrackedRun) -> tuple[LearnedBatch, ...] | Missing:
        if not tracked.tags.get("batches"):
            return ()
        rows = _link(lambda: learned_rows(self._tracker, tracked.id))
        if isinstance(rows, Missing):
            return rows
        return tuple(
            LearnedBatch(batch_id, count, self._batch(batch_id)) for batch_id, count in rows.items()
        )

    def _batch(self, batch_id: str) -> Batch | Missing:
        return _link(lambda: self._batches.get(batch_id))

    def _replay(
        self,
        name: str,
        version: ModelVersion | Missing,
        promotion: Promotion | Missing,
        rows: pa.Table,
        skip: int,
    ) -> Replay:
        if isinstance(version, Missing):
            raise NotFoundError(version.missing)
        problem = self._problems.get(name)
        if problem is None:
            raise NotFoundError(
                f"This installation no longer knows the problem {name}.",
                fix="List it under problems in params.yaml.",
            )
        decided = promotion.bundle_sha256 if isinstance(promotion, Promotion) else ""
        ref = self._registry.refer(name, version.version, version.source, decided)
        bundle = obtain_bundle(ref, self._cache)
        require_contract(bundle.facts, ref, problem)
        columns = contract_columns(fit(rows, schema_of(problem.contract)), problem.contract)
        # In the request's own order, all at once, as they were answered.
        with np.errstate(all="ignore"):
            replayed = self._build_scorer(problem, bundle.model).probabilities(columns)
        logged = rows[PROBABILITY].to_numpy()
        shown = slice(skip, skip + PAGE_ROWS)
        return compare(logged, replayed, bundle.facts, problem.contract.label, shown)


def _link(read: Callable[[], _T]) -> _T | Missing:
    """Returns what ``read`` returns, or why it could not."""
    try:
        return read()
    except PilothouseError as exc:
        return Missing(str(exc))


def _answer(rows: pa.Table, skip: int) -> LoggedAnswer:
    page = rows.slice(skip, PAGE_ROWS)
    features = page.select([name for name in page.column_names if name not in _OWN_COLUMNS])
    indices, probabilities = page[ROW_ID].to_pylist(), page[PROBABILITY].to_pylist()
    return LoggedAnswer(
        version=rows[VERSION][0].as_py(),
        at=rows[AT][0].as_py().astimezone(UTC),
        records=rows.num_rows,
        skipped=skip,
        rows=tuple(
            LoggedRow(index, values, probability)
            for index, values, probability in zip(
                indices, features.to_pylist(), probabilities, strict=True
            )
        ),
    )


def _run_id(version: ModelVersion | Missing, promotion: Promotion | Missing) -> str | Missing:
    """The version's run, which the promotion record knows as well."""
    if isinstance(version, Missing):
        return version if isinstance(promotion, Missing) else promotion.run_id
    return version.run_id


def _tags(tracked: TrackedRun | Missing, version: ModelVersion | Missing) -> Mapping[str, str]:
    """What the run says of its origin; the version says most of it as well."""
    if isinstance(tracked, TrackedRun):
        return tracked.tags
    return version.tags if isinstance(version, ModelVersion) else {}


def _training_run(tracked: TrackedRun) -> TrainingRun:
    return TrainingRun(
        id=tracked.id,
        family=tracked.tags.get("family", ""),
        params=dict(sorted(tracked.params.items())),
        profile=tracked.tags.get("profile", ""),
        started_by=tracked.tags.get("started_by", ""),
        started_at=tracked.started_at,
        ended_at=tracked.ended_at,
    )


def _remembered(run: Run, lost: Missing) -> TrainingRun:
    """What Pilothouse's own database keeps of a run that MLflow does not show."""
    return TrainingRun(
        id=run.id,
        family="",
        params={},
        profile=run.profile,
        started_by=run.started_by,
        started_at=run.started_at,
        ended_at=run.ended_at,
        remark=f"Family and parameters are missing. {lost.missing}",
    )
