"""Keys of the served models."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Adds the table."""
    op.create_table(
        "serving_keys",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("problem", sa.String(64), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        # Separated by spaces.
        sa.Column("scopes", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("requests_per_second", sa.Float),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(128), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_by", sa.String(128)),
        sa.Column("last_used_at", sa.DateTime(timezone=True)),
    )


def downgrade() -> None:
    """Takes it away again."""
    op.drop_table("serving_keys")
