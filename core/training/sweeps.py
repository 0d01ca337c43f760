"""Starts, follows and cancels sweeps over resource profiles.

A sweep is a run of kind ``sweep`` in MLflow and a Ray Job; there is no other record.
"""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from core.adapters.mlflow import KIND_SWEEP, RunTracker, TrackedRun
from core.adapters.ray import RayCluster
from core.domain import RunStatus, Sweep
from core.errors import (
    ConflictError,
    NotFoundError,
    PilothouseError,
    UnavailableError,
)
from core.params import Params
from core.problems import require_problem
from core.problems.contract import Problem
from core.promotion.act import Act
from core.promotion.audit import Action
from core.promotion.trail import AuditTrail
from core.training.artifacts import read_value
from core.training.follower import lost
from core.training.jobs import end_job, is_lost, node_capacities, tail_of
from core.training.preflight import check_profile
from core.training.provenance import git_commit
from core.training.sweep_report import SweepReport
from core.training.sweep_request import SweepRequest, read_request
from core.training.sweep_spec import LOG_FILE, REPORT_FILE, SweepSpec, sweep_folder

LOG = logging.getLogger(__name__)


class SweepService:
    """Sweeps of every problem; each is a Ray Job that outlives its starter."""

    def __init__(
        self,
        params: Params,
        problems: Mapping[str, Problem],
        tracker: RunTracker,
        cluster: RayCluster,
        home: Path,
        trail: AuditTrail,
    ) -> None:
        self._params = params
        self._problems = problems
        self._tracker = tracker
        self._cluster = cluster
        self._home = home
        self._trail = trail

    def start(
        self,
        problem: str,
        *,
        profiles: Sequence[str],
        families: Sequence[str],
        repeat: int,
        overrides: Mapping[str, str],
        actor: str,
    ) -> Sweep:
        """Starts a sweep and returns it at once.

        Args:
            problem: one of the problems of ``params.yaml``.
            profiles: profiles by name or written out, in the order of measuring.
            families: model families, each searched by itself with the whole budget.
            repeat: how often each family is measured with each profile.
            overrides: training parameters by dotted key, such as ``search.trials``.
            actor: who starts it.

        Raises:
            NotFoundError: no such problem or profile.
            InvalidInputError: a profile breaks a rule, a list is empty or names something
                twice, a family is unknown, ``repeat`` is below 1, or an override breaks a rule.
            ConflictError: a sweep of the problem is active.
            ResourceError: the cluster cannot give one of the profiles.
            UnavailableError: Ray or MLflow does not answer.
        """
        with self._trail.act(
            Action.SWEEP_STARTED, actor=actor, object=f"sweep of {problem}", problem=problem
        ) as act:
            require_problem(problem, self._problems)
            request = read_request(
                self._params,
                self._problems[problem],
                profiles=profiles,
                families=families,
                repeat=repeat,
                overrides=overrides,
            )
            return self._start(problem, request, act)

    def _start(self, problem: str, request: SweepRequest, act: Act) -> Sweep:
        self._refuse_second(problem)
        nodes = node_capacities(self._cluster)
        for profile in request.profiles:
            check_profile(profile, nodes)
        started_at = datetime.now(UTC)
        profiles = [profile.name for profile in request.profiles]
        sweep_id = self._tracker.create(
            problem,
            f"{problem}-sweep-{started_at:%Y%m%d-%H%M%S}",
            {
                "problem": problem,
                "profiles": ",".join(profiles),
                "families": ",".join(request.families),
                "repeat": str(request.repeat),
                "started_by": act.actor,
            },
            kind=KIND_SWEEP,
        )
        spec = SweepSpec(
            sweep_id=sweep_id,
            problem=problem,
            profiles=request.profiles,
            families=request.families,
            repeat=request.repeat,
            training=request.training,
            git_commit=git_commit(),
        )
        act.object = f"sweep {sweep_id}"
        try:
            # Before it begins: nothing else in the database says that it was started.
            act.done(
                f"profiles {', '.join(profiles)}; families {', '.join(request.families)}; "
                f"repeat {request.repeat}"
            )
        except UnavailableError as exc:
            self._tell_mlflow(sweep_id, RunStatus.CANCELLED, str(exc))
            raise
        self._submit(spec)
        return self.get(sweep_id)

    def _submit(self, spec: SweepSpec) -> None:
        command = [sys.executable, "-m", "core.training.sweep_job", spec.model_dump_json()]
        try:
            self._cluster.submit(_job_id(spec.problem, spec.sweep_id), shlex.join(command))
        except UnavailableError as exc:
            self._tell_mlflow(spec.sweep_id, RunStatus.FAILED, str(exc))
            raise

    def _refuse_second(self, problem: str) -> None:
        for sweep in self.list(problem):
            if sweep.status.is_active:
                raise ConflictError(
                    f"Sweep {sweep.id[:8]} of {problem} is active already.",
                    fix="Wait for it to end or cancel it.",
                )

    def list(self, problem: str, limit: int = 100) -> tuple[Sweep, ...]:
        """Sweeps of a problem, newest first.

        Raises:
            NotFoundError: there is no such problem.
            UnavailableError: MLflow does not answer.
        """
        require_problem(problem, self._problems)
        tracked = self._tracker.list(problem, limit, kind=KIND_SWEEP)
        return tuple(self._current(one) for one in tracked)

    def get(self, sweep_id: str) -> Sweep:
        """Reads one sweep.

        Raises:
            NotFoundError: there is no such sweep, or it was deleted in MLflow.
            UnavailableError: MLflow does not answer.
        """
        tracked = self._tracker.get(sweep_id)
        if tracked.tags.get("kind") != KIND_SWEEP:
            raise NotFoundError(
                f"{sweep_id[:8]} is not a sweep.",
                fix="`pilothouse profiles list PROBLEM` shows them.",
            )
        return self._current(tracked)

    def report(self, sweep_id: str) -> SweepReport:
        """What a finished sweep measured; ``advise`` says what follows.

        Raises:
            NotFoundError: there is no such sweep, or it has not finished.
        """
        sweep = self.get(sweep_id)
        if sweep.status is not RunStatus.FINISHED:
            raise NotFoundError(
                f"Sweep {sweep_id[:8]} has no report: it is {sweep.status.value}.",
                fix=sweep.error or "Wait for its end.",
            )
        foreign = NotFoundError(
            f"The report of sweep {sweep_id[:8]} is of another release.",
            fix="Run the sweep again.",
        )
        return read_value(self._tracker, sweep_id, REPORT_FILE, SweepReport, foreign=foreign)

    def log(self, sweep_id: str, *, tail: int = 200) -> str:
        """Returns the last lines of a sweep's log; empty while it has written none."""
        return tail_of(sweep_folder(self._home, self.get(sweep_id).id) / LOG_FILE, tail)

    def cancel(self, sweep_id: str, *, actor: str) -> Sweep:
        """Ends a sweep and returns once its process is gone.

        Raises:
            NotFoundError: there is no such sweep.
            ConflictError: it has ended already.
            UnavailableError: Ray or MLflow does not answer, or the process does not end.
        """
        with self._trail.act(
            Action.SWEEP_CANCELLED, actor=actor, object=f"sweep {sweep_id}"
        ) as act:
            sweep = self.get(sweep_id)
            act.problem = sweep.problem
            short, status = sweep_id[:8], sweep.status
            if not status.is_active:
                raise ConflictError(f"Sweep {short} has ended already: {status.value}.")
            # First the row: waiting for the process takes a while, and may be given up.
            act.done()
            end_job(self._cluster, _job_id(sweep.problem, sweep_id), "sweep")
            if self._tracker.get(sweep_id).status is RunStatus.FINISHED:
                raise ConflictError(f"Sweep {short} finished while it was being stopped.")
            self._tracker.finish(sweep_id, RunStatus.CANCELLED, f"cancelled by {actor}")
            return self.get(sweep_id)

    def _current(self, tracked: TrackedRun) -> Sweep:
        sweep = _sweep(tracked)
        if tracked.status is RunStatus.RUNNING and self._is_lost(sweep):
            why = lost("sweep")
            self._tell_mlflow(sweep.id, RunStatus.FAILED, why)
            ended = datetime.now(UTC)
            return replace(sweep, status=RunStatus.FAILED, ended_at=ended, error=why)
        return sweep

    def _is_lost(self, sweep: Sweep) -> bool:
        job_id = _job_id(sweep.problem, sweep.id)
        return is_lost(self._cluster, self._tracker, job_id, sweep.id, sweep.started_at)

    def _tell_mlflow(self, sweep_id: str, status: RunStatus, why: str) -> None:
        try:
            self._tracker.finish(sweep_id, status, why)
        except PilothouseError as exc:
            LOG.warning("MLflow was not told that sweep %s ended: %s", sweep_id, exc)


def _job_id(problem: str, sweep_id: str) -> str:
    return f"{problem}-sweep-{sweep_id}"


def _sweep(tracked: TrackedRun) -> Sweep:
    tags = tracked.tags
    is_queued = tracked.status.is_active and tracked.progress is None
    return Sweep(
        id=tracked.id,
        problem=tags.get("problem", ""),
        status=RunStatus.QUEUED if is_queued else tracked.status,
        profiles=tuple(tags.get("profiles", "").split(",")),
        families=tuple(tags.get("families", "").split(",")),
        repeat=int(tags.get("repeat", "1")),
        started_by=tags.get("started_by", ""),
        started_at=tracked.started_at,
        ended_at=tracked.ended_at,
        progress=tracked.progress,
        error=tags.get("error"),
    )
