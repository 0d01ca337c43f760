"""The tables of Pilothouse's database and how their rows become values."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from core.domain import (
    GateResult,
    Progress,
    Promotion,
    PromotionRequest,
    RequestStatus,
    Run,
    RunStatus,
    Stage,
    Verdict,
)

METADATA = sa.MetaData()
ACTIVE = sa.text("status IN ('queued', 'running')")
OPEN = sa.text("status = 'open'")
RUNS = sa.Table(
    "runs",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("problem", sa.String(64), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("profile", sa.String(32), nullable=False),
    sa.Column("started_by", sa.String(128), nullable=False),
    sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("ended_at", sa.DateTime(timezone=True)),
    sa.Column("stage", sa.String(32)),
    sa.Column("percent", sa.Integer, nullable=False, default=0),
    sa.Column("message", sa.Text, nullable=False, default=""),
    sa.Column("error", sa.Text),
    sa.Column("model_version", sa.Integer),
    sa.Column("considered", sa.Boolean, nullable=False, default=False),
    # At most one active run a problem, whoever asks at the same time.
    sa.Index(
        "one_active_run", "problem", unique=True, sqlite_where=ACTIVE, postgresql_where=ACTIVE
    ),
)
REQUESTS = sa.Table(
    "promotion_requests",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("problem", sa.String(64), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("requested_by", sa.String(128), nullable=False),
    sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("incumbent_version", sa.Integer),
    sa.Column("gates", sa.Text, nullable=False),
    sa.Column("decided_by", sa.String(128)),
    sa.Column("decided_at", sa.DateTime(timezone=True)),
    sa.Column("reason", sa.Text),
    sa.Column("evidence_path", sa.Text, nullable=False, default=""),
    sa.Column("evidence_sha256", sa.String(64), nullable=False, default=""),
    sa.Column("superseded_by", sa.String(64)),
    sa.Column("request_reason", sa.Text, nullable=False, default=""),
    # Alias and tags in the registry follow it; until then this is false.
    sa.Column("projected", sa.Boolean, nullable=False, default=False),
    # At most one waits a problem, whoever opens one at the same time.
    sa.Index("one_open_request", "problem", unique=True, sqlite_where=OPEN, postgresql_where=OPEN),
)
APPROVALS = sa.Table(
    "approvals",
    METADATA,
    sa.Column("request_id", sa.String(64), primary_key=True),
    # One person approves once.
    sa.Column("approved_by", sa.String(128), primary_key=True),
    sa.Column("approved_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)
PROMOTIONS = sa.Table(
    "promotions",
    METADATA,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(64), nullable=False, unique=True),
    sa.Column("problem", sa.String(64), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("rule", sa.String(32), nullable=False),
    sa.Column("decided_by", sa.String(128), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("since", sa.DateTime(timezone=True), nullable=False),
    sa.Column("request_id", sa.String(64)),
    # Alias, tags and deployment follow the record; until then this is false.
    sa.Column("projected", sa.Boolean, nullable=False, default=False),
    sa.Column("live_at", sa.DateTime(timezone=True)),
    sa.Column("undoes", sa.String(64)),
    sa.Column("four_eyes", sa.Text, nullable=False, default=""),
    sa.Column("passed_over", sa.Text, nullable=False, default="[]"),
    sa.Column("source", sa.Text, nullable=False, default=""),
    sa.Column("bundle_sha256", sa.String(64), nullable=False, default=""),
)

Row = Mapping[str, Any] | sa.RowMapping
#: A transaction that services hand on without looking into it.
Connection = sa.Connection
#: What else is written in the transaction of something, before it.
Also = Callable[[Connection], object]


def run_values(run: Run) -> dict[str, Any]:
    """The columns of a run."""
    progress = run.progress
    return {
        "id": run.id,
        "problem": run.problem,
        "status": run.status.value,
        "profile": run.profile,
        "started_by": run.started_by,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "stage": progress.stage.value if progress else None,
        "percent": progress.percent if progress else 0,
        "message": progress.message if progress else "",
        "error": run.error,
        "model_version": run.model_version,
    }


def run_from(row: Row) -> Run:
    """The run in a row."""
    progress = None
    if row["stage"] is not None:
        progress = Progress(Stage(row["stage"]), row["percent"], row["message"])
    return Run(
        id=row["id"],
        problem=row["problem"],
        status=RunStatus(row["status"]),
        profile=row["profile"],
        started_by=row["started_by"],
        started_at=utc(row["started_at"]),
        ended_at=utc(row["ended_at"]) if row["ended_at"] else None,
        progress=progress,
        error=row["error"],
        model_version=row["model_version"],
    )


def request_values(request: PromotionRequest) -> dict[str, Any]:
    """The columns of a promotion request."""
    values = asdict(request)
    gates = [asdict(gate) for gate in request.gates]
    return values | {"status": request.status.value, "gates": json.dumps(gates)}


def request_from(row: Row) -> PromotionRequest:
    """The promotion request in a row."""
    gates = tuple(
        GateResult(**{**gate, "verdict": Verdict(gate["verdict"])})
        for gate in json.loads(row["gates"])
    )
    own = {key: row[key] for key in PromotionRequest.__dataclass_fields__}
    values = {
        **own,
        "gates": gates,
        "status": RequestStatus(row["status"]),
        "requested_at": utc(row["requested_at"]),
        "decided_at": utc(row["decided_at"]) if row["decided_at"] else None,
    }
    return PromotionRequest(**values)


def promotion_values(promotion: Promotion) -> dict[str, Any]:
    """The columns of an entry of the promotion record."""
    return asdict(promotion) | {"passed_over": json.dumps(promotion.passed_over)}


def promotion_from(row: Row) -> Promotion:
    """The entry of the promotion record in a row."""
    own = {key: row[key] for key in Promotion.__dataclass_fields__}
    times = {"since": utc(row["since"]), "live_at": utc(row["live_at"]) if row["live_at"] else None}
    passed_over = tuple(json.loads(row["passed_over"]))
    return Promotion(**{**own, **times, "passed_over": passed_over})


def utc(value: datetime) -> datetime:
    """A time as it was written."""
    # SQLite forgets the zone; everything is written in UTC.
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
