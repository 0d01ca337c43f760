"""The audit trail as services use it: every action that changes something becomes a row.

When the row is written, and what holds if it cannot be, is in docs/adr/0020-audit-trail.md.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Required, TypedDict, Unpack

from core.adapters.database_audit import EVERY_ROW, AuditRecords
from core.adapters.database_engine import storable
from core.adapters.database_tables import Connection
from core.errors import (
    ForbiddenError,
    PilothouseError,
    TrainingError,
    UnavailableError,
)
from core.promotion.act import Act, said_of
from core.promotion.audit import Action, AuditEntry, AuditRow, Chosen, Outcome
from core.promotion.audit_files import AnchorFile
from core.promotion.audit_verify import BEGINNING, Anchor, Finding, open_anchor, verify
from core.promotion.identity import SYSTEM_ACTORS, Identities

LOG = logging.getLogger(__name__)
#: As the columns are.
_LONGEST = {"actor": 128, "role": 64, "problem": 64, "request_id": 64}
#: What went wrong rather than what was not allowed.
_FAILURES = (UnavailableError, TrainingError)


class Told(TypedDict, total=False):
    """What is told of an action, as the fields of ``AuditEntry`` say."""

    actor: Required[str]
    object: Required[str]
    #: Now, unless the row tells of another time.
    at: datetime
    problem: str
    reason: str
    outcome: Outcome
    request_id: str
    detail: str


@dataclass(frozen=True)
class Verification:
    """What a look at the whole trail has found."""

    at: datetime
    rows: int
    findings: tuple[Finding, ...]
    #: Number of the newest row that the anchor covers; ``None`` where it covers nothing.
    anchored: int | None

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


class AuditTrail:
    """Appends to the trail, keeps its anchor, and reads and verifies it."""

    def __init__(
        self,
        records: AuditRecords,
        anchor: AnchorFile,
        key: bytes,
        identities: Identities,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.records = records
        self._anchor = anchor
        self._key = key
        self._identities = identities
        self._clock = clock

    # Writing

    def entry(self, action: Action, **told: Unpack[Told]) -> AuditEntry:
        """Builds an entry, of now unless told otherwise, under the role that the actor has now."""
        outcome, at = told.pop("outcome", Outcome.DONE), told.pop("at", self._clock())
        texts = {**told, "role": self._identities.role_of(told["actor"])}
        kept = {name: storable(str(text))[: _LONGEST.get(name)] for name, text in texts.items()}
        return AuditEntry(at=at, action=action, outcome=outcome, **kept)

    def record(self, action: Action, **told: Unpack[Told]) -> AuditRow:
        """Appends a row in a transaction of its own and moves the anchor.

        Raises:
            UnavailableError: the row cannot be written.
        """
        return self.append(self.entry(action, **told))

    def append(self, entry: AuditEntry) -> AuditRow:
        """Appends an entry in a transaction of its own and moves the anchor.

        Raises:
            UnavailableError: the row cannot be written.
        """
        row = self.records.append(entry)
        self.anchor()
        return row

    def append_in(self, connection: Connection, entry: AuditEntry) -> AuditRow:
        """Appends an entry in the transaction of what it tells of, before its other writes.

        Call ``anchor`` once the transaction is committed.
        """
        return self.records.append_in(connection, entry)

    @contextmanager
    def act(
        self,
        action: Action,
        *,
        actor: str,
        object: str,
        problem: str = "",
        reason: str = "",
        refused: Action | None = None,
    ) -> Iterator[Act]:
        """Watches over an action: the block says when it is done, a failure is recorded here.

        Whoever has no right to the action does not come into the block.

        What the system itself tries and cannot do is tried again every few seconds; it is in
        the log and, unless a row said that it was done, not in the trail.
        """
        act = Act(self, action, actor, object, problem, reason)
        act.refused = refused
        try:
            self._require_right(action, actor)
            yield act
        except Exception as exc:
            if act.is_told or actor not in SYSTEM_ACTORS:
                self._record_failure(act, exc)
            raise
        finally:
            if act.is_told:
                self.anchor()

    def require(self, action: Action, *, actor: str, object: str, problem: str = "") -> None:
        """Refuses an action that is recorded elsewhere to whoever has no right to it.

        Raises:
            ForbiddenError: the actor has no right to it; that is recorded.
        """
        try:
            self._require_right(action, actor)
        except ForbiddenError as exc:
            self._record_failure(Act(self, action, actor, object, problem, ""), exc)
            raise

    def _require_right(self, action: Action, actor: str) -> None:
        said = self._identities.lacks(actor, action)
        if said:
            raise ForbiddenError(said, fix="Ask one of them, or an admin for another role.")

    def _record_failure(self, act: Act, exc: Exception) -> None:
        is_failure = isinstance(exc, _FAILURES) or not isinstance(exc, PilothouseError)
        outcome = Outcome.FAILED if is_failure else Outcome.REFUSED
        act.action = act.refused or act.action
        entry = act.entry(outcome, said_of(exc))
        try:
            self.append(entry)
        except UnavailableError:
            # Nothing has changed, or a row has said what was begun: the first error counts.
            LOG.exception("the audit trail could not take: %s", entry)

    # The anchor

    def anchor(self) -> None:
        """Moves the anchor to the newest row; what keeps it from that is logged.

        The row is written already. With the anchor behind, the trail is still in order, and
        the worker tries again.
        """
        try:
            self.catch_up()
        except PilothouseError as exc:
            LOG.warning("the anchor of the audit trail stays behind: %s", exc)

    def catch_up(self) -> None:
        """Moves the anchor to the newest row, if the trail is still the one it was set on.

        An anchor that is missing or forged, or a trail that was cut off, is left as it is:
        ``verify`` has to find it.

        Raises:
            UnavailableError: database or anchor cannot be read or written.
            RefusedError: anchor and trail do not go together.
        """
        self._anchor.advance(self._newest(), self.records.hash_at)

    def begin(self) -> None:
        """Sets the anchor of a trail that has no row yet, where its key was brought along.

        Raises:
            UnavailableError: database or anchor cannot be read or written.
        """
        with self._anchor.turn():
            if self._anchor.text() is None and self._newest() == BEGINNING:
                self._anchor.write(BEGINNING)

    def reanchor(self, *, actor: str, reason: str) -> Verification:
        """Sets the anchor on the newest row, whatever it was, and records what was wrong.

        Raises:
            ForbiddenError: the actor may not.
            UnavailableError: database or anchor cannot be read or written.
        """
        self.require(Action.TRAIL_ANCHORED, actor=actor, object="audit trail")
        before = self.verify()
        said = "; ".join(finding.text for finding in before.findings) or "Nothing was wrong."
        # The row comes first: no anchor is set anew without one.
        entry = self.entry(
            Action.TRAIL_ANCHORED, actor=actor, object="audit trail", reason=reason, detail=said
        )
        self.records.append(entry)
        with self._anchor.turn():
            self._anchor.write(self._newest())
        return before

    def _newest(self) -> Anchor:
        rows = self.records.list(1)
        return Anchor(rows[0].sequence, rows[0].hash) if rows else BEGINNING

    # Reading

    def list(
        self, limit: int | None, chosen: Chosen = EVERY_ROW, *, offset: int = 0
    ) -> tuple[AuditRow, ...]:
        """The last rows among those chosen, newest first, ``offset`` of them left out."""
        return self.records.list(limit, chosen, offset=offset)

    def count(self, chosen: Chosen = EVERY_ROW) -> int:
        """How many rows are chosen."""
        return self.records.count(chosen)

    def actors(self) -> tuple[str, ...]:
        """Everybody who has ever acted."""
        return self.records.actors()

    def verify(self) -> Verification:
        """Looks at every row and at the anchor.

        Raises:
            UnavailableError: database or anchor cannot be read.
        """
        # First the anchor: rows that come meanwhile are after it.
        text = self._anchor.text()
        set_on = None if text is None else open_anchor(self._key, text)
        rows = self.records.list(None)
        findings = verify(rows, self._key, text)
        anchored = None if set_on is None else set_on.sequence
        return Verification(self._clock(), len(rows), findings, anchored)
