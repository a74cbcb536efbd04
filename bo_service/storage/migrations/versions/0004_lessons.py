"""What surrogates have learned of studies: hyperparameters, found again by the next server.

Servers of one day called their schema 0003 before 0002 had been merged into it: its tables are made here.
"""

import sqlalchemy as sa
from alembic import context, op
from alembic.script import ScriptDirectory

revision = "0004"
down_revision = "0003"

STUDY_ID = sa.String(63).with_variant(sa.String(63, collation="C"), "postgresql")


def upgrade() -> None:
    if not sa.inspect(op.get_bind()).has_table("tokens"):
        ScriptDirectory.from_config(context.config).get_revision("0002").module.upgrade()
    op.create_table(
        "lessons",
        sa.Column("study_id", STUDY_ID, primary_key=True),
        sa.Column("learned", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.study_id"], ondelete="CASCADE"),
    )
