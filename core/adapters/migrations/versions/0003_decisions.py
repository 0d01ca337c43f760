"""Decisions: frozen evidence, approvals, how far a promotion has come, the audit trail."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

OPEN = sa.text("status = 'open'")


def upgrade() -> None:
    """Adds what decisions need."""
    with op.batch_alter_table("promotion_requests") as table:
        # Where the frozen evidence lies among the run's artifacts, and its SHA-256.
        table.add_column(sa.Column("evidence_path", sa.Text, nullable=False, server_default=""))
        table.add_column(
            sa.Column("evidence_sha256", sa.String(64), nullable=False, server_default="")
        )
        table.add_column(sa.Column("superseded_by", sa.String(64)))
        table.add_column(sa.Column("request_reason", sa.Text, nullable=False, server_default=""))
        # What was decided before this release has long been carried out.
        table.add_column(
            sa.Column("projected", sa.Boolean, nullable=False, server_default=sa.true())
        )
    op.create_index(
        "one_open_request",
        "promotion_requests",
        ["problem"],
        unique=True,
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )
    with op.batch_alter_table("promotions") as table:
        # When replicas first answered with it; empty until then.
        table.add_column(sa.Column("live_at", sa.DateTime(timezone=True)))
        # The promotion that this one takes back.
        table.add_column(sa.Column("undoes", sa.String(64)))
        table.add_column(sa.Column("four_eyes", sa.Text, nullable=False, server_default=""))
        table.add_column(sa.Column("passed_over", sa.Text, nullable=False, server_default="[]"))
        table.alter_column("rule", existing_type=sa.String(16), type_=sa.String(32))
    # Of those nobody noted when replicas followed, which takes seconds.
    op.execute("UPDATE promotions SET live_at = since")
    op.create_table(
        "approvals",
        sa.Column("request_id", sa.String(64), primary_key=True),
        # One person approves once.
        sa.Column("approved_by", sa.String(128), primary_key=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("role", sa.String(64), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("object", sa.Text, nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("problem", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )


def downgrade() -> None:
    """Takes it away again."""
    op.drop_table("audit")
    op.drop_table("approvals")
    with op.batch_alter_table("promotions") as table:
        table.alter_column("rule", existing_type=sa.String(32), type_=sa.String(16))
        table.drop_column("passed_over")
        table.drop_column("four_eyes")
        table.drop_column("undoes")
        table.drop_column("live_at")
    op.drop_index("one_open_request", "promotion_requests")
    with op.batch_alter_table("promotion_requests") as table:
        table.drop_column("projected")
        table.drop_column("request_reason")
        table.drop_column("superseded_by")
        table.drop_column("evidence_sha256")
        table.drop_column("evidence_path")
