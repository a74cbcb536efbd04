"""Tables get the names that the field has for what they hold.

Servers of an older version that run over a PostgreSQL database go on while they are replaced one after the other, so
the old names stay there as views.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

RENAMED = {"lessons": "surrogate_hyperparameters", "answers": "idempotency_log", "pulse": "server_liveness"}


def upgrade() -> None:
    op.drop_index("answers_by_time", "answers")
    for old, new in RENAMED.items():
        op.rename_table(old, new)
    op.create_index("idempotency_log_by_time", "idempotency_log", ["create_time"])
    if op.get_bind().dialect.name == "postgresql":
        for old, new in RENAMED.items():
            op.execute(sa.text(f"CREATE VIEW {old} AS SELECT * FROM {new}"))  # noqa: S608 - constants
