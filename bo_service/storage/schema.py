"""The tables as they are now; `migrations/` brings older databases to them."""

from collections.abc import Mapping
from datetime import timedelta
from enum import Enum as PythonEnum

from sqlalchemy import (
    BigInteger,
    Column,
    Enum,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

from bo_service.domain.access import Role
from bo_service.domain.artifacts import TrialNote
from bo_service.domain.attempts import Attempt
from bo_service.domain.budget import Spent
from bo_service.domain.objective import ObjectiveSpec
from bo_service.domain.parameter_types import Value
from bo_service.domain.study import StudySpec, StudyState
from bo_service.domain.trial import Explanation, Failure, Lease, Measurement, Origin, Pause, StopRequest, TrialState
from bo_service.optimizer.inputs import HyperparametersByDigest
from bo_service.storage.columns import Json, NulSafeText, UtcTimestamp

Labels = Mapping[str, str]
STUDY_ID = String(63).with_variant(String(63, collation="C"), "postgresql")
"""In the order of its bytes, whatever the database's language."""
ARTIFACT_ID = String(128).with_variant(String(128, collation="C"), "postgresql")
metadata = MetaData()


def _enum(kind: type[PythonEnum]) -> Enum:
    return Enum(kind, native_enum=False, length=32, values_callable=lambda e: [member.value for member in e])


studies = Table(
    "studies",
    metadata,
    Column("study_id", STUDY_ID, primary_key=True),
    Column("spec", Json(StudySpec), nullable=False),
    Column("create_time", UtcTimestamp, nullable=False),
    Column("update_time", UtcTimestamp, nullable=False),
    Column("display_name", NulSafeText, nullable=False),
    Column("labels", Json(Labels), nullable=False),
    Column("state", _enum(StudyState), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("last_number", BigInteger, nullable=False, server_default="0"),
    Column("objective", Json(ObjectiveSpec)),
    Column("spent", Json(Spent), nullable=False, server_default="{}"),
)

trials = Table(
    "trials",
    metadata,
    Column("study_id", STUDY_ID, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("parameters", Json(Mapping[str, Value]), nullable=False),
    Column("create_time", UtcTimestamp, nullable=False),
    Column("origin", _enum(Origin), nullable=False),
    Column("state", _enum(TrialState), nullable=False),
    Column("latest_measurement", Json(Measurement)),
    Column("final_measurement", Json(Measurement)),
    Column("failure", Json(Failure)),
    Column("lease", Json(Lease)),
    Column("lease_expire_time", UtcTimestamp),
    Column("attempt", Integer, nullable=False),
    Column("checkpoint_uri", NulSafeText, nullable=False),
    Column("labels", Json(Labels), nullable=False),
    Column("explanation", Json(Explanation)),
    Column("stop_request", Json(StopRequest)),
    Column("start_time", UtcTimestamp),
    Column("end_time", UtcTimestamp),
    Column("revision", BigInteger, nullable=False),
    Column("attempts", Json(tuple[Attempt, ...]), nullable=False, server_default="[]"),
    Column("pause", Json(Pause)),
    Column("until_step", BigInteger),
    Column("note", Json(TrialNote)),
    ForeignKeyConstraint(["study_id"], ["studies.study_id"], ondelete="CASCADE"),
    Index("trials_by_state", "study_id", "state"),
    Index("trials_by_revision", "study_id", "revision"),
    Index("trials_by_lease", "lease_expire_time"),
)

deleted_trials = Table(
    "deleted_trials",
    metadata,
    Column("study_id", STUDY_ID, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    ForeignKeyConstraint(["study_id"], ["studies.study_id"], ondelete="CASCADE"),
)

measurements = Table(
    "measurements",
    metadata,
    Column("study_id", STUDY_ID, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("step", BigInteger, primary_key=True),
    Column("metrics", Json(Mapping[str, float]), nullable=False),
    Column("elapsed", Json(timedelta)),
    Column("receive_time", UtcTimestamp),
    ForeignKeyConstraint(["study_id", "number"], ["trials.study_id", "trials.number"], ondelete="CASCADE"),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("study_id", STUDY_ID, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("artifact_id", ARTIFACT_ID, primary_key=True),
    Column("media_type", Text, nullable=False),
    Column("create_time", UtcTimestamp, nullable=False),
    Column("author", NulSafeText, nullable=False),
    Column("size", BigInteger),
    Column("sha256", String(64), nullable=False),
    Column("uri", NulSafeText, nullable=False),
    Column("content", LargeBinary),
    ForeignKeyConstraint(["study_id", "number"], ["trials.study_id", "trials.number"], ondelete="CASCADE"),
)

leases = Table(
    "leases",
    metadata,
    Column("token", NulSafeText, primary_key=True),
    Column("study_id", STUDY_ID, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("worker_id", NulSafeText, nullable=False),
    Column("attempt", Integer, nullable=False),
    ForeignKeyConstraint(["study_id", "number"], ["trials.study_id", "trials.number"], ondelete="CASCADE"),
    Index("leases_by_trial", "study_id", "number"),
)

idempotency_log = Table(
    "idempotency_log",
    metadata,
    Column("request_id", NulSafeText, primary_key=True),
    Column("method", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("answer", Text, nullable=False),
    Column("create_time", UtcTimestamp, nullable=False),
    Index("idempotency_log_by_time", "create_time"),
)

surrogate_hyperparameters = Table(
    "surrogate_hyperparameters",
    metadata,
    Column("study_id", STUDY_ID, primary_key=True),
    Column("learned", Json(HyperparametersByDigest), nullable=False),
    ForeignKeyConstraint(["study_id"], ["studies.study_id"], ondelete="CASCADE"),
)

server_liveness = Table(
    "server_liveness", metadata, Column("id", Integer, primary_key=True), Column("beat_time", UtcTimestamp)
)

tokens = Table(
    "tokens",
    metadata,
    Column("token_id", String(32), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("role", _enum(Role), nullable=False),
    Column("create_time", UtcTimestamp, nullable=False),
    Column("studies", Json(tuple[str, ...]), nullable=False),
    Column("description", Text, nullable=False),
    Column("expire_time", UtcTimestamp),
    Column("revoke_time", UtcTimestamp),
    Column("last_use_time", UtcTimestamp),
)

health_checks = Table(
    "health_checks",
    metadata,
    Column("check_id", Integer, primary_key=True, autoincrement=False),
    Column("check_time", UtcTimestamp, nullable=False),
)
