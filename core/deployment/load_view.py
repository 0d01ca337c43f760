"""The load of the served models as the panel and the command line show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from core.deployment.load import Traffic
from core.deployment.load_history import SHOWN, LoadFiles, LoadPoint
from core.deployment.load_watch import Replicas
from core.deployment.scaling import (
    InFlight,
    Outlook,
    ReplicaSet,
    ScalingDecision,
    ScalingPolicy,
    outlook,
)
from core.errors import UnavailableError

#: Older than this a measurement says nothing of now.
FRESH = timedelta(seconds=15)


@dataclass(frozen=True)
class ReplicaLoad:
    """One replica: Ray's word for its state, its version of each problem, what it has in hand.

    ``in_flight`` is the mean over the look-back period, ``None`` where it was not measured.
    """

    id: str
    state: str
    started_at: datetime
    versions: dict[str, int]
    in_flight: float | None


@dataclass(frozen=True)
class ServingLoad:
    """How the served models are asked and scaled.

    ``policy`` and ``target`` are ``None`` where nothing is deployed or Ray does not answer, which
    ``unavailable`` says. ``traffic`` and ``problems`` are of the newest measurement and ``None``
    and empty where it is too old; ``decisions`` come newest first.
    """

    policy: ScalingPolicy | None
    target: int | None
    running: int
    replicas: tuple[ReplicaLoad, ...]
    outlook: Outlook | None
    traffic: Traffic | None
    problems: dict[str, Traffic]
    in_flight: float | None
    decisions: tuple[ScalingDecision, ...]
    unavailable: str = ""

    def said(self) -> str:
        """What comes next, or why nobody can say; empty where nothing is deployed."""
        if self.unavailable:
            return self.unavailable
        return self.outlook.sentence if self.outlook else ""


class LoadService:
    """Looks at the load: at replicas through Ray Serve, at all else in the worker's files."""

    def __init__(
        self,
        home: Path,
        replicas: Replicas,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._files = LoadFiles(home)
        self._replicas = replicas
        self._now = now

    def look(self) -> ServingLoad:
        """The load of now. That Ray does not answer is a value, not an error.

        Raises:
            UnavailableError: what the worker has written cannot be read.
        """
        measured, scaled = self._files.measured(), self._files.scaled()
        try:
            found, unavailable = self._replicas.replica_set(), ""
        except UnavailableError as exc:
            found, unavailable = None, str(exc)
        return view(
            found,
            measured.points,
            scaled.decisions,
            now=self._now(),
            unavailable=unavailable,
        )

    def recent(self) -> tuple[LoadPoint, ...]:
        """Measurements of the last minutes, oldest first.

        Raises:
            UnavailableError: what the worker has written cannot be read.
        """
        since = self._now() - SHOWN
        return tuple(one for one in self._files.measured().points if one.at >= since)


def view(
    found: ReplicaSet | None,
    points: tuple[LoadPoint, ...],
    decisions: tuple[ScalingDecision, ...],
    *,
    now: datetime,
    unavailable: str = "",
) -> ServingLoad:
    """Puts together what is shown; a pure function.

    Args:
        found: replicas as Ray Serve tells of them.
        points: measurements, oldest first.
        decisions: newest first.
        now: the time of the question.
        unavailable: why Ray does not tell.
    """
    newest = points[-1] if points and now - points[-1].at <= FRESH else None
    comes = None
    if found is not None:
        loads: list[InFlight] = [one.load for one in points] if newest else []
        comes = outlook(found.target, found.policy, loads, now)
    return ServingLoad(
        policy=found.policy if found else None,
        target=found.target if found else None,
        running=found.running if found else 0,
        replicas=_replicas(found, newest),
        outlook=comes,
        traffic=newest.total if newest else None,
        problems=dict(newest.problems) if newest else {},
        in_flight=newest.load.requests if newest else None,
        decisions=decisions,
        unavailable=unavailable,
    )


def _replicas(found: ReplicaSet | None, newest: LoadPoint | None) -> tuple[ReplicaLoad, ...]:
    if found is None:
        return ()
    return tuple(
        ReplicaLoad(
            one.id,
            one.state,
            one.started_at,
            dict(newest.versions.get(one.id, {})) if newest else {},
            newest.in_flight.get(one.id) if newest else None,
        )
        for one in found.replicas
    )
