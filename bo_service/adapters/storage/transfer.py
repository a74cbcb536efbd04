"""A study with all that belongs to it as a file of JSON lines, and back, between databases of any kind.

The first line names the format and its version, and holds the study; then come the trials, each with its learning curve
and with every lease token that was given out for it, the numbers of deleted trials, and a last line that counts them.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, select

from bo_service.adapters.storage import schema
from bo_service.adapters.storage.converter import structured, unstructured
from bo_service.adapters.storage.putting import put_new
from bo_service.adapters.storage.records import SqlRecords
from bo_service.core.attempts import Attempt
from bo_service.core.errors import AlreadyExists, InvalidArgument
from bo_service.core.study import Study
from bo_service.core.trial import Measurement, Trial

FORMAT, VERSION = "bo-service study", 2
WITHOUT_ATTEMPTS = 1
"""The version in which trials have no attempts: their workers stand in the leases alone."""
PAGE = 200


@dataclass(frozen=True)
class Token:
    """A lease token that was given out."""

    token: str
    worker_id: str
    attempt: int


def exported(records: SqlRecords, study_id: str, at: datetime) -> Iterator[str]:
    """The file's lines, of one moment: inside one transaction. Raises NotFound."""
    study = records.studies.get(study_id)
    head = {"format": FORMAT, "version": VERSION, "time": unstructured(at, datetime)}
    yield _line(**head, study=unstructured(study, Study), last_number=study.last_number)
    count, after = 0, 0
    while page := records.trials.select(study_id, after=after, limit=PAGE):
        numbers = [trial.number for trial in page]
        curves, tokens = records.measurements.of(study_id, numbers), _tokens(records.connection, study_id, numbers)
        for trial in page:
            curve, given = curves.get(trial.number, []), tokens.get(trial.number, [])
            yield _line(
                trial=unstructured(trial, Trial),
                measurements=unstructured(curve, list[Measurement]),
                leases=unstructured(given, list[Token]),
            )
        count, after = count + len(page), numbers[-1]
    table = schema.deleted_trials
    deleted = select(table.c.number, table.c.revision).where(table.c.study_id == study_id).order_by(table.c.number)
    gone = [list(row) for row in records.connection.execute(deleted)]
    yield _line(deleted=gone)
    yield _line(end=True, trials=count)


def imported(records: SqlRecords, lines: Iterable[str], study_id: str | None, at: datetime) -> Study:
    """Adds the study of a file, under another id where one is given, in the transaction of `records`.

    Leases that ran when the file was made end as much later as time has passed since then. Tokens that this database
    has already given out, as where a study is copied, stay with the trial that they belong to.

    Raises:
        AlreadyExists: there is a study with this id.
        InvalidArgument: the file is none of these, of a newer version, or cut short.
    """
    reader = _Reader(lines)
    head = reader.next("study")
    study, passed = reader.study(head, study_id), at - reader.value(head["time"], datetime)
    if records.studies.find(study.study_id) is not None:
        raise AlreadyExists(f"{study.name} exists; import the file under another id with --as NEW_ID")
    records.studies.add(replace(study, last_number=reader.value(head["last_number"], int)))
    count = 0
    while "trial" in (entry := reader.next("trial", "deleted")):
        _add_trial(records, reader, entry, study.study_id, passed)
        count += 1
    gone = [
        {"study_id": study.study_id, "number": number, "revision": revision}
        for number, revision in reader.value(entry["deleted"], list[tuple[int, int]])
    ]
    if gone:
        records.connection.execute(insert(schema.deleted_trials), gone)
    if reader.next("end").get("trials") != count:
        raise reader.fault(f"counts other than the {count} trials before it; the file is damaged")
    return study


def _add_trial(records: SqlRecords, reader: "_Reader", entry: Any, study_id: str, passed: timedelta) -> None:
    trial = replace(reader.value(entry["trial"], Trial), study_id=study_id)
    if trial.lease is not None:
        end = trial.lease.expire_time + max(passed, timedelta(0))
        trial = replace(trial, lease=replace(trial.lease, expire_time=end))
    tokens = reader.value(entry["leases"], list[Token])
    if reader.version == WITHOUT_ATTEMPTS and tokens:
        trial = replace(trial, attempts=_attempts(trial, tokens))
    records.trials.save(trial)
    records.measurements.save(study_id, trial.number, reader.value(entry["measurements"], list[Measurement]))
    owner = {"study_id": study_id, "number": trial.number}
    put_new(records.connection, schema.leases, [{**vars(token), **owner} for token in tokens])


def _attempts(trial: Trial, tokens: Sequence[Token]) -> tuple[Attempt, ...]:
    """Who ran a trial of which no attempts were recorded; when is known of the last one alone."""
    *earlier, last = sorted(tokens, key=lambda token: token.attempt)
    known = Attempt(last.attempt, last.worker_id)
    if last.attempt == trial.attempt:
        known = replace(known, start_time=trial.start_time, end_time=trial.end_time)
    return (*(Attempt(token.attempt, token.worker_id) for token in earlier), known)


def _tokens(connection: Connection, study_id: str, numbers: list[int]) -> dict[int, list[Token]]:
    table = schema.leases
    query = select(table).where(table.c.study_id == study_id, table.c.number.in_(numbers))
    found: dict[int, list[Token]] = {}
    for row in connection.execute(query.order_by(table.c.number, table.c.attempt, table.c.token)):
        found.setdefault(row.number, []).append(Token(row.token, row.worker_id, row.attempt))
    return found


def _line(**entry: Any) -> str:
    return json.dumps(entry, separators=(",", ":")) + "\n"


class _Reader:
    """The lines one after the other; what is wrong is told with the line's number."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._number = 0
        self.version = VERSION
        """Of the file, once its head was read."""

    def next(self, *wanted: str) -> Any:
        """The next line, an object with one of these entries. Raises InvalidArgument."""
        self._number += 1
        line = next(self._lines, None)
        if line is None:
            raise self.fault("is missing; the file is cut short")
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise self.fault(f"is no JSON ({error})") from error
        if not isinstance(entry, dict) or not any(name in entry for name in wanted):
            raise self.fault(f"has none of {', '.join(wanted)}; give a file that export-study has written")
        return entry

    def study(self, head: Any, study_id: str | None) -> Study:
        if head.get("format") != FORMAT or not isinstance(head.get("version"), int):
            raise self.fault(f"names no format {FORMAT!r}; give a file that export-study has written")
        if head["version"] > VERSION:
            raise self.fault(f"is of version {head['version']}, a newer bo-service's; upgrade bo-service")
        self.version = head["version"]
        study: Study = self.value(head["study"], Study)
        return replace(study, study_id=study_id or study.study_id)

    def value(self, given: Any, kind: Any) -> Any:
        try:
            return structured(given, kind)
        except ValueError as error:
            raise self.fault(f"holds no {kind}: {error}") from error

    def fault(self, what: str) -> InvalidArgument:
        return InvalidArgument.of(f"line {self._number}", what)
