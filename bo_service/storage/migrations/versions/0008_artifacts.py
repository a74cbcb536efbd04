"""Files and notes of trials."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

STUDY_ID = sa.String(63).with_variant(sa.String(63, collation="C"), "postgresql")
ARTIFACT_ID = sa.String(128).with_variant(sa.String(128, collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("trials", sa.Column("note", sa.Text))
    op.create_table(
        "artifacts",
        sa.Column("study_id", STUDY_ID, primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("artifact_id", ARTIFACT_ID, primary_key=True),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("uri", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary),
        sa.ForeignKeyConstraint(["study_id", "number"], ["trials.study_id", "trials.number"], ondelete="CASCADE"),
    )
