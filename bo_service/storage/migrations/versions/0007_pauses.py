"""Trials that pause: why, and how far a running trial goes."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("trials", sa.Column("pause", sa.Text))
    op.add_column("trials", sa.Column("until_step", sa.BigInteger))
