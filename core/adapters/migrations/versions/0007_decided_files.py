"""Promotions: the files that were decided on."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Adds where they lay and their hash; nobody kept either of what was decided before."""
    with op.batch_alter_table("promotions") as table:
        table.add_column(sa.Column("source", sa.Text, nullable=False, server_default=""))
        table.add_column(
            sa.Column("bundle_sha256", sa.String(64), nullable=False, server_default="")
        )


def downgrade() -> None:
    """Takes them away again."""
    with op.batch_alter_table("promotions") as table:
        table.drop_column("bundle_sha256")
        table.drop_column("source")
