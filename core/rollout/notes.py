"""What replicas note of a rollout: one small file a replica, which the core reads and adds up.

A replica replaces its file every second while the rollout is active and leaves it behind when it
ends, so that what it has counted is not lost with it. Counts are by step and version: nobody has
to remember what was counted before a step began, and a worker that is started anew sees the same.
"""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from pydantic import Field, ValidationError

from core.frozen import Frozen

#: Equal bins of probabilities between 0 and 1, and of their differences between -1 and 1.
PROBABILITY_BINS, DIFFERENCE_BINS = 100, 80
#: A replica that cannot load a version says so each second; an older word is of one that has gone.
FAILURE_STALE_S = 30.0


class VersionNotes(Frozen):
    """What one version was asked in one step.

    ``durations`` counts answers by the bounds ``BOUNDS_S`` of ``core.deployment.metrics``, the
    last of it above every bound; not cumulative. ``probabilities`` counts rows by
    ``PROBABILITY_BINS``. ``failed`` are those of the requests that it could not answer, whoever
    answered in its place.
    """

    requests: int = 0
    failed: int = 0
    rows: int = 0
    seconds: float = 0.0
    durations: tuple[int, ...] = ()
    probabilities: tuple[int, ...] = ()

    @property
    def answered(self) -> int:
        """Requests that it has answered itself."""
        return self.requests - self.failed


class Disagreement(Frozen):
    """One record on which both versions differ."""

    at: datetime
    request_id: str
    #: Index of the record in its request.
    row: int
    #: Inputs by name; ``None`` where one is missing.
    record: Mapping[str, float | str | None]
    #: Probability of the positive class by Production and by the shadow.
    production: float
    shadow: float


class ShadowNotes(Frozen):
    """How a shadow compares with Production.

    ``skipped`` are requests of its share that were not compared, because too many waited.
    ``agreed`` are rows with the same label. ``differences`` counts rows by shadow minus
    Production in ``DIFFERENCE_BINS``. Durations, of scoring alone, are as in ``VersionNotes``.
    ``worst`` has the largest difference first.
    """

    requests: int = 0
    failed: int = 0
    skipped: int = 0
    rows: int = 0
    agreed: int = 0
    differences: tuple[int, ...] = ()
    production_durations: tuple[int, ...] = ()
    shadow_durations: tuple[int, ...] = ()
    worst: tuple[Disagreement, ...] = ()
    failure: str = ""


class RolloutNotes(Frozen):
    """What one replica has noted, or all of them together.

    ``steps`` has step -> version -> what it answered; ``failure`` why the version cannot be
    loaded, empty if it is.
    """

    steps: Mapping[int, Mapping[int, VersionNotes]] = Field(default_factory=dict)
    shadow: ShadowNotes = ShadowNotes()
    failure: str = ""

    def of(self, step: int, version: int) -> VersionNotes:
        """What a version has answered in a step; zeros where it has not."""
        return self.steps.get(step, {}).get(version, VersionNotes())


def rollouts_folder(home: Path) -> Path:
    """Folder of the notes of all rollouts."""
    return home / "rollouts"


def notes_file(folder: Path, rollout_id: str, replica: str) -> Path:
    """The file of a replica."""
    return folder / rollout_id / f"{replica}.json"


def write_notes(folder: Path, rollout_id: str, replica: str, notes: RolloutNotes) -> None:
    """Replaces the file of a replica, wholly or not at all.

    Raises:
        OSError: it cannot be written.
    """
    file = notes_file(folder, rollout_id, replica)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unborn = file.with_name(f".{file.name}")
    unborn.write_text(notes.model_dump_json(), encoding="utf-8")
    unborn.replace(file)


def read_notes(folder: Path, rollout_id: str, examples: int) -> RolloutNotes:
    """What all replicas have noted of a rollout; zeros where none has.

    ``examples`` is how many records that disagree are told at most.
    """
    found = []
    for file in sorted((folder / rollout_id).glob("[!.]*.json")):
        try:
            notes = RolloutNotes.model_validate_json(file.read_bytes())
            age_s = time.time() - file.stat().st_mtime
        except (OSError, ValidationError):
            # Of another release, or just being taken away: the others count.
            continue
        if notes.failure and age_s > FAILURE_STALE_S:
            # A replica that could not load it and has gone since: what it has counted stays.
            notes = notes.model_copy(update={"failure": ""})
        found.append(notes)
    return add_up(found, examples)


def forget_notes(folder: Path, before: datetime) -> None:
    """Removes the notes of rollouts of which nothing was written since a moment."""
    for of_rollout in folder.glob("*/"):
        written = [file.stat().st_mtime for file in of_rollout.glob("[!.]*")]
        if max(written, default=0.0) < before.timestamp():
            shutil.rmtree(of_rollout, ignore_errors=True)


def add_up(notes: Iterable[RolloutNotes], examples: int) -> RolloutNotes:
    """Several replicas' notes as one."""
    every = tuple(notes)
    steps: dict[int, dict[int, VersionNotes]] = {}
    for one in every:
        for step, versions in one.steps.items():
            of_step = steps.setdefault(step, {})
            for version, told in versions.items():
                of_step[version] = _sum(of_step.get(version, VersionNotes()), told)
    shadow = ShadowNotes()
    for one in every:
        shadow = _sum_shadow(shadow, one.shadow, examples)
    failure = next((one.failure for one in every if one.failure), "")
    return RolloutNotes(steps=steps, shadow=shadow, failure=failure)


def said_of_shadow(notes: ShadowNotes) -> str:
    """What a shadow has come to, in words."""
    if not notes.rows:
        return "No record was compared."
    said = (
        f"{notes.rows:,} records of {notes.requests:,} requests compared, "
        f"{100 * notes.agreed / notes.rows:.2f} % with the same label."
    )
    if notes.failed:
        said += f" {notes.failed:,} requests failed."
    if notes.skipped:
        said += f" {notes.skipped:,} were not compared, because too many waited."
    return said


def _sum(a: VersionNotes, b: VersionNotes) -> VersionNotes:
    return VersionNotes(
        requests=a.requests + b.requests,
        failed=a.failed + b.failed,
        rows=a.rows + b.rows,
        seconds=a.seconds + b.seconds,
        durations=_counts(a.durations, b.durations),
        probabilities=_counts(a.probabilities, b.probabilities),
    )


def _sum_shadow(a: ShadowNotes, b: ShadowNotes, examples: int) -> ShadowNotes:
    worst = sorted((*a.worst, *b.worst), key=lambda one: -abs(one.shadow - one.production))
    return ShadowNotes(
        requests=a.requests + b.requests,
        failed=a.failed + b.failed,
        skipped=a.skipped + b.skipped,
        rows=a.rows + b.rows,
        agreed=a.agreed + b.agreed,
        differences=_counts(a.differences, b.differences),
        production_durations=_counts(a.production_durations, b.production_durations),
        shadow_durations=_counts(a.shadow_durations, b.shadow_durations),
        worst=tuple(worst[:examples]),
        failure=a.failure or b.failure,
    )


def _counts(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(x + y for x, y in itertools.zip_longest(a, b, fillvalue=0))
