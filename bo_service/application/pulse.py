"""Leases and time in which no server was alive: nobody could renew them then, so they are given that time again.

While a trial runs, each server notes every second that it is alive, in one place for all servers over a database. The
longest silence there is an outage: of the servers, of the database, of the machine that slept, or a clock that jumped.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from bo_service.application.ports import Records
from bo_service.application.repeating import repeated
from bo_service.application.services import Services
from bo_service.core.trial import Trial

OUTAGE = timedelta(seconds=3)
"""A shorter silence is none: a server that is started again and again must not keep the dead alive."""
EVER = timedelta(days=36_500)


@repeated
def keep_pulse(services: Services) -> int:
    """Notes that a server is alive, and moves every lease by the outage that ends with this; how many were moved."""
    with services.store.write() as records:
        at, last = services.clock.now(), records.pulse.last()
        if last is not None and last <= at and not records.trials.is_any_running():
            return 0  # the silence then counts for nothing: no lease is moved beyond its full length from now
        last = records.pulse.beat(at)
        silence = EVER if last is None else at - last
        if abs(silence) < OUTAGE:
            return 0
        moved = list(_moved(records, silence, at))
        if moved:
            records.trials.save(*moved)
        return len(moved)


def _moved(records: Records, silence: timedelta, at: datetime) -> Iterator[Trial]:
    durations: dict[str, timedelta] = {}
    for trial in records.trials.hold_running():
        assert trial.lease is not None
        if trial.study_id not in durations:
            durations[trial.study_id] = records.studies.get(trial.study_id).spec.execution.lease_duration
        end = trial.lease.expire_time
        moved = min(max(end, end + silence), trial.lease.latest_end(at, durations[trial.study_id]))
        if moved != end:
            yield replace(trial, lease=replace(trial.lease, expire_time=moved))
