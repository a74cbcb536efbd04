"""Leases and time in which no server was alive: nobody could renew them then, so they are given that time again.

While a trial runs, each server notes every second that it is alive, in one place for all servers over a database. The
longest silence there is an outage: of the servers, of the database, of the machine that slept, or a clock that jumped.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from bo_service.application.context import AppContext, retry_on_conflict
from bo_service.application.ports import Beat, UnitOfWork
from bo_service.domain.trial import Trial

OUTAGE = timedelta(seconds=3)
"""A shorter silence is none: a server that is started again and again must not keep the dead alive."""
EVER = timedelta(days=36_500)


@retry_on_conflict
def extend_leases_after_outage(app: AppContext) -> int:
    """Note that a server is alive, move every lease by the outage that ends now, and return how many moved."""
    with app.store.write() as records:
        at, last = app.clock.now(), records.last_beat(Beat.SERVER)
        if last is not None and last <= at and not records.running_trials(limit=1):
            return 0  # the silence then counts for nothing: no lease is moved beyond its full length from now
        last = records.save_beat(Beat.SERVER, at)
        silence = EVER if last is None else at - last
        if abs(silence) < OUTAGE:
            return 0
        moved = list(_extended(records, silence, at))
        if moved:
            records.save_trials(*moved)
        return len(moved)


def _extended(records: UnitOfWork, silence: timedelta, at: datetime) -> Iterator[Trial]:
    durations: dict[str, timedelta] = {}
    records.lock_studies()
    for trial in records.running_trials():
        assert trial.lease is not None
        if trial.study_id not in durations:
            durations[trial.study_id] = records.get_study(trial.study_id).spec.execution.lease_duration
        end = trial.lease.expire_time
        moved = min(max(end, end + silence), trial.lease.latest_end(at, durations[trial.study_id]))
        if moved != end:
            yield replace(trial, lease=replace(trial.lease, expire_time=moved))
