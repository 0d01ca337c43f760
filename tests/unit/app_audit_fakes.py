"""An audit trail in memory for the panel's tests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from core.errors import PilothouseError
from core.promotion.audit import Action, AuditEntry, AuditRow, Chosen, Outcome, link
from core.promotion.audit_verify import Finding

KEY = b"k" * 32
START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def make_rows(number: int) -> tuple[AuditRow, ...]:
    """A chain: runs that ann starts, every tenth of them refused and by ben; a minute apart."""
    rows: list[AuditRow] = []
    for place in range(number):
        entry = AuditEntry(
            at=START + timedelta(minutes=place),
            actor="ann",
            role="local operator",
            action=Action.RUN_STARTED,
            object=f"run {place + 1}",
            problem="titanic",
            reason="=1+1",
            detail="profile 2c-2g\nmore for machines",
        )
        if place % 10 == 9:
            entry = replace(entry, actor="ben", outcome=Outcome.REFUSED)
        rows.append(link(KEY, entry, rows[-1] if rows else None))
    return tuple(rows)


@dataclass(frozen=True)
class FakeVerification:
    at: datetime
    rows: int
    findings: tuple[Finding, ...]
    anchored: int | None

    @property
    def is_whole(self) -> bool:
        return not self.findings


@dataclass
class FakeAudit:
    rows: tuple[AuditRow, ...] = ()
    findings: tuple[Finding, ...] = ()
    failure: PilothouseError | None = None
    verified: int = 0
    asked: list[Chosen] = field(default_factory=list)

    def list(
        self, limit: int | None, chosen: Chosen | None = None, *, offset: int = 0
    ) -> tuple[AuditRow, ...]:
        found = self._chosen(chosen or Chosen())[offset:]
        return found if limit is None else found[:limit]

    def count(self, chosen: Chosen) -> int:
        if self.failure:
            raise self.failure
        self.asked.append(chosen)
        return len(self._chosen(chosen))

    def actors(self) -> tuple[str, ...]:
        return tuple(sorted({row.entry.actor for row in self.rows}))

    def verify(self) -> FakeVerification:
        self.verified += 1
        return FakeVerification(datetime.now(UTC), len(self.rows), self.findings, len(self.rows))

    def _chosen(self, chosen: Chosen) -> tuple[AuditRow, ...]:
        names = ("problem", "actor", "action", "outcome")
        wanted = {name: value for name in names if (value := getattr(chosen, name))}
        return tuple(
            row
            for row in reversed(self.rows)
            if all(getattr(row.entry, name) == value for name, value in wanted.items())
            and (chosen.since is None or row.entry.at >= chosen.since)
            and (chosen.until is None or row.entry.at < chosen.until)
        )
