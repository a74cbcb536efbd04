"""Judges a history: whether what clients were told can have been, given what may have happened.

The model is of what the service promises, not of how it works. A call whose answer was lost may have acted or not; all
else is certain. Moments are compared only where one certainly came before the other, so that what is reported is a
violation under every order in which the calls may have acted.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.chaos.history import Call, Snapshot
from tests.chaos.stories import ENDED, RUNNING, EvaluatedSet, Stories, Story, SuggestResult, study_of

KINDS = (
    "fault",  # a status that no request of these clients may get
    "retry differs",  # the same request id, another answer
    "lost study",
    "lost trial",
    "lost result",
    "lost measurement",
    "lost write",  # of a checkpoint or a display name
    "undone deletion",
    "phantom",  # something that nobody has written, or a trial that nobody was given
    "done twice",
    "two holders",  # a trial in two hands under valid leases
    "declared dead",  # a worker lost a lease that it had renewed
    "left running",  # a dead worker's trial is still RUNNING
    "number reused",
    "ended changed",  # a terminal state wasn't final
    "attempts",  # miscounted, or more than max_attempts
    "revision",  # went back, or two states under one
    "counts",
)


@dataclass(frozen=True)
class Violation:
    """What can't have been, of which trial or study."""

    kind: str
    name: str
    text: str

    def __post_init__(self) -> None:
        assert self.kind in KINDS

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}: {self.text}"


def check(calls: Sequence[Call], snapshots: Mapping[str, Snapshot]) -> list[Violation]:
    """Everything that can't have been; `snapshots` are of all studies at the end, by name."""
    return list(Checker(calls, snapshots).violations())


