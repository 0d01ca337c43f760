"""What was measured of a rollout as data frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import pandas as pd

from app.components import words
from app.rollout.figures import Figures, figures, percent
from core.rollout.guards import ERROR_RATE, P95_LATENCY
from core.rollout.notes import Disagreement, RolloutNotes
from core.rollout.steps import Guard, GuardVerdict
from core.rollout.values import Rollout, RolloutKind, RolloutStatus

#: A sign before the word, so that colour is never the only hint.
_STATUS_SIGNS = {
    RolloutStatus.RUNNING: "▶",
    RolloutStatus.HELD: "❚❚",
    RolloutStatus.DONE: "✓",
    RolloutStatus.STOPPED: "■",
    RolloutStatus.ROLLED_BACK: "✕",
}
#: Those that speak against a version first.
_ORDER = (
    GuardVerdict.FAILED,
    GuardVerdict.UNSURE,
    GuardVerdict.CANNOT_TELL,
    GuardVerdict.OK,
)


def status_word(status: RolloutStatus) -> str:
    """Where a rollout stands, as a word with a sign."""
    return f"{_STATUS_SIGNS[status]} {status.value}"


def worst_first(guards: Sequence[Guard]) -> tuple[Guard, ...]:
    """Guards in the order in which they are read."""
    return tuple(sorted(guards, key=lambda one: _ORDER.index(one.verdict)))


def guards_frame(guards: Sequence[Guard], marks: Mapping[GuardVerdict, str]) -> pd.DataFrame:
    """Guards as rows of Markdown; ``marks`` draws each verdict."""
    return pd.DataFrame(
        {
            "Guard": [f"**{words.plain(one.name)}**" for one in guards],
            "Verdict": [marks[one.verdict] for one in guards],
            "Measured": [_in_its_unit(one.name, one.measured) for one in guards],
            "Limit": [_in_its_unit(one.name, one.limit) for one in guards],
            "Reason": [words.plain(one.reason) for one in guards],
        }
    )


def sides_frame(sides: Mapping[str, Figures]) -> pd.DataFrame:
    """Versions as columns, what was measured of them as rows."""
    return pd.DataFrame(
        {
            name: {
                "Requests": f"{one.requests:,}",
                "Failed": _failed(one),
                "p50": _milliseconds(one.p50_ms),
                "p95": _milliseconds(one.p95_ms),
                "Rows": f"{one.rows:,}",
                "Mean probability": _number(one.mean_probability),
            }
            for name, one in sides.items()
        }
    )


def steps_frame(canary: Rollout, notes: RolloutNotes) -> pd.DataFrame:
    """What both versions have answered in each step that a canary has come to; none if nothing."""
    rows = []
    for step, target in enumerate(canary.shares[: canary.step + 1]):
        sides = {one: notes.of(step, one) for one in (canary.version, canary.incumbent_version)}
        asked = sum(one.requests for one in sides.values())
        if not asked:
            continue
        row = {"Step": percent(target), "Share": percent(sides[canary.version].requests / asked)}
        for version, noted in sides.items():
            found = figures(noted)
            row[f"Requests v{version}"] = f"{found.requests:,}"
            row[f"Failed v{version}"] = _failed(found)
            row[f"p95 v{version}"] = _milliseconds(found.p95_ms)
        rows.append(row)
    return pd.DataFrame(rows)


def disagreements_frame(
    worst: Sequence[Disagreement], production: str, shadow: str
) -> pd.DataFrame:
    """Records on which both versions differ, in the order given."""
    names = list(dict.fromkeys(name for one in worst for name in one.record))
    return pd.DataFrame(
        {
            production: [one.production for one in worst],
            shadow: [one.shadow for one in worst],
            "Difference": [one.shadow - one.production for one in worst],
            # As texts: a column may hold numbers of one record and a word of another.
            **{name: [_input(one.record.get(name)) for one in worst] for name in names},
            "When (UTC)": [_naive(one.at) for one in worst],
            "Record": [one.row for one in worst],
            "Request": [f"trace?request={one.request_id}" for one in worst],
        }
    )


def rollouts_frame(rollouts: Sequence[Rollout]) -> pd.DataFrame:
    """Rollouts as rows, in the order given."""
    return pd.DataFrame(
        {
            "Version": [f"v{one.version}" for one in rollouts],
            "Kind": [one.kind.value for one in rollouts],
            "Status": [status_word(one.status) for one in rollouts],
            "Share": [
                percent(one.share)
                if one.kind is RolloutKind.SHADOW
                else f"{percent(one.share)}, step {one.step + 1} of {len(one.shares)}"
                for one in rollouts
            ],
            "Beside": [f"v{one.incumbent_version}" for one in rollouts],
            "From (UTC)": [_naive(one.started_at) for one in rollouts],
            "To (UTC)": [
                None if one.ended_at is None else _naive(one.ended_at) for one in rollouts
            ],
            "Started by": [one.started_by for one in rollouts],
            "Because": [one.reason for one in rollouts],
            "Ended by": [one.ended_by or "" for one in rollouts],
            "Ended because": [one.end_reason for one in rollouts],
            "Rollout": [one.id for one in rollouts],
        }
    )


def _in_its_unit(guard: str, value: float | None) -> str:
    if value is None:
        return words.NOTHING
    if guard == ERROR_RATE:
        return percent(value)
    return _milliseconds(value) if guard == P95_LATENCY else _number(value)


def _failed(one: Figures) -> str:
    share = "" if one.failed_share is None else f" ({percent(one.failed_share)})"
    return f"{one.failed:,}{share}"


def _number(value: float | None) -> str:
    return words.NOTHING if value is None else f"{value:.3g}"


def _milliseconds(value: float | None) -> str:
    return words.NOTHING if value is None else f"{words.milliseconds(value)} ms"


def _input(value: float | str | None) -> str:
    return words.NOTHING if value is None else f"{value:g}" if isinstance(value, float) else value


def _naive(moment: datetime) -> datetime:
    # Without a zone: pyarrow's way with zoned columns is deprecated in pandas.
    return words.utc(moment).replace(tzinfo=None)
