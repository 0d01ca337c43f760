"""Registers what `dvc repro` has made, as a run that has finished.

From there on it is a run like any other: the worker considers its version, which serves if
nothing does, or is held against the gates and waits for a person.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from core.adapters.database import Database
from core.bootstrap import Tracking
from core.delivery.earlier import pipeline_workspace, present_report
from core.domain import Run, RunStatus
from core.errors import ConflictError, NotFoundError, PilothouseError
from core.problems.contract import Problem
from core.promotion.audit import Action
from core.promotion.trail import AuditTrail
from core.training.fit import FitResult
from core.training.provenance import Provenance
from core.training.report import EvaluationReport
from core.training.tracking import register_version, track_run
from core.training.workspace import Workspace

FROM_PIPELINE = "registered from the pipeline of the repository"


@dataclass(frozen=True)
class Registrar:
    """Takes a workspace of the repository's pipeline into an installation."""

    database: Database
    tracking: Tracking
    trail: AuditTrail
    #: Profile that runs of the pipeline take.
    profile: str
    #: Clone in which `dvc repro` was called.
    root: Path
    #: Stages up to the one named that have to run again.
    outdated: Callable[[Path, str], tuple[str, ...]]
    #: Gives the rows of a problem to DVC; returns their file below the home, if it could.
    keep_rows: Callable[[str, Path], str]
    #: MLflow's server for the time.
    server: Callable[[], AbstractContextManager[None]]
    #: Where the model comes from, given that file.
    provenance: Callable[[str], Provenance]

    def register(self, problem: Problem, *, actor: str) -> Run:
        """Registers the model of one problem and returns its run, which has finished.

        Raises:
            ForbiddenError: the actor may not start runs.
            NotFoundError: the pipeline has not made a model yet.
            ConflictError: what it has made is not of this code, these parameters and data.
            UnavailableError: MLflow, DVC or the database does not answer.
        """
        with self.trail.act(
            Action.RUN_STARTED, actor=actor, object=f"run of {problem.name}", problem=problem.name
        ) as act:
            report = present_report(self.root, problem.name)
            ws = pipeline_workspace(self.root, problem.name)
            self._require_whole(problem.name, ws)
            with self.server():
                run = self._tracked(problem, report, ws, actor)
            act.object = f"run {run.id}"
            self.database.add_run(run, act.done_with(f"{FROM_PIPELINE}, v{run.model_version}"))
        return run

    def _require_whole(self, problem: str, ws: Workspace) -> None:
        """Refuses files that do not go together, or that belong to other code or data."""
        fix = f"Run `dvc repro evaluate@{problem}`."
        try:
            fit = FitResult.model_validate_json(ws.fit.read_bytes())
            found = hashlib.sha256(ws.onnx.read_bytes()).hexdigest()
        except (OSError, ValidationError) as exc:
            raise NotFoundError(f"The pipeline has no model of {problem}.", fix=fix) from exc
        if found != fit.onnx_sha256:
            raise ConflictError(f"The model of {problem} is not the one that was trained.", fix=fix)
        behind = self.outdated(self.root, f"evaluate@{problem}")
        if behind:
            raise ConflictError(
                f"The pipeline is behind the code, the parameters or the data: "
                f"{', '.join(behind)}.",
                fix=fix,
            )

    def _tracked(
        self, problem: Problem, report: EvaluationReport, ws: Workspace, actor: str
    ) -> Run:
        tracker, began = self.tracking.tracker, datetime.now(UTC)
        run_id = tracker.create(
            problem.name,
            f"{problem.name}-pipeline-{began:%Y%m%d-%H%M%S}",
            {
                "problem": problem.name,
                "profile": self.profile,
                "started_by": actor,
                "origin": FROM_PIPELINE,
            },
        )
        try:
            provenance = self.provenance(self.keep_rows(problem.name, ws.raw))
            facts = track_run(tracker, run_id, problem, report, ws, provenance)
            version = register_version(tracker, self.tracking.registry, problem, facts, ws)
            tracker.finish(run_id, RunStatus.FINISHED)
        except PilothouseError as exc:
            tracker.finish(run_id, RunStatus.FAILED, exc.message)
            raise
        return Run(
            id=run_id,
            problem=problem.name,
            status=RunStatus.FINISHED,
            profile=self.profile,
            started_by=actor,
            started_at=began,
            ended_at=datetime.now(UTC),
            model_version=version,
        )
