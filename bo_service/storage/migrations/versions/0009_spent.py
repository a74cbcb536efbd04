"""What the trials of a study have spent on training; nothing of what was trained before is counted."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("studies", sa.Column("spent", sa.Text, nullable=False, server_default="{}"))
