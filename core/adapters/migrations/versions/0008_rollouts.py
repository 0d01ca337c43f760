"""Rollouts: shadows and canaries."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
ACTIVE = sa.text("status IN ('running', 'held')")


def upgrade() -> None:
    """Adds the table."""
    op.create_table(
        "rollouts",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("problem", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("incumbent_version", sa.Integer, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("shares", sa.Text, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("step_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_by", sa.String(128), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("bundle_sha256", sa.String(64), nullable=False),
        sa.Column("request_id", sa.String(64)),
        sa.Column("promotion", sa.Text),
        sa.Column("held_because", sa.Text, nullable=False, server_default=""),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("ended_by", sa.String(128)),
        sa.Column("end_reason", sa.Text, nullable=False, server_default=""),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("projected", sa.Boolean, nullable=False),
    )
    op.create_index(
        "one_active_rollout",
        "rollouts",
        ["problem"],
        unique=True,
        sqlite_where=ACTIVE,
        postgresql_where=ACTIVE,
    )


def downgrade() -> None:
    """Takes it away again."""
    op.drop_index("one_active_rollout", "rollouts")
    op.drop_table("rollouts")
