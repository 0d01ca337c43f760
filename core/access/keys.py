"""Makes, lists and revokes keys of the served models."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from core.access.serving_key import NewKey, Scope, ServingKey, digest_of, draw_id, draw_token
from core.access.use import forget_old, key_use_folder, read_use
from core.adapters.database_keys import KeyRecords
from core.errors import InvalidInputError, NotFoundError, Offence, PilothouseError
from core.promotion.audit import Action
from core.promotion.trail import AuditTrail

LOG = logging.getLogger(__name__)
LONGEST_NAME = 64


class HandsOutKeys(Protocol):
    """Who tells replicas of keys."""

    def hand_out_keys(self) -> bool:
        """Gives replicas the keys of now; says whether they had others."""


class KeyService:
    """The keys of one installation.

    What changes here is told to the replicas at once; where that fails the worker does it.
    """

    def __init__(
        self,
        problems: Collection[str],
        records: KeyRecords,
        serving: HandsOutKeys,
        home: Path,
        trail: AuditTrail,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._problems = tuple(problems)
        self._records = records
        self._serving = serving
        self._use = key_use_folder(home)
        self._trail = trail
        self._clock = clock
        self._carried: dict[str, float] = {}

    def make(
        self,
        problem: str,
        name: str,
        scopes: Sequence[Scope],
        expires_at: datetime | None = None,
        *,
        requests_per_second: float | None = None,
        actor: str,
    ) -> NewKey:
        """Makes a key of one problem; its token can never be shown again.

        Args:
            problem: the one problem it is for.
            name: what people call it, such as the caller that gets it.
            scopes: what it may be used for, at least one.
            expires_at: from when on it is refused, with its time zone; ``None`` for never.
            requests_per_second: in place of ``serving.limits.requests_per_second``.
            actor: who makes it.

        Raises:
            ForbiddenError: the actor may not.
            NotFoundError: there is no such problem.
            InvalidInputError: a value breaks its rule; every offence is named.
            UnavailableError: the database does not answer.
        """
        now = self._clock()
        key = ServingKey(
            id=draw_id(),
            problem=problem,
            name=name.strip(),
            scopes=tuple(scope for scope in Scope if scope in scopes),
            created_at=now,
            created_by=actor,
            expires_at=_in_utc(expires_at),
            requests_per_second=requests_per_second,
        )
        token = draw_token(key.id)
        # An unknown problem is not written where the trail keeps problems' names.
        known = problem if problem in self._problems else ""
        with self._trail.act(
            Action.KEY_MADE, actor=actor, object=f"key {key.id}", problem=known
        ) as act:
            self._require_valid(key)
            self._records.add(key, digest_of(token), act.done_with(_told(key)))
        self._tell()
        return NewKey(key, token)

    def list(self, problem: str | None = None) -> tuple[ServingKey, ...]:
        """Every key there ever was, newest first."""
        return self._records.list(problem)

    def revoke(self, key_id: str, *, actor: str) -> ServingKey:
        """Takes a key back; within seconds no replica takes it any more.

        Raises:
            ForbiddenError: the actor may not.
            NotFoundError: there is no such key.
            ConflictError: it was revoked already.
            UnavailableError: the database does not answer.
        """
        with self._trail.act(Action.KEY_REVOKED, actor=actor, object=f"key {key_id}") as act:
            key = self._records.get(key_id)
            act.problem = key.problem
            also = act.done_with(f"{key.name}.")
            self._records.revoke(key.id, by=actor, at=self._clock(), also=also)
        self._tell()
        return self._records.get(key_id)

    def carry_use(self) -> None:
        """Brings what replicas have noted of the keys' use to the database.

        Raises:
            UnavailableError: the database does not answer.
        """
        noted = read_use(self._use)
        news = {k: used_s for k, used_s in noted.items() if used_s > self._carried.get(k, 0.0)}
        if news:
            times = {key_id: datetime.fromtimestamp(used_s, UTC) for key_id, used_s in news.items()}
            self._records.note_use(times)
            self._carried |= news
        forget_old(self._use)

    def _require_valid(self, key: ServingKey) -> None:
        if key.problem not in self._problems:
            raise NotFoundError(
                f"There is no problem called {key.problem[:64]!r}.",
                fix=f"Choose one of: {', '.join(self._problems)}.",
            )
        offences = tuple(_offences(key))
        if offences:
            first = offences[0]
            raise InvalidInputError(
                f"No key was made: {first.field} {first.problem}.", offences=offences
            )

    def _tell(self) -> None:
        try:
            self._serving.hand_out_keys()
        except PilothouseError as exc:
            LOG.warning("the worker has to tell the replicas of a changed key: %s", exc)


def _offences(key: ServingKey) -> Sequence[Offence]:
    found = []
    if not key.name or len(key.name) > LONGEST_NAME or not key.name.isprintable():
        found.append(Offence("name", f"must be one line of 1 to {LONGEST_NAME} characters"))
    if not key.scopes:
        found.append(Offence("scopes", f"must be among {', '.join(Scope)}, at least one"))
    if key.expires_at is not None:
        if key.expires_at.tzinfo is None:
            found.append(Offence("expires_at", "must have a time zone"))
        elif key.expires_at <= key.created_at:
            found.append(Offence("expires_at", "must be in the future"))
    rate = key.requests_per_second
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        found.append(Offence("requests_per_second", "must be above 0"))
    return found


def _in_utc(at: datetime | None) -> datetime | None:
    # One without a zone is refused below; SQLite would forget any other.
    return at if at is None or at.tzinfo is None else at.astimezone(UTC)


def _told(key: ServingKey) -> str:
    until = f" until {key.expires_at:%Y-%m-%d %H:%M} UTC" if key.expires_at else ""
    return f"{key.name}: {', '.join(key.scopes)}{until}."
