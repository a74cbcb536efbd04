"""Export a study with all that belongs to it as a file of JSON lines, and import it into a database of any kind.

The first line names the format and its version, and holds the study; then come the trials, each with its learning curve
and with every lease token that was given out for it, and with a line for each of its artifacts; then the numbers of
deleted trials, and a last line that counts the trials.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from bo_service.application.artifacts import check_study_usage, check_trial_usage, stored_bytes
from bo_service.application.ports import IssuedLease, Store, UnitOfWork
from bo_service.domain.artifacts import Artifact
from bo_service.domain.attempts import Attempt
from bo_service.domain.errors import AlreadyExists, InvalidArgument, Violation
from bo_service.domain.study import Study
from bo_service.domain.trial import Measurement, Trial
from bo_service.storage.columns import structured_exactly, unstructured

FORMAT, VERSION = "bo-service study", 4
WITHOUT_ATTEMPTS = 1
"""The version in which trials have no attempts: their workers stand in the leases alone."""
PAGE = 200
ENTRIES = (
    {"format", "version", "time", "study", "last_number"},
    {"trial", "measurements", "leases"},
    {"artifact", "content"},
    {"deleted"},
    {"end", "trials"},
)


class Judge(Protocol):
    """A check that a file holds nothing that calls would have refused."""

    def study(self, study: Study) -> Study:
        """Return the study as it is stored. Raises InvalidArgument."""

    def trial(self, study: Study, trial: Trial, curve: Sequence[Measurement], leases: Sequence[IssuedLease]) -> Trial:
        """Return the trial as it is stored. Raises InvalidArgument."""

    def artifact(self, artifact: Artifact, content: bytes | None) -> None:
        """Check an artifact, and its bytes where they are stored. Raises InvalidArgument."""


def export_study(work: UnitOfWork, study_id: str, at: datetime) -> Iterator[str]:
    """Yield the file's lines, of one moment: inside one transaction. Raises NotFound."""
    study = work.get_study(study_id)
    head = {"format": FORMAT, "version": VERSION, "time": unstructured(at, datetime)}
    yield _line(**head, study=unstructured(study, Study), last_number=study.last_number)
    count, after = 0, 0
    while page := work.list_trials(study_id, after=after, limit=PAGE):
        numbers = [trial.number for trial in page]
        curves, leases = work.get_measurements(study_id, numbers), work.list_leases(study_id, numbers)
        artifacts = work.list_artifacts(study_id, numbers)
        for trial in page:
            curve, issued = curves.get(trial.number, []), leases.get(trial.number, [])
            yield _line(
                trial=unstructured(trial, Trial),
                measurements=unstructured(curve, list[Measurement]),
                leases=unstructured(issued, list[IssuedLease]),
            )
            for artifact in artifacts.get(trial.number, ()):
                content = work.artifact_content(study_id, trial.number, artifact.artifact_id)
                text = None if content is None else base64.b64encode(content).decode("ascii")
                yield _line(artifact=unstructured(artifact, Artifact), content=text)
        count, after = count + len(page), numbers[-1]
    yield _line(deleted=[list(deletion) for deletion in sorted(work.deleted_trials(study_id).items())])
    yield _line(end=True, trials=count)


def import_study(store: Store, lines: Iterable[str], study_id: str | None, at: datetime, judge: Judge) -> Study:
    """Add the study of a file, all of it or nothing, and return it.

    Leases that ran when the file was made end as much later as time has passed since then. Tokens that this database
    has already given out, as where a study is copied, stay with the trial that they belong to.

    Args:
        store: Where the study is added.
        lines: Lines of the file.
        study_id: Another id for the study; None for its own.
        at: Time of the import.
        judge: Refuses what no call would take.

    Raises:
        AlreadyExists: There is a study with this id.
        InvalidArgument: The file is none of these, of a newer version, cut short, or holds what no call would take.
    """
    reader = _Reader(lines)
    head = reader.next("study")
    study = replace(reader.study(head, study_id), last_number=reader.value(head, "last_number", int))
    passed = at - reader.value(head, "time", datetime)
    with reader.judging():
        study = judge.study(study)
    with store.write(study.study_id) as work:
        if work.find_study(study.study_id) is not None:
            raise AlreadyExists(f"{study.name} exists; import the file under another id with --as NEW_ID")
        work.save_study(study)
        _import_trials(work, reader, study, passed, judge)
    return study


def _import_trials(work: UnitOfWork, reader: "_Reader", study: Study, passed: timedelta, judge: Judge) -> None:
    numbers, count, size = {0}, 0, 0
    entry = reader.next("trial", "deleted")
    while "trial" in entry:
        trial = _read_trial(reader, entry, study, passed, numbers, judge)
        numbers.add(trial.number)
        work.save_trials(trial)
        work.save_measurements(study.study_id, trial.number, reader.value(entry, "measurements", list[Measurement]))
        for lease in reader.value(entry, "leases", list[IssuedLease]):
            work.save_lease(study.study_id, trial.number, lease)
        artifacts: dict[str, Artifact] = {}
        while "artifact" in (entry := reader.next("trial", "artifact", "deleted")):
            artifact, content = _read_artifact(reader, entry, judge)
            artifacts[artifact.artifact_id] = artifact
            check_trial_usage(trial.name, len(artifacts), stored_bytes([*artifacts.values()]))
            work.save_artifact(study.study_id, trial.number, artifact, content)
        count, size = count + len(artifacts), size + stored_bytes([*artifacts.values()])
        check_study_usage(study.name, count, size)
    num_trials = len(numbers) - 1
    for number, revision in reader.value(entry, "deleted", list[tuple[int, int]]):
        if number in numbers or not 0 < number <= study.last_number or not 0 <= revision <= study.revision:
            raise reader.fault(f"tells of trial {number}, deleted at revision {revision}, which can't be; leave it out")
        numbers.add(number)
        work.delete_trial(study.study_id, number, revision)
    if reader.next("end").get("trials") != num_trials:
        raise reader.fault(f"counts other than the {num_trials} trials before it; the file is damaged")
    reader.check_end()


