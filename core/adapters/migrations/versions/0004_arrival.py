"""Which data a check looked at, by its arrival, and on what it had a say."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds the columns; earlier checks count from their start and have said nothing."""
    with op.batch_alter_table("checks") as table:
        table.add_column(sa.Column("told", sa.Text, nullable=False, server_default="[]"))
        table.add_column(sa.Column("data_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    """Takes them away again."""
    with op.batch_alter_table("checks") as table:
        table.drop_column("data_at")
        table.drop_column("told")
