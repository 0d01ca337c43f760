"""Which version answers a request while a rollout is on, and who does if it cannot."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from core.errors import InvalidInputError, NotFoundError
from serve.beside import Active
from serve.http import Answer, Scope, header
from serve.predictor import LoadedModel, UnscorableError
from serve.recorder import Answered, Record
from serve.split import CALLER_KEY
from serve.store import Snapshot

logger = logging.getLogger(__name__)

_KEY = CALLER_KEY.lower().encode()
#: Where the scope of a request has its ``Turn``, for who counts the answer.
TURN = "pilothouse.turn"

#: Answers a request by a model; its records go to ``Record``.
Work = Callable[[LoadedModel, Record], Answer]


class Chosen(Protocol):
    """Who answers a request: a model, or one of two."""

    @property
    def max_body_bytes(self) -> int:
        """Largest body of a request."""

    def answers(self, work: Work) -> Callable[[Record], Answer]:
        """What answers the request, given the inference log."""


@dataclass(slots=True)
class Turn:
    """One request of a problem that has a rollout."""

    active: Active
    #: Who was chosen.
    model: LoadedModel
    production: LoadedModel
    #: What the caller goes by; empty where nothing was given.
    key: bytes
    failed: bool = False
    answered: Answered | None = None

    @property
    def max_body_bytes(self) -> int:
        """Largest body of a request."""
        return self.model.max_body_bytes

    def answers(self, work: Work) -> Callable[[Record], Answer]:
        """As ``Chosen`` says."""
        return partial(self._answer, work)

    def _answer(self, work: Work, record: Record) -> Answer:
        """Has the chosen version answer, and Production in its place if that fails.

        What breaks the contract is the caller's, and the same for both. Nothing is recorded of
        an attempt that failed.
        """
        if self.model is self.production:
            try:
                answer = work(self.production, self._keep)
            except UnscorableError:
                # The caller is told so, and the version is to blame for it all the same.
                self.failed = True
                raise
        else:
            try:
                answer = work(self.model, self._keep)
            except Exception as exc:
                if isinstance(exc, InvalidInputError) and not isinstance(exc, UnscorableError):
                    raise
                self._fail(exc)
                answer = work(self.production, self._keep)
        if self.answered is not None:
            record(self.answered)
        return answer

    def done(self, status: int, seconds: float) -> None:
        """Counts the answer that has gone out, and offers it to a shadow. Never raises.

        Refusals are left out, since nothing was scored, but for records that a version finds no
        number for.
        """
        try:
            if self.failed or not 400 <= status < 500:
                self._count(was_answered=status < 400, seconds=seconds)
        except Exception:
            logger.exception("an answer of a rollout is not counted")

    def _count(self, *, was_answered: bool, seconds: float) -> None:
        plan, counts, answered = self.active.plan, self.active.counts, self.answered
        failed = self.failed or not was_answered
        counts.note(plan.step, self.model.ref.version, seconds, failed=failed)
        if answered is None or not was_answered:
            return
        counts.add_rows(plan.step, answered.version, answered.probabilities)
        shadow = self.active.shadow
        if shadow is not None and counts.split.takes(plan.share, self.key):
            shadow.offer(answered, self.production)

    def _keep(self, answered: Answered) -> None:
        self.answered = answered

    def _fail(self, exc: Exception) -> None:
        self.failed = True
        self.answered = None
        ref = self.model.ref
        if self.active.counts.is_new(type(exc).__name__):
            # Once a kind: a version that always fails would fill the disk.
            logger.warning("%s v%d cannot answer", ref.problem, ref.version, exc_info=exc)


def choose(snapshot: Snapshot, problem: str, scope: Scope, wanted: str | None = None) -> Chosen:
    """Chooses the version that answers a request for predictions, whatever its protocol.

    One model for the whole request: a switch of versions cannot come in between.

    Args:
        snapshot: what is held.
        problem: what the address says.
        scope: the request; its ``TURN`` is set where there is a rollout.
        wanted: the version that the address names. It is answered by that one or not at all,
            and is no part of the rollout.

    Raises:
        NotFoundError: nothing is served for the problem, or not in this version.
        UnavailableError: its model cannot be loaded.
    """
    production = snapshot.model(problem)
    active = snapshot.beside.get(problem)
    if wanted is not None:
        return of_version(wanted, production, active.canary if active else None)
    if active is None:
        return production
    model, key = production, header(scope, _KEY)
    canary = active.canary
    if canary is not None and active.counts.split.takes(active.plan.share, key):
        model = canary
    turn = scope[TURN] = Turn(active, model, production, key)
    return turn


def of_version(wanted: str, production: LoadedModel, other: LoadedModel | None) -> LoadedModel:
    """The model that has this version.

    Raises:
        NotFoundError: none has.
    """
    for model in (production, other):
        if model is not None and str(model.ref.version) == wanted:
            return model
    raise NotFoundError(
        f"This version of {production.ref.problem} is not served; "
        f"version {production.ref.version} is."
    )