class Checker:
    """One history under judgement."""

    def __init__(self, calls: Sequence[Call], snapshots: Mapping[str, Snapshot]) -> None:
        self.calls = [c for c in calls if c.attempts]
        self.snapshots = snapshots
        self.stories = Stories(self.calls)
        self.final = {t.name: t for s in snapshots.values() for t in s.trials}
        self.doomed = {c.request.name: c for c in self.calls if c.method == "DeleteStudy" and c.may_have_acted}

    def violations(self) -> Iterator[Violation]:
        yield from self._answers()
        yield from self._studies()
        for name, story in self.stories.items():
            yield from self._refusals(story)
            yield from self._handouts(story)
            yield from self._heartbeats(story)
            yield from self._observations(story)
            if study_of(name) not in self.doomed:
                yield from self._kept(story)
        for name, snapshot in self.snapshots.items():
            yield from self._snapshot(name, snapshot)

    # Answers

    def _answers(self) -> Iterator[Violation]:
        for call in self.calls:
            answers = {a.answer.SerializeToString(deterministic=True) for a in call.attempts if a.answer is not None}
            if getattr(call.request, "request_id", "") and len(answers) > 1:
                yield Violation("retry differs", call.method, f"call {call.number} got {len(answers)} answers")
            for _, refusal in call.refusals:
                if refusal.code not in ("NOT_FOUND", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED"):
                    yield Violation("fault", call.method, f"{refusal.code}: {refusal.message}")
                if refusal.reason == "WRONG_LEASE":
                    yield Violation(
                        "fault", call.request.name, f"a lease that was given out is refused: {refusal.message}"
                    )

    def _refusals(self, story: Story) -> Iterator[Violation]:
        """NOT_FOUND needs a deletion, WRONG_STATE an end."""
        for call in (*story.reports, *story.completions, *story.stops, *story.deletions):
            for attempt, refusal in call.refusals:
                if refusal.code == "NOT_FOUND" and not self._is_deleted(story, attempt.end):
                    yield Violation("lost trial", story.name, f"{call.method} {call.number}: {refusal.message}")
                if call.method == "CompleteTrial" and refusal.reason == "WRONG_STATE":
                    others = [c for c in story.endings if c is not call and c.begin < attempt.end]
                    if not others and attempt.end < self._sure(story, call.request.lease_token):
                        yield Violation("lost result", story.name, f"refused though nobody ended it: {refusal.message}")

    def _is_deleted(self, story: Story, before: float) -> bool:
        doom = [*story.deletions, *([self.doomed[s]] if (s := study_of(story.name)) in self.doomed else [])]
        return any(c.may_have_acted and c.begin < before for c in doom)

    def _sure(self, story: Story, token: str) -> float:
        return max((story.sure_until(h, math.inf) for h in story.handouts if h.token == token), default=0.0)

    # Leases

    def _handouts(self, story: Story) -> Iterator[Violation]:
        given: dict[int, SuggestResult] = {}
        for handout in story.handouts:
            attempt = handout.trial.attempt
            if attempt in given:
                yield Violation("two holders", story.name, f"attempt {attempt} was handed out twice")
            given[attempt] = handout
        ordered = [given[attempt] for attempt in sorted(given)]
        for earlier, later in pairwise(ordered):
            if later.call.end < earlier.call.begin:
                yield Violation("attempts", story.name, f"attempt {later.trial.attempt} came first")
            gave_up = [
                c
                for c in story.completions
                if c.request.lease_token == earlier.token and c.may_have_acted and c.begin < later.call.end
            ]
            sure = story.sure_until(earlier, math.inf)
            if not gave_up and later.call.end < sure:
                text = f"attempt {later.trial.attempt} began {sure - later.call.end:.3f} s before the last lease ended"
                yield Violation("two holders", story.name, text)

    def _heartbeats(self, story: Story) -> Iterator[Violation]:
        for handout in story.handouts:
            for call in story.reports_of(handout.token):
                for attempt in call.attempts:
                    if attempt.answer is None or attempt.answer.lease_valid:
                        continue
                    sure = story.sure_until(handout, attempt.begin)
                    ends = [c for c in (*story.completions, *story.deletions) if c.may_have_acted]
                    if attempt.end < sure and not any(c.begin < attempt.end for c in ends):
                        text = f"attempt {handout.trial.attempt} lost its lease {sure - attempt.end:.3f} s early"
                        yield Violation("declared dead", story.name, text)

    # What was seen

    def _observations(self, story: Story) -> Iterator[Violation]:
        seen = list(story.seen)
        if story.name in self.final:
            seen.append(EvaluatedSet(math.inf, math.inf, self.final[story.name]))
        yield from _one_identity(story, seen)
        yield from _monotone(story.name, [(s.begin, s.end, s.trial.revision) for s in seen])
        yield from _life(story, seen)
        yield from self._registers(story, seen)
        gone = min((c.end for c in story.deletions if c.answer is not None), default=math.inf)
        for s in seen:
            if s.begin > gone:
                yield Violation("undone deletion", story.name, "was seen after it was deleted")

    def _registers(self, story: Story, seen: Sequence[EvaluatedSet]) -> Iterator[Violation]:
        writes = [_written(c) for c in story.reports if c.request.checkpoint_uri and _recorded(c)]
        for s in seen:
            if not _is_readable(s.begin, s.end, s.trial.checkpoint_uri, "", writes):
                yield Violation("lost write", story.name, f"its checkpoint is {s.trial.checkpoint_uri!r}")

    # What is left at the end

    def _kept(self, story: Story) -> Iterator[Violation]:
        final = self.final.get(story.name)
        known = story.handouts or story.creations
        if final is None:
            if known and not any(c.may_have_acted for c in story.deletions):
                yield Violation("lost trial", story.name, "was handed out, and is gone")
            return
        made = [c for c in self.calls if c.method == "CreateTrial" and c.request.parent == study_of(story.name)]
        yield from _results(story, final, [c for c in made if c.may_have_acted])
        yield from _curve(story, final)
        most = max((h.trial.attempt for h in story.handouts), default=0)
        if final.attempt < most:
            yield Violation("attempts", story.name, f"attempt {most} was handed out, and {final.attempt} is counted")

    def _studies(self) -> Iterator[Violation]:
        made = {f"studies/{c.request.study_id}": c for c in self.calls if c.method == "CreateStudy"}
        for name, call in made.items():
            if call.answer is not None and name not in self.doomed and name not in self.snapshots:
                yield Violation("lost study", name, "was created, and is gone")
        for name, doom in self.doomed.items():
            if doom.answer is not None and name in self.snapshots:
                yield Violation("undone deletion", name, "was deleted, and is there")
        for name in self.snapshots:
            if name not in made:
                yield Violation("phantom", name, "nobody has created it")
        yield from self._study_refusals()
        yield from self._study_reads()

    def _study_refusals(self) -> Iterator[Violation]:
        for call in self.calls:
            name = getattr(call.request, "parent", "") or (
                call.request.study.name if call.method == "UpdateStudy" else getattr(call.request, "name", "")
            )
            if call.method in ("SuggestTrials", "CreateTrial", "GetStudy", "UpdateStudy", "ListTrials", "DeleteStudy"):
                for attempt, refusal in call.refusals:
                    doom = self.doomed.get(name)
                    if refusal.code == "NOT_FOUND" and not (doom and doom.begin < attempt.end):
                        yield Violation("lost study", name, f"{call.method} {call.number}: {refusal.message}")

    def _study_reads(self) -> Iterator[Violation]:
        seen: dict[str, list[tuple[float, float, Any]]] = defaultdict(list)
        renamed: dict[str, list[Write]] = defaultdict(list)
        for call in self.calls:
            if call.method == "UpdateStudy" and call.may_have_acted:
                write = Write(call.begin, call.end, call.settled, call.request.study.display_name)
                renamed[call.request.study.name].append(write)
            if call.method in ("CreateStudy", "GetStudy", "UpdateStudy") and call.answer is not None:
                seen[call.answer.study.name].append((call.begin, call.end, call.answer.study))
        for name, snapshot in self.snapshots.items():
            seen[name].append((math.inf, math.inf, snapshot.study))
        for name, found in seen.items():
            yield from _monotone(name, [(begin, end, study.revision) for begin, end, study in found])
            for begin, end, study in found:
                first = name.removeprefix("studies/")
                if not _is_readable(begin, end, study.display_name, first, renamed[name]):
                    yield Violation("lost write", name, f"its display name is {study.display_name!r}")

    def _snapshot(self, name: str, snapshot: Snapshot) -> Iterator[Violation]:
        counts, tally = snapshot.study.trial_counts, Counter(t.state for t in snapshot.trials)
        told = [counts.queued, counts.running, counts.succeeded, counts.failed, counts.infeasible, counts.stopped]
        if told != [tally.get(state, 0) for state in range(1, 7)]:
            yield Violation("counts", name, f"{told} are told, and {dict(tally)} are there")
        execution = snapshot.study.spec.execution
        if execution.HasField("max_trials") and len(snapshot.trials) > execution.max_trials:
            yield Violation("counts", name, f"has {len(snapshot.trials)} trials of {execution.max_trials}")
        for trial in snapshot.trials:
            if trial.state == RUNNING:
                yield Violation("left running", trial.name, f"worker {trial.lease.worker_id} is dead")
            if trial.attempt > execution.max_attempts:
                yield Violation("attempts", trial.name, f"{trial.attempt} of {execution.max_attempts}")
        yield from self._unaccounted(name, snapshot)

    def _unaccounted(self, name: str, snapshot: Snapshot) -> Iterator[Violation]:
        """Trials and attempts that nobody was told of need calls whose answers were lost for good."""
        lost = [
            c for c in self.calls if c.answer is None and c.may_have_acted and getattr(c.request, "parent", "") == name
        ]
        handed = sum(c.request.count or 1 for c in lost if c.method == "SuggestTrials")
        made = sum(c.method == "CreateTrial" for c in lost)
        stories = [(t, self.stories.get(t.name, Story(t.name))) for t in snapshot.trials]
        unknown = [t.name for t, story in stories if not story.handouts and not story.creations]
        missing = sum(t.attempt - len({h.trial.attempt for h in story.handouts}) for t, story in stories)
        if len(unknown) > handed + made:
            yield Violation("phantom", name, f"nobody was given {unknown[:5]}, and {handed + made} answers were lost")
        elif missing > handed:
            yield Violation("phantom", name, f"{missing} attempts were given to nobody, and {handed} answers were lost")


@dataclass(frozen=True)
class Write:
    """A value put into a register between two moments: without an end, perhaps never."""

    begin: float
    end: float
    settled: float
    """After this moment it isn't put there again."""
    value: str


def _written(call: Call) -> Write:
    """A checkpoint: only an answer under a valid lease says that it was recorded."""
    told = [a.end for a in call.attempts if a.answer is not None and a.answer.lease_valid]
    return Write(call.begin, min(told, default=math.inf), call.settled, call.request.checkpoint_uri)


def _recorded(call: Call) -> bool:
    """Whether a report may have been recorded, rather than answered with the loss of the lease."""
    return any(a.is_unknown or (a.answer is not None and a.answer.lease_valid) for a in call.attempts)


def _one_identity(story: Story, seen: Sequence[EvaluatedSet]) -> Iterator[Violation]:
    identities = {
        (s.trial.create_time.seconds, s.trial.create_time.nanos, str(sorted(s.trial.parameters.items(), key=str)))
        for s in seen
    }
    if len(identities) > 1:
        yield Violation("number reused", story.name, f"{len(identities)} trials had this number")


def _monotone(name: str, seen: Iterable[tuple[float, float, int]]) -> Iterator[Violation]:
    """What is seen later has no smaller revision."""
    by_begin = sorted(seen, key=lambda s: s[0])
    by_end = sorted(by_begin, key=lambda s: s[1])
    most, ended = 0, 0
    for begin, _, revision in by_begin:
        while ended < len(by_end) and by_end[ended][1] < begin:
            most = max(most, by_end[ended][2])
            ended += 1
        if revision < most:
            yield Violation("revision", name, f"is {revision} after {most}")


def _life(story: Story, seen: Sequence[EvaluatedSet]) -> Iterator[Violation]:
    """In the order of revisions: one state each, nothing after an end, attempts never fewer."""
    states: dict[int, bytes] = {}
    ended: Any = None
    before: Any = None
    for trial in sorted((s.trial for s in seen), key=lambda t: t.revision):
        bare = _bare(trial)
        if states.setdefault(trial.revision, bare) != bare:
            yield Violation("revision", story.name, f"two states under revision {trial.revision}")
        if ended is not None and _outcome(trial) != _outcome(ended):
            yield Violation("ended changed", story.name, f"from {_outcome(ended)} to {_outcome(trial)}")
        if before is not None and trial.attempt < before.attempt:
            yield Violation("attempts", story.name, f"{trial.attempt} after {before.attempt}")
        ended = trial if trial.state in ENDED else ended
        before = trial


def _bare(trial: Any) -> bytes:
    """Without what changes under one revision: how long the lease is, and who may see it."""
    copy = type(trial)()
    copy.CopyFrom(trial)
    copy.ClearField("lease")
    copy.ClearField("measurements")
    found: bytes = copy.SerializeToString(deterministic=True)
    return found


def _outcome(trial: Any) -> tuple[int, tuple[tuple[str, float], ...], int]:
    return trial.state, tuple(sorted(trial.final_measurement.metrics.items())), trial.failure.reason


def _is_readable(begin: float, end: float, value: str, first: str, writes: Sequence[Write]) -> bool:
    """Whether a register with these writes may be read as `value` at some moment between `begin` and `end`."""
    if value == first and not any(w.end < begin for w in writes):
        return True
    return any(
        write.value == value
        and write.begin <= end
        and not any(later.begin > write.settled and later.end < begin for later in writes)
        for write in writes
    )


def _results(story: Story, final: Any, made: Sequence[Call]) -> Iterator[Violation]:
    ended = [c for c in (*story.completions, *story.stops) if c.answer is not None and c.answer.trial.state in ENDED]
    if len(ended) > 1:
        yield Violation("done twice", story.name, f"calls {[c.number for c in ended]} all ended it")
    for call in ended:
        if _outcome(call.answer.trial) != _outcome(final):
            yield Violation(
                "lost result", story.name, f"{_outcome(call.answer.trial)} was told, {_outcome(final)} is kept"
            )
    if final.HasField("final_measurement"):
        claims = [c.request.final_measurement.metrics for c in story.completions if c.may_have_acted]
        claims += [c.request.trial.final_measurement.metrics for c in made]
        if not any(dict(c) == dict(final.final_measurement.metrics) for c in claims):
            yield Violation("phantom", story.name, "has a result that nobody has sent")


def _curve(story: Story, final: Any) -> Iterator[Violation]:
    kept = {m.step: dict(m.metrics) for m in final.measurements}
    for call in story.reports:
        is_told = any(a.answer is not None and a.answer.lease_valid for a in call.attempts)
        for m in call.request.measurements if is_told else ():
            if kept.get(m.step) != dict(m.metrics):
                yield Violation("lost measurement", story.name, f"step {m.step} of call {call.number} isn't kept")
    sent = [(m.step, dict(m.metrics)) for c in story.reports if _recorded(c) for m in c.request.measurements]
    for step, metrics in kept.items():
        if (step, metrics) not in sent and not story.creations:
            yield Violation("phantom", story.name, f"nobody has sent step {step}")
