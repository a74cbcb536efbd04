"""Bearer tokens, and the row by which a server learns whether the database takes writes."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "tokens",
        sa.Column("token_id", sa.String(32), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("studies", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("expire_time", sa.BigInteger),
        sa.Column("revoke_time", sa.BigInteger),
        sa.Column("last_use_time", sa.BigInteger),
    )
    op.create_table(
        "health_checks",
        sa.Column("check_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("check_time", sa.BigInteger, nullable=False),
    )
