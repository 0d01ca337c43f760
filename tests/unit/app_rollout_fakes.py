"""Rollouts and error budgets in memory, as the panel asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from core.deployment.metrics import BOUNDS_S
from core.errors import PilothouseError
from core.params_rollout import SloParams
from core.rollout.notes import (
    DIFFERENCE_BINS,
    PROBABILITY_BINS,
    Disagreement,
    RolloutNotes,
    ShadowNotes,
    VersionNotes,
)
from core.rollout.slo import Budget
from core.rollout.steps import Guard, GuardVerdict, Move, StepDecision
from core.rollout.values import Rollout, RolloutKind, RolloutStatus
from core.rollout.view import RolloutView

NOW = datetime.now(UTC)


def make_rollout(version: int = 4, **changed: object) -> Rollout:
    """A canary beside v3, in the first of three steps."""
    rollout = Rollout(
        id=f"rollout-{version}",
        problem="titanic",
        kind=RolloutKind.CANARY,
        version=version,
        run_id=f"{version:032x}",
        incumbent_version=3,
        status=RolloutStatus.RUNNING,
        shares=(0.1, 0.5, 1.0),
        step=0,
        step_since=NOW - timedelta(minutes=2),
        started_by="ada",
        started_at=NOW - timedelta(minutes=2),
        reason="better where it counts",
        source="runs:/4/model",
        bundle_sha256="ab" * 32,
        request_id=f"req-{version}",
    )
    return replace(rollout, **changed)


def make_shadow(version: int = 2, **changed: object) -> Rollout:
    own = {"kind": RolloutKind.SHADOW, "shares": (0.5,), "request_id": None}
    return make_rollout(version, **{**own, **changed})


def counts_at(bins: int, at: Mapping[int, int]) -> tuple[int, ...]:
    return tuple(at.get(index, 0) for index in range(bins))


def make_notes(requests: int = 100, **changed: object) -> VersionNotes:
    """Each request has one row; all of them take between 2 and 3 ms, at a probability of 0.2."""
    bound = BOUNDS_S.index(0.003)
    notes = VersionNotes(
        requests=requests,
        rows=requests,
        seconds=0.0025 * requests,
        durations=counts_at(len(BOUNDS_S) + 1, {bound: requests}),
        probabilities=counts_at(PROBABILITY_BINS, {20: requests}),
    )
    return notes.model_copy(update=changed)


def make_shadow_notes(**changed: object) -> ShadowNotes:
    durations = counts_at(len(BOUNDS_S) + 1, {BOUNDS_S.index(0.001): 400})
    notes = ShadowNotes(
        requests=400,
        failed=3,
        skipped=7,
        rows=400,
        agreed=380,
        differences=counts_at(DIFFERENCE_BINS, {40: 390, 70: 10}),
        production_durations=durations,
        shadow_durations=durations,
        worst=(
            Disagreement(
                at=NOW,
                request_id="7" * 32,
                row=2,
                record={"Sex": "female", "Age": None, "Fare": 80.5},
                production=0.91,
                shadow=0.16,
            ),
        ),
        failure="The session ended.",
    )
    return notes.model_copy(update=changed)


def make_guards(verdict: GuardVerdict = GuardVerdict.OK) -> tuple[Guard, ...]:
    return (
        Guard("loads", GuardVerdict.OK, None, None, "No replica says that it cannot load v4."),
        Guard("error rate", verdict, 0.04, 0.01, "4 % of 100 requests to v4 failed."),
    )


def make_decision(move: Move = Move.WAIT, **changed: object) -> StepDecision:
    decision = StepDecision(
        move=move,
        reason="10 % for 3 more minutes, then 50 %.",
        guards=make_guards(),
        seconds_left=180.0,
        requests_missing=20,
    )
    return replace(decision, **changed)


def make_budget(**changed: object) -> Budget:
    budget = Budget(
        problem="titanic",
        objective=SloParams(availability=0.99, p95_ms=100.0, window_days=7),
        requests=10_000,
        errors=25,
        slow=99.7,
        availability=0.9975,
        within=0.99,
        spent_errors=0.25,
        spent_slow=0.2,
        is_spent=False,
        said="Of the error budget, 25 % is spent.",
    )
    return replace(budget, **changed)


@dataclass
class FakeRollouts:
    #: Newest first.
    listed: list[Rollout] = field(default_factory=list)
    #: Rollout -> what is seen of it; otherwise nothing was noted.
    views: dict[str, RolloutView] = field(default_factory=dict)
    failure: PilothouseError | None = None
    #: Why the next action is refused.
    refusal: PilothouseError | None = None
    started: list[tuple[str, int, float | None, str, str, str]] = field(default_factory=list)
    done: list[tuple[str, str, str, str]] = field(default_factory=list)

    def show(self, rollout: Rollout, **seen: object) -> None:
        """Makes a rollout the newest, with what is seen of it."""
        self.listed.insert(0, rollout)
        view = RolloutView(rollout, RolloutNotes())
        self.views[rollout.id] = replace(view, **seen)

    def active(self, problem: str) -> Rollout | None:
        self._answer()
        return next((one for one in self.listed if one.status.is_active), None)

    def list(self, problem: str | None = None, limit: int | None = None) -> tuple[Rollout, ...]:
        self._answer()
        return tuple(self.listed[:limit])

    def view(self, rollout: Rollout) -> RolloutView:
        known = self.views.get(rollout.id)
        return replace(known, rollout=rollout) if known else RolloutView(rollout, RolloutNotes())

    def shadows(
        self, problem: str, version: int, before: datetime | None = None
    ) -> tuple[RolloutView, ...]:
        self._answer()
        return tuple(
            self.view(one)
            for one in self.listed
            if one.kind is RolloutKind.SHADOW and one.version == version
        )

    def start_shadow(
        self,
        problem: str,
        version: int,
        *,
        actor: str,
        reason: str,
        share: float | None = None,
        despite_budget: str = "",
    ) -> Rollout:
        self._act()
        self.started.append((problem, version, share, actor, reason, despite_budget))
        rollout = make_shadow(version, shares=(share or 1.0,), reason=reason, started_by=actor)
        self.listed.insert(0, rollout)
        return rollout

    def hold(self, problem: str, *, actor: str, reason: str) -> Rollout:
        because = f"{actor} holds it: {reason}"
        return self._become("hold", actor, reason, status=RolloutStatus.HELD, held_because=because)

    def resume(self, problem: str, *, actor: str, reason: str) -> Rollout:
        running = RolloutStatus.RUNNING
        return self._become("resume", actor, reason, status=running, held_because="")

    def stop(self, problem: str, *, actor: str, reason: str) -> Rollout:
        ended = {"ended_at": datetime.now(UTC), "ended_by": actor, "end_reason": reason}
        return self._become("stop", actor, reason, status=RolloutStatus.STOPPED, **ended)

    def _become(self, verb: str, actor: str, reason: str, **changed: object) -> Rollout:
        self._act()
        self.done.append((verb, "titanic", actor, reason))
        self.listed[0] = replace(self.listed[0], **changed)
        return self.listed[0]

    def _answer(self) -> None:
        if self.failure:
            raise self.failure

    def _act(self) -> None:
        if self.refusal:
            raise self.refusal


@dataclass
class FakeSlo:
    budget: Budget | None = None
    failure: PilothouseError | None = None

    def look(self, problem: str) -> Budget | None:
        if self.failure:
            raise self.failure
        return self.budget
