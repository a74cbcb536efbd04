"""The first schema.

A migration is history: it names plain column types, so that later changes of the schema don't change it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

STUDY_ID = sa.String(63).with_variant(sa.String(63, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "studies",
        sa.Column("study_id", STUDY_ID, primary_key=True),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("update_time", sa.BigInteger, nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("last_number", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.create_table(
        "trials",
        sa.Column("study_id", STUDY_ID, primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("parameters", sa.Text, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("origin", sa.String(32), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("latest_measurement", sa.Text),
        sa.Column("final_measurement", sa.Text),
        sa.Column("failure", sa.Text),
        sa.Column("lease", sa.Text),
        sa.Column("lease_expire_time", sa.BigInteger),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("checkpoint_uri", sa.Text, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("explanation", sa.Text),
        sa.Column("stop_request", sa.Text),
        sa.Column("start_time", sa.BigInteger),
        sa.Column("end_time", sa.BigInteger),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.study_id"], ondelete="CASCADE"),
    )
    op.create_index("trials_by_state", "trials", ["study_id", "state"])
    op.create_index("trials_by_revision", "trials", ["study_id", "revision"])
    op.create_index("trials_by_lease", "trials", ["lease_expire_time"])
    op.create_table(
        "deleted_trials",
        sa.Column("study_id", STUDY_ID, primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.study_id"], ondelete="CASCADE"),
    )
    op.create_table(
        "measurements",
        sa.Column("study_id", STUDY_ID, primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("step", sa.BigInteger, primary_key=True),
        sa.Column("metrics", sa.Text, nullable=False),
        sa.Column("elapsed", sa.Text),
        sa.Column("receive_time", sa.BigInteger),
        sa.ForeignKeyConstraint(["study_id", "number"], ["trials.study_id", "trials.number"], ondelete="CASCADE"),
    )
    op.create_table(
        "leases",
        sa.Column("token", sa.String(64).with_variant(sa.Text, "postgresql"), primary_key=True),
        sa.Column("study_id", STUDY_ID, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("worker_id", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["study_id", "number"], ["trials.study_id", "trials.number"], ondelete="CASCADE"),
    )
    op.create_index("leases_by_trial", "leases", ["study_id", "number"])
    op.create_table(
        "answers",
        sa.Column("request_id", sa.String(128).with_variant(sa.Text, "postgresql"), primary_key=True),
        sa.Column("method", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
    )
    op.create_index("answers_by_time", "answers", ["create_time"])
