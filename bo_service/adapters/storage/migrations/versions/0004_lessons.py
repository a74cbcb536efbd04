"""What surrogates have learned of studies: hyperparameters, found again by the next server."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

STUDY_ID = sa.String(63).with_variant(sa.String(63, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "lessons",
        sa.Column("study_id", STUDY_ID, primary_key=True),
        sa.Column("learned", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.study_id"], ondelete="CASCADE"),
    )
