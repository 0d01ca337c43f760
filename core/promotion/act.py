"""One action on its way into the audit trail."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from core.adapters.database_tables import Also, Connection
from core.errors import InvalidInputError, PilothouseError
from core.promotion.audit import Action, AuditEntry, Outcome
from core.wording import count

if TYPE_CHECKING:
    from core.promotion.trail import AuditTrail


@dataclass
class Act:
    """One action on its way into the trail. What is not known at first is set on the way."""

    _trail: AuditTrail
    action: Action
    actor: str
    object: str
    problem: str
    reason: str
    #: What it is called where it fails, if that is something else.
    refused: Action | None = field(default=None, init=False)
    #: Whether a row was handed over that says it is done.
    is_told: bool = field(default=False, init=False)

    def entry(self, outcome: Outcome, detail: str) -> AuditEntry:
        """The entry that says how it ended."""
        return self._trail.entry(
            self.action,
            actor=self.actor,
            object=self.object,
            problem=self.problem,
            reason=self.reason,
            outcome=outcome,
            detail=detail,
        )

    def done(self, detail: str = "") -> None:
        """Records that it is done, in a transaction of its own.

        Raises:
            UnavailableError: the row cannot be written.
        """
        self._trail.append(self.entry(Outcome.DONE, detail))
        self.is_told = True

    def done_with(self, detail: str = "") -> Also:
        """What records that it is done in the transaction in which it is."""
        return partial(self._tell, self.entry(Outcome.DONE, detail))

    def _tell(self, entry: AuditEntry, connection: Connection) -> None:
        self._trail.append_in(connection, entry)
        self.is_told = True


def said_of(exc: Exception) -> str:
    """What a failure says of itself, for the trail."""
    if not isinstance(exc, PilothouseError):
        return type(exc).__name__
    offences = len(exc.offences) if isinstance(exc, InvalidInputError) else 0
    return f"{exc.message} ({count(offences, 'offence')})" if offences else exc.message
