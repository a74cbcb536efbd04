"""A history sorted by trial: who was given it, what was written to it, what was seen of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.history import Call

ENDED = (3, 4, 5, 6)
"""SUCCEEDED, FAILED, INFEASIBLE and STOPPED on the wire."""
QUEUED, RUNNING = 1, 2


@dataclass(frozen=True)
class EvaluatedSet:
    """A trial as some answer told it; it was so at a moment between `begin` and `end`."""

    begin: float
    end: float
    trial: Any


@dataclass(frozen=True)
class SuggestResult:
    """A trial in the answer to SuggestTrials: from then on `call`'s sender holds it."""

    call: Call
    trial: Any

    @property
    def token(self) -> str:
        return str(self.trial.lease.token)

    @property
    def seconds(self) -> float:
        return seconds_of(self.trial.lease.expire_time) - seconds_of(self.trial.start_time)


@dataclass
class Story:
    """All that is known of one trial."""

    name: str
    handouts: list[SuggestResult] = field(default_factory=list)
    reports: list[Call] = field(default_factory=list)
    completions: list[Call] = field(default_factory=list)
    stops: list[Call] = field(default_factory=list)
    deletions: list[Call] = field(default_factory=list)
    creations: list[Call] = field(default_factory=list)
    seen: list[EvaluatedSet] = field(default_factory=list)

    @property
    def endings(self) -> list[Call]:
        """Calls that may have taken it from its holder."""
        return [c for c in (*self.completions, *self.stops, *self.deletions) if c.may_have_acted]

    def reports_of(self, token: str) -> list[Call]:
        return [c for c in self.reports if c.request.lease_token == token]

    def sure_until(self, handout: SuggestResult, before: float) -> float:
        """Until when the lease is sure to hold, by what its holder was told in calls that ended before a moment."""
        told = [handout.call.begin + handout.seconds] if handout.call.end <= before else []
        for call in self.reports_of(handout.token):
            answers = [a for a in call.attempts if a.answer is not None and a.answer.lease_valid and a.end <= before]
            told += [a.begin + seconds_of(a.answer.lease_remaining) for a in answers]
        return max(told, default=0.0)


def seconds_of(moment: Any) -> float:
    return float(moment.seconds + moment.nanos / 1e9)


def study_of(name: str) -> str:
    """`studies/s` of `studies/s/trials/1`."""
    return "/".join(name.split("/")[:2])


class Stories(dict[str, Story]):
    """By trial name."""

    def __init__(self, calls: Iterable[Call]) -> None:
        super().__init__()
        for call in calls:
            add = getattr(self, f"_add_{call.method}", None)
            if add is not None:
                add(call)

    def __missing__(self, name: str) -> Story:
        self[name] = Story(name)
        return self[name]

    def _see(self, call: Call, trials: Sequence[Any]) -> None:
        for trial in trials:
            self[trial.name].seen.append(EvaluatedSet(call.begin, call.end, trial))

    def _add_SuggestTrials(self, call: Call) -> None:
        if call.answer is not None:
            self._see(call, call.answer.trials)
            for trial in call.answer.trials:
                self[trial.name].handouts.append(SuggestResult(call, trial))

    def _add_CreateTrial(self, call: Call) -> None:
        if call.answer is not None:
            self._see(call, [call.answer.trial])
            self[call.answer.trial.name].creations.append(call)

    def _add_ReportMeasurements(self, call: Call) -> None:
        self[call.request.name].reports.append(call)

    def _add_CompleteTrial(self, call: Call) -> None:
        self[call.request.name].completions.append(call)
        if call.answer is not None:
            self._see(call, [call.answer.trial])

    def _add_StopTrial(self, call: Call) -> None:
        self[call.request.name].stops.append(call)
        if call.answer is not None:
            self._see(call, [call.answer.trial])

    def _add_DeleteTrial(self, call: Call) -> None:
        self[call.request.name].deletions.append(call)

    def _add_GetTrial(self, call: Call) -> None:
        if call.answer is not None:
            self._see(call, [call.answer.trial])

    def _add_ListTrials(self, call: Call) -> None:
        if call.answer is not None:
            self._see(call, call.answer.trials)