def _read_trial(
    reader: "_Reader", entry: Any, study: Study, passed: timedelta, numbers: set[int], judge: Judge
) -> Trial:
    trial: Trial = replace(reader.value(entry, "trial", Trial), study_id=study.study_id)
    leases = reader.value(entry, "leases", list[IssuedLease])
    if reader.version == WITHOUT_ATTEMPTS and leases:
        trial = replace(trial, attempts=_attempts(trial, leases))
    if trial.number in numbers:
        raise reader.fault(f"holds trial {trial.number}, which stands before it; each number may occur once")
    curve = reader.value(entry, "measurements", list[Measurement])
    with reader.judging():
        return judge.trial(study, _with_lease(trial, passed), curve, leases)


def _read_artifact(reader: "_Reader", entry: Any, judge: Judge) -> tuple[Artifact, bytes | None]:
    artifact: Artifact = reader.value(entry, "artifact", Artifact)
    text = reader.value(entry, "content", str | None)
    try:
        content = None if text is None else base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise reader.fault(f"holds no content as export-study writes it: {error}") from error
    with reader.judging():
        judge.artifact(artifact, content)
    return artifact, content


def _with_lease(trial: Trial, passed: timedelta) -> Trial:
    """Return the trial with a lease that has as long to go as when the file was made."""
    if trial.lease is None:
        return trial
    try:
        end = trial.lease.expire_time + max(passed, timedelta(0))
    except OverflowError:
        end = datetime.max.replace(tzinfo=UTC)
    return replace(trial, lease=replace(trial.lease, expire_time=end))


def _attempts(trial: Trial, leases: Sequence[IssuedLease]) -> tuple[Attempt, ...]:
    """Return who ran a trial whose attempts weren't recorded; the times are those of the last one alone."""
    *earlier, last = sorted(leases, key=lambda lease: lease.attempt)
    attempt = Attempt(last.attempt, last.worker_id)
    if last.attempt == trial.attempt:
        attempt = replace(attempt, start_time=trial.start_time, end_time=trial.end_time)
    return (*(Attempt(lease.attempt, lease.worker_id) for lease in earlier), attempt)


def _line(**entry: Any) -> str:
    return json.dumps(entry, separators=(",", ":")) + "\n"


class _Reader:
    """Reads the lines one after the other; a refusal names the line by its number."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._number = 0
        self.version = VERSION
        """Of the file, once its head was read."""

    def next(self, *wanted: str) -> Any:
        """Return the next line, an object with one of these entries. Raises InvalidArgument."""
        self._number += 1
        line = next(self._lines, None)
        if line is None:
            raise self.fault("is missing; the file is cut short")
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self.fault(f"is no JSON ({error})") from error
        if not isinstance(entry, dict) or not any(name in entry for name in wanted):
            raise self.fault(f"has none of {', '.join(wanted)}; give a file that export-study has written")
        fields = next(names for names in ENTRIES if any(name in names and name in entry for name in wanted))
        if unknown := sorted(set(entry) - fields):
            raise self.fault(f"has {unknown[0]!r:.80}, which is unknown; it may have {', '.join(sorted(fields))}")
        return entry

    def check_end(self) -> None:
        """Raise InvalidArgument where a line is left."""
        self._number += 1
        if next(self._lines, None) is not None:
            raise self.fault("stands after the last one; the file is damaged")

    @contextmanager
    def judging(self) -> Iterator[None]:
        """Add the number of the line to what the block refuses."""
        try:
            yield
        except InvalidArgument as error:
            raise InvalidArgument(
                [Violation(f"line {self._number}: {v.field}", v.description) for v in error.violations]
            ) from error

    def study(self, head: Any, study_id: str | None) -> Study:
        if head.get("format") != FORMAT or type(head.get("version")) is not int or head["version"] < 1:
            raise self.fault(f"names no format {FORMAT!r}; give a file that export-study has written")
        if head["version"] > VERSION:
            raise self.fault(f"is of version {head['version']}, a newer bo-service's; upgrade bo-service")
        self.version = head["version"]
        study: Study = self.value(head, "study", Study)
        return replace(study, study_id=study_id or study.study_id)

    def value(self, entry: Any, name: str, kind: Any) -> Any:
        """Return what an entry has under a name. Raises InvalidArgument."""
        if name not in entry:
            raise self.fault(f"lacks {name!r}; give a file that export-study has written")
        try:
            return structured_exactly(entry[name], kind)
        except ValueError as error:
            raise self.fault(f"holds no {name} as export-study writes it: {error!s:.500}") from error

    def fault(self, what: str) -> InvalidArgument:
        return InvalidArgument.of(f"line {self._number}", what)
