"""Starts, watches and cancels training runs."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from core.adapters.database import Database
from core.adapters.mlflow import RunTracker, TrackedRun
from core.adapters.ray import RayCluster
from core.domain import Run, RunStatus
from core.errors import (
    ConflictError,
    InvalidInputError,
    Offence,
    PilothouseError,
    UnavailableError,
)
from core.params import Params, TrainingParams, override_training
from core.problems import require_problem
from core.problems.contract import Problem
from core.promotion.act import Act
from core.promotion.audit import Action
from core.promotion.trail import AuditTrail
from core.training.follower import JobFollower, JobRecords
from core.training.job_spec import LOG_FILE, RunSpec, run_folder
from core.training.jobs import node_capacities, tail_of
from core.training.preflight import check_profile
from core.training.provenance import git_commit

#: Tag that says in words why a run was started.
CAUSE = "cause"


class RunService:
    """Training runs of every problem; each is a Ray Job that outlives its starter."""

    def __init__(
        self,
        params: Params,
        problems: Mapping[str, Problem],
        database: Database,
        tracker: RunTracker,
        cluster: RayCluster,
        home: Path,
        trail: AuditTrail,
    ) -> None:
        self._params = params
        self._problems = problems
        self._database = database
        self._tracker = tracker
        self._cluster = cluster
        self._home = home
        records = JobRecords(
            what="run",
            get=database.run,
            active=database.active_runs,
            save_active=database.save_active_run,
            job_id=_job_id,
            merged=_merged,
        )
        self._follower = JobFollower(records, tracker, cluster)
        self._trail = trail

    def start(
        self,
        problem: str,
        *,
        profile: str | None,
        overrides: Mapping[str, str],
        actor: str,
        batches: Sequence[str] = (),
        cause: Mapping[str, str] | None = None,
    ) -> Run:
        """Starts a run and returns it at once.

        Args:
            problem: one of the problems of ``params.yaml``.
            profile: one by name, or written out such as ``2x1c-2g``; ``None`` takes the
                default one.
            overrides: training parameters by dotted key, such as ``search.trials``.
            actor: who starts it.
            batches: ids of batches whose labelled rows are learned from as well; their
                order decides the rows' ids.
            cause: tags that say why it was started, in words under ``CAUSE``.

        Raises:
            NotFoundError: no such problem or profile.
            InvalidInputError: an override or a profile that is written out breaks a rule.
            ConflictError: a run of the problem is active.
            ResourceError: the cluster cannot give the profile.
            UnavailableError: Ray or MLflow does not answer.
        """
        with self._trail.act(
            Action.RUN_STARTED,
            actor=actor,
            object=f"run of {problem}",
            problem=problem,
            reason=(cause or {}).get(CAUSE, ""),
        ) as act:
            return self._start(problem, profile, overrides, tuple(batches), cause or {}, act)

    def require_starter(self, actor: str, problem: str) -> None:
        """Refuses whoever may not start runs.

        Raises:
            ForbiddenError: the actor may not.
        """
        self._trail.require(
            Action.RUN_STARTED, actor=actor, object=f"run of {problem}", problem=problem
        )

    def _start(
        self,
        problem: str,
        profile: str | None,
        overrides: Mapping[str, str],
        batches: tuple[str, ...],
        cause: Mapping[str, str],
        act: Act,
    ) -> Run:
        require_problem(problem, self._problems)
        chosen = self._params.profile_named(profile or self._params.profile)
        training = override_training(self._params.training, overrides)
        self._require_spaces(problem, training)
        self._refuse_second(problem)
        nodes = node_capacities(self._cluster)
        check_profile(chosen, nodes)
        started_at = datetime.now(UTC)
        run_id = self._tracker.create(
            problem,
            f"{problem}-{started_at:%Y%m%d-%H%M%S}",
            {
                "problem": problem,
                "profile": chosen.name,
                "started_by": act.actor,
                **({"batches": ", ".join(batches)} if batches else {}),
                **cause,
            },
        )
        run = Run(run_id, problem, RunStatus.QUEUED, chosen.name, act.actor, started_at)
        act.object = f"run {run_id}"
        spec = RunSpec(
            run_id=run_id,
            problem=problem,
            profile=chosen,
            training=training,
            git_commit=git_commit(),
            batches=batches,
        )
        try:
            self._database.add_run(run, act.done_with(_asked(chosen.name, overrides, batches)))
        except PilothouseError as exc:
            self._follower.tell_mlflow(run.id, RunStatus.CANCELLED, str(exc))
            raise
        try:
            self._cluster.submit(_job_id(run), _command(spec))
        except UnavailableError as exc:
            self._follower.end(run, RunStatus.FAILED, str(exc))
            raise
        return run

    def _require_spaces(self, problem: str, training: TrainingParams) -> None:
        known = self._problems[problem].search_space
        missing = [family for family in training.search.families if family not in known]
        if missing:
            raise InvalidInputError(
                f"{problem} has no search space for {', '.join(missing)}.",
                fix=f"Choose among: {', '.join(known)}.",
                offences=[Offence("search.families", f"{name} has no space") for name in missing],
            )

    def _refuse_second(self, problem: str) -> None:
        for run in self._database.active_runs():
            if run.problem == problem and self._follower.refreshed(run).status.is_active:
                raise ConflictError(
                    f"Run {run.id[:8]} of {problem} is active already.",
                    fix="Wait for it to end or cancel it.",
                )

    def list(self, problem: str | None = None, limit: int = 100) -> tuple[Run, ...]:
        """Runs, newest first."""
        self.refresh()
        return self._database.runs(problem, limit)

    def get(self, run_id: str) -> Run:
        """Reads one run.

        Raises:
            NotFoundError: there is no such run.
        """
        return self._follower.refreshed(self._database.run(run_id))

    def log(self, run_id: str, *, tail: int = 200) -> str:
        """Returns the last lines of a run's log; empty while it has written none."""
        self._database.run(run_id)
        return tail_of(run_folder(self._home, run_id) / LOG_FILE, tail)

    def cancel(self, run_id: str, *, actor: str) -> Run:
        """Ends a run and returns once its process is gone.

        Raises:
            NotFoundError: there is no such run.
            ConflictError: it has ended already.
            UnavailableError: Ray does not answer or the process does not end.
        """
        with self._trail.act(Action.RUN_CANCELLED, actor=actor, object=f"run {run_id}") as act:
            act.problem = self._database.run(run_id).problem
            return self._follower.cancel(run_id, actor=actor, begun=act.done)

    def refresh(self) -> None:
        """Brings every active run up to date; a service that is down changes nothing."""
        self._follower.refresh()


def _asked(profile: str, overrides: Mapping[str, str], batches: Sequence[str]) -> str:
    """What was asked of a run, in one sentence."""
    parts = [f"profile {profile}", *(f"{key}={value}" for key, value in overrides.items())]
    return ", ".join([*parts, *(f"batch {one}" for one in batches)])


def _job_id(run: Run) -> str:
    return f"{run.problem}-{run.id}"


def _command(spec: RunSpec) -> str:
    return shlex.join([sys.executable, "-m", "core.training.job", spec.model_dump_json()])


def _merged(run: Run, tracked: TrackedRun) -> Run:
    version = tracked.tags.get("model_version")
    has_begun = tracked.progress is not None
    status = RunStatus.QUEUED if tracked.status.is_active and not has_begun else tracked.status
    return replace(
        run,
        status=status,
        ended_at=tracked.ended_at,
        progress=tracked.progress or run.progress,
        error=tracked.tags.get("error") or run.error,
        model_version=int(version) if version else None,
    )
