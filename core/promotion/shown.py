"""What the registry is to show of the decisions: a pure function of record and requests."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.domain import GateResult, Promotion, PromotionRequest, RequestStatus
from core.promotion.change import Unfinished
from core.rollout.values import Rollout, RolloutKind

PRODUCTION_STATE, STAGING_STATE, ARCHIVED_STATE = "production", "staging", "archived"
KEPT_OUT_STATE = "kept out"
#: Rules by which a promotion takes another one back: a person's, and the worker's.
ROLLBACK, AUTOMATIC_ROLLBACK = "rollback", "automatic rollback"


@dataclass(frozen=True)
class Shown:
    """Aliases, and the tags of the versions that decisions were about."""

    #: Version under the alias ``production``; ``None`` before the first promotion.
    production: int | None
    #: Version under the alias ``staging``; ``None`` where nobody waits.
    staging: int | None
    #: Version under the alias ``shadow``; ``None`` where none is scored in the shadow.
    shadow: int | None
    #: Version -> its promotion state.
    states: Mapping[int, str]
    #: Version -> the verdicts of its last request, in one line.
    gates: Mapping[int, str]


def shown(
    record: Sequence[Promotion],
    requests: Sequence[PromotionRequest],
    rollout: Rollout | None = None,
) -> Shown:
    """What the registry shows once every decision is carried out.

    Args:
        record: the promotion record of a problem, newest first.
        requests: its promotion requests, newest first.
        rollout: its rollout that is active.
    """
    oldest_first = list(reversed(requests))
    open_ones = [one.version for one in requests if one.status is RequestStatus.OPEN]
    states = {one.version: one.status.value for one in oldest_first}
    states.update({one.version: ARCHIVED_STATE for one in record})
    states.update(dict.fromkeys(open_ones, STAGING_STATE))
    if record:
        states[record[0].version] = PRODUCTION_STATE
    return Shown(
        production=record[0].version if record else None,
        staging=open_ones[0] if open_ones else None,
        shadow=rollout.version if rollout and rollout.kind is RolloutKind.SHADOW else None,
        states=states,
        gates={one.version: summary(one.gates) for one in oldest_first if one.gates},
    )


def touched(record: Sequence[Promotion], left: Unfinished) -> tuple[int, ...]:
    """Versions whose tags unfinished decisions may have changed, in order.

    Args:
        record: the promotion record of a problem, newest first.
        left: what the registry does not show yet.
    """
    waiting = {one.id for one in left.promotions}
    before = {
        older.version for younger, older in itertools.pairwise(record) if younger.id in waiting
    }
    promoted = {one.version for one in left.promotions}
    return tuple(sorted(before | promoted | {one.version for one in left.requests}))


def summary(gates: Sequence[GateResult]) -> str:
    """Every gate with its verdict, in one line."""
    return "; ".join(f"{gate.gate}: {gate.verdict.value}" for gate in gates)


def fallbacks(record: Sequence[Promotion]) -> tuple[Promotion, ...]:
    """Where a person may go back to from what serves, best first.

    These are earlier versions, newest first. One from which somebody has already gone back
    is left out unless it was promoted again since.

    Args:
        record: the promotion record of a problem, newest first.
    """
    undone = {one.undoes for one in record}
    return tuple(one for one in _earlier(record) if one.id not in undone)


def last_resorts(record: Sequence[Promotion]) -> tuple[Promotion, ...]:
    """Earlier versions from which a person has gone back, newest first.

    They have served, which is better than nothing. One that was taken back because it could
    not be served is not among them.
    """
    undone = {one.undoes for one in record if one.rule == ROLLBACK}
    return tuple(one for one in _earlier(record) if one.id in undone)


def _earlier(record: Sequence[Promotion]) -> tuple[Promotion, ...]:
    """The newest entry of each version but the one that serves, newest first."""
    newest_of: dict[int, Promotion] = {}
    for one in record:
        newest_of.setdefault(one.version, one)
    return tuple(newest_of.values())[1:]


@dataclass(frozen=True)
class AliasDrift:
    """An alias in the registry that points elsewhere than the record says."""

    alias: str
    #: Version by the record; ``None`` where the alias should not be.
    recorded: int | None
    #: Version in the registry; ``None`` where the alias is gone.
    found: int | None

    def said(self) -> str:
        """It in one sentence."""
        here = f"v{self.found}" if self.found is not None else "no version"
        record = f"v{self.recorded}" if self.recorded is not None else "no version"
        return f"The alias {self.alias} points at {here}; the record says {record}."


def alias_drift(
    wanted: Mapping[str, int | None], found: Mapping[str, int]
) -> tuple[AliasDrift, ...]:
    """Aliases that were moved behind the record's back, in alphabetical order.

    Args:
        wanted: alias -> version by the record.
        found: alias -> version in the registry; other aliases are nobody's business.
    """
    return tuple(
        AliasDrift(alias, version, found.get(alias))
        for alias, version in sorted(wanted.items())
        if found.get(alias) != version
    )
