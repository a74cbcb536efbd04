"""The diagnosis of a study and of a trial in sentences, for whatever prints them."""

from collections.abc import Iterator
from dataclasses import dataclass

from bo_client.diagnosis import ERRORS, HEALTHY, KINDS_LABEL, NOTES_LABEL, StudyDiagnosis, kinds
from bo_client.values import StudyInfo, Trial
from bo_client.wording import short


@dataclass(frozen=True)
class Findings:
    """Sentences about one question."""

    title: str
    lines: tuple[str, ...]


def in_brief(study: StudyInfo, found: StudyDiagnosis) -> str:
    """How many results there are, and how good they usually are."""
    middle = "" if found.median is None else f", the median {found.metric} is {short(found.median)}"
    return f"{study.id}: {found.results} results, {found.failed} without{middle}"


def study_findings(found: StudyDiagnosis, best: Trial | None) -> Iterator[Findings]:
    """Yield what matters, edges, waste, what to change about each parameter, and the workers' findings."""
    yield Findings("What matters", tuple(_mattering(found)))
    yield Findings("Edges that the best trials press against", tuple(_pressed(found)) or ("none",))
    yield Findings("Parts that are a waste", tuple(_wasted(found)) or ("none",))
    if found.advice:
        yield Findings("What to change", tuple(f"{name}: {text}" for name, text in found.advice.items()))
    ended = found.results + found.failed
    ailing = tuple(f"{kind}: {count} of {ended}" for kind, count in found.ailments.items())
    yield Findings("What ails the trials", ailing or ("nothing that their workers have told",))
    if best is not None and kinds(best):
        yield Findings(f"The best, trial {best.number}", tuple(trial_lines(best)))


def trial_lines(trial: Trial) -> Iterator[str]:
    """Yield a line for each finding about a trial, and for each note."""
    told = _details(trial, KINDS_LABEL)
    if not told:
        yield HEALTHY
    yield from (f"{kind}: {text}" for kind, text in told.items())
    yield from (f"{kind} (note): {text}" for kind, text in _details(trial, NOTES_LABEL).items())


def _details(trial: Trial, label: str) -> dict[str, str]:
    """By kind."""
    prefix = f"{label}."
    return {name.removeprefix(prefix): text for name, text in trial.labels.items() if name.startswith(prefix)}


def _mattering(found: StudyDiagnosis) -> Iterator[str]:
    told = ", ".join(
        f"{name} {share:.0%} ± {ERRORS * found.errors.get(name, 0.0):.0%}" for name, share in found.matters.items()
    )
    if not found.matters:
        yield "can't be told yet: run more trials"
    elif found.results_missing:
        results = "result" if found.results == 1 else "results"
        yield (
            f"too early to tell: there are {found.results} {results} for {len(found.matters)} parameters; run about "
            f"{found.results_missing} more trials"
        )
        yield f"so far, within two standard errors: {told}"
    else:
        yield f"shares of the variation, within two standard errors: {told}"
    if found.idle:
        yield f"hardly: {', '.join(found.idle)}"


def _pressed(found: StudyDiagnosis) -> Iterator[str]:
    for edge in found.pressed:
        yield (
            f"{edge.parameter}: {edge.near} of the {edge.best} best that have it lie at its {edge.edge} edge, "
            f"{short(edge.bound)}"
        )


def _wasted(found: StudyDiagnosis) -> Iterator[str]:
    for part in found.wasted:
        told = f"{part.parameter} {part.part}: {part.trials} trials"
        if part.failed:
            told += f", {part.failed} of them without a result"
        yield told if part.best is None else f"{told}, best {short(part.best)}, all worse than the median of the others"
