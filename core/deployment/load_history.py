"""What was measured of the served models in the last minutes, and how they were scaled.

The worker writes both, whoever shows them reads them; so neither a page that is loaded anew nor a
worker that is started anew forgets. Measurements are worth minutes and are replaced without a
flush to disk; decisions are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from core.deployment.load import Traffic
from core.deployment.scaling import InFlight, ScalingDecision, ScalingPolicy
from core.errors import UnavailableError
from core.frozen import Frozen
from core.kept_files import write_durably

#: How long a measurement is kept.
SHOWN = timedelta(minutes=10)
#: Decisions that are kept; the oldest goes first.
MOST_DECISIONS = 200


class LoadPoint(Frozen):
    """One measurement.

    ``in_flight`` has for each replica the requests that it had in hand on average over the
    look-back period, ``versions`` the version of each problem. ``running`` and ``target`` are
    ``None`` where Ray Serve did not say how many replicas there are and should be.
    """

    at: datetime
    total: Traffic
    problems: Mapping[str, Traffic]
    in_flight: Mapping[str, float]
    versions: Mapping[str, Mapping[str, int]]
    running: int | None
    target: int | None

    @property
    def load(self) -> InFlight:
        """Requests in flight over all replicas."""
        return InFlight(self.at, sum(self.in_flight.values()))


class Measured(Frozen):
    """Measurements, oldest first."""

    points: tuple[LoadPoint, ...] = ()

    def with_point(self, point: LoadPoint) -> Measured:
        """The same with one more, without those that have become old."""
        kept = (one for one in self.points if point.at - one.at < SHOWN)
        return Measured(points=(*kept, point))


class Scaled(Frozen):
    """Decisions, newest first; ``target`` and ``policy`` are the last that were seen."""

    target: int | None = None
    policy: ScalingPolicy | None = None
    decisions: tuple[ScalingDecision, ...] = ()


_Kept = TypeVar("_Kept", Measured, Scaled)


class LoadFiles:
    """Keeps both below the home of the installation."""

    def __init__(self, home: Path) -> None:
        self._measured = home / "load" / "measured.json"
        self._scaled = home / "load" / "decisions.json"

    def measured(self) -> Measured:
        """Measurements; none where nobody has measured yet.

        Raises:
            UnavailableError: they cannot be read.
        """
        return _read(self._measured, Measured)

    def scaled(self) -> Scaled:
        """Decisions; none where there were none.

        Raises:
            UnavailableError: they cannot be read.
        """
        return _read(self._scaled, Scaled)

    def keep_measured(self, measured: Measured) -> None:
        """Replaces the measurements.

        Raises:
            OSError: they cannot be written.
        """
        self._measured.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unborn = self._measured.with_suffix(".new")
        unborn.write_text(measured.model_dump_json(), encoding="utf-8")
        unborn.replace(self._measured)

    def keep_scaled(self, scaled: Scaled) -> None:
        """Replaces the decisions, of which the newest are kept.

        Raises:
            OSError: they cannot be written.
        """
        bounded = scaled.model_copy(update={"decisions": scaled.decisions[:MOST_DECISIONS]})
        write_durably(self._scaled, bounded.model_dump_json().encode())


def _read(file: Path, kind: type[_Kept]) -> _Kept:
    try:
        return kind.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return kind()
    except (OSError, ValidationError) as exc:
        raise UnavailableError(
            f"{file} cannot be read.", fix="Remove it; the worker begins a new one."
        ) from exc
