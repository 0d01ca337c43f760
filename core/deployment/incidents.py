"""When replicas leave the promotion record: how long, what was done, how it ended.

Pure: looks in, what is to be recorded out. One incident is one row of the audit trail; one
that lasts has a second, which says so while it lasts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

#: An incident is over once replicas have answered as recorded for so long. Right after a
#: change they may differ from each other, and any of them may be the one that is asked.
SETTLED_S = 5.0
#: After so long it is recorded that an incident lasts.
LASTING_S = 60.0


@dataclass(frozen=True)
class Sight:
    """What one look has found of a problem that had answered as recorded before."""

    at: datetime
    recorded: int
    #: Whether replicas answer as recorded.
    is_well: bool
    #: What answers where they do not; ``None`` where nothing does.
    served: int | None = None
    #: Whether Ray Serve was told the record because of it.
    told: bool = False
    #: What is in the way, if somebody has said it.
    obstacle: str = ""


@dataclass(frozen=True)
class Incident:
    """A time in which replicas did not answer as recorded."""

    #: The look that began it.
    first: Sight
    #: Whether Ray Serve was told the record since.
    told: bool = False
    #: What was in the way last.
    obstacle: str = ""
    #: Since when they answer as recorded again; ``None`` while they do not.
    well_since: datetime | None = None
    #: Whether it is recorded that it lasts.
    is_known_to_last: bool = False


@dataclass(frozen=True)
class Report:
    """What is to be recorded of an incident."""

    recorded: int
    text: str
    #: Whether it is over.
    is_over: bool


def follow(incident: Incident | None, sight: Sight) -> tuple[Incident | None, Report | None]:
    """Returns the incident after another look, if it goes on, and what is to be recorded."""
    if incident is None:
        return (None, None) if sight.is_well else (_seen(Incident(sight), sight), None)
    if sight.recorded != incident.first.recorded:
        said = f"The record names v{sight.recorded} since."
        return None, Report(incident.first.recorded, f"{_begin(incident)} {said}", is_over=True)
    if not sight.is_well:
        return _going_on(_seen(incident, sight), sight.at)
    well_since = incident.well_since or sight.at
    if sight.at - well_since < timedelta(seconds=SETTLED_S):
        return replace(incident, well_since=well_since), None
    after = f"Replicas answered as recorded after {_seconds(incident, well_since)}."
    return None, Report(sight.recorded, f"{_begin(incident)} {after}", is_over=True)


def _seen(incident: Incident, sight: Sight) -> Incident:
    return replace(
        incident,
        told=incident.told or sight.told,
        obstacle=sight.obstacle or incident.obstacle,
        well_since=None,
    )


def _going_on(incident: Incident, now: datetime) -> tuple[Incident, Report | None]:
    lasts = now - incident.first.at >= timedelta(seconds=LASTING_S)
    if incident.is_known_to_last or not lasts:
        return incident, None
    why = incident.obstacle or "Replicas have not followed."
    still = f"Replicas do not answer as recorded after {_seconds(incident, now)}: {why}"
    report = Report(incident.first.recorded, f"{_begin(incident)} {still}", is_over=False)
    return replace(incident, is_known_to_last=True), report


def _begin(incident: Incident) -> str:
    """What was found and what was done about it."""
    recorded, served = incident.first.recorded, incident.first.served
    if served is None:
        found = f"Nothing answered where the record says v{recorded}."
    elif served == recorded:
        found = f"v{served} answered with other files than those that were decided on."
    else:
        found = f"v{served} answered where the record says v{recorded}."
    done = "Ray Serve was told the record." if incident.told else "Ray Serve was not told anew."
    return f"{found} {done}"


def _seconds(incident: Incident, until: datetime) -> str:
    return f"{max((until - incident.first.at).total_seconds(), 1):.0f} s"
