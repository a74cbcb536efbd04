"""When a server was last alive: one row, which all servers over a database share."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    pulse = op.create_table(
        "pulse", sa.Column("id", sa.Integer, primary_key=True), sa.Column("beat_time", sa.BigInteger)
    )
    op.bulk_insert(pulse, [{"id": 1, "beat_time": None}])
