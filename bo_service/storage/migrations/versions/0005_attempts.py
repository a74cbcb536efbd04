"""What a study's values depend on, and who ran each trial.

Of trials from before, the workers are found in the table of leases. When each attempt began and how it ended wasn't
recorded then; it is filled in for the last attempt as far as the trial tells it.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

AT_ONCE = 1000
MOST_TOLD, HEAD, MARK = 500, 150, " … "

trials = sa.table(
    "trials",
    *(sa.column(name) for name in ("study_id", "number", "state", "attempt", "start_time", "end_time", "failure")),
    sa.column("attempts"),
)
leases = sa.table("leases", *(sa.column(name) for name in ("study_id", "number", "worker_id", "attempt", "token")))


def upgrade() -> None:
    op.add_column("studies", sa.Column("objective", sa.Text))
    op.add_column("trials", sa.Column("attempts", sa.Text, nullable=False, server_default="[]"))
    connection = op.get_bind()
    for (study_id,) in connection.execute(sa.text("select study_id from studies")).all():
        after = 0
        while page := _page(connection, study_id, after):
            _fill(connection, study_id, page)
            after = page[-1].number


def _page(connection: sa.Connection, study_id: str, after: int) -> Sequence[Any]:
    query = sa.select(trials).where(trials.c.study_id == study_id, trials.c.number > after)
    return connection.execute(query.order_by(trials.c.number).limit(AT_ONCE)).all()


def _fill(connection: sa.Connection, study_id: str, page: Sequence[Any]) -> None:
    query = sa.select(leases).where(leases.c.study_id == study_id)
    query = query.where(leases.c.number.between(page[0].number, page[-1].number))
    given = connection.execute(query.order_by(leases.c.number, leases.c.attempt)).all()
    by_number = {number: list(rows) for number, rows in groupby(given, key=lambda row: row.number)}
    found = [
        {"study": study_id, "trial": trial.number, "told": json.dumps(_attempts(connection, trial, rows))}
        for trial in page
        if (rows := by_number.get(trial.number))
    ]
    if found:
        mine = trials.c.study_id == sa.bindparam("study"), trials.c.number == sa.bindparam("trial")
        connection.execute(sa.update(trials).where(*mine).values(attempts=sa.bindparam("told")), found)


def _attempts(connection: sa.Connection, trial: Any, rows: Sequence[Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"number": r.attempt, "worker_id": _words(connection, r.worker_id)} for r in rows]
    if found[-1]["number"] != trial.attempt:
        return found  # the last lease is one that a copied study has left to the original
    found[-1].update(_times(trial))
    if trial.state == "failed" or (trial.state == "infeasible" and trial.attempt == 1):
        found[-1].update(outcome="failed", failure=_shortened(json.loads(trial.failure)))
    elif trial.state == "succeeded" and trial.attempt == 1:
        found[-1].update(outcome="completed")
    return found


def _times(trial: Any) -> dict[str, str]:
    moments = {"start_time": trial.start_time, "end_time": trial.end_time}
    return {name: _moment(value) for name, value in moments.items() if value is not None}


def _moment(microseconds: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)).isoformat()


def _shortened(failure: dict[str, str]) -> dict[str, str]:
    message = failure.get("message", "")
    if len(message) > MOST_TOLD:
        failure["message"] = message[:HEAD] + MARK + message[-(MOST_TOLD - HEAD - len(MARK)) :]
    return failure


def _words(connection: sa.Connection, text: str) -> str:
    """Return a text as a column holds it: in PostgreSQL, U+E000 begins an escape."""
    if connection.dialect.name != "postgresql":
        return text
    return text.replace("\ue000\ue000", "\0").replace("\ue000\ue001", "\ue000")
