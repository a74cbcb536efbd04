"""Sentences on the diagnosis of a study or trial, for all kinds of output."""

from collections.abc import Iterator
from dataclasses import dataclass

from bo_client.diagnosis import HEALTHY, KINDS_LABEL, NOTES_LABEL, NUM_STANDARD_ERRORS, StudyDiagnosis, kinds
from bo_client.formatting import short
from bo_client.models import StudyInfo, Trial


@dataclass(frozen=True)
class Findings:
    """Sentences on one question."""

    title: str
    lines: tuple[str, ...]


def in_brief(study: StudyInfo, diagnosis: StudyDiagnosis) -> str:
    """Return the number of results, and their median."""
    middle = "" if diagnosis.median is None else f", the median {diagnosis.metric} is {short(diagnosis.median)}"
    return f"{study.id}: {diagnosis.results} results, {diagnosis.failed} without{middle}"


def study_findings(diagnosis: StudyDiagnosis, best: Trial | None) -> Iterator[Findings]:
    """Yield important parameters, bounds, unpromising regions, recommendations, and the diagnostics of trials."""
    yield Findings("What matters", tuple(_mattering(diagnosis)))
    yield Findings("Bounds near which the best trials lie", tuple(_pressed(diagnosis)) or ("none",))
    yield Findings("Unpromising regions", tuple(_wasted(diagnosis)) or ("none",))
    if diagnosis.advice:
        yield Findings("What to change", tuple(f"{name}: {text}" for name, text in diagnosis.advice.items()))
    ended = diagnosis.results + diagnosis.failed
    worker_findings = tuple(f"{kind}: {count} of {ended}" for kind, count in diagnosis.ailments.items())
    yield Findings("Trial diagnostics", worker_findings or ("none reported",))
    if best is not None and kinds(best):
        yield Findings(f"The best, trial {best.number}", tuple(trial_lines(best)))


def trial_lines(trial: Trial) -> Iterator[str]:
    """Yield a line for each finding about a trial, and for each note."""
    findings = _details(trial, KINDS_LABEL)
    if not findings:
        yield HEALTHY
    yield from (f"{kind}: {text}" for kind, text in findings.items())
    yield from (f"{kind} (note): {text}" for kind, text in _details(trial, NOTES_LABEL).items())


def _details(trial: Trial, label: str) -> dict[str, str]:
    """Return details by kind."""
    prefix = f"{label}."
    return {name.removeprefix(prefix): text for name, text in trial.labels.items() if name.startswith(prefix)}


def _mattering(diagnosis: StudyDiagnosis) -> Iterator[str]:
    shares = ", ".join(
        f"{name} {share:.0%} ± {NUM_STANDARD_ERRORS * diagnosis.errors.get(name, 0.0):.0%}"
        for name, share in diagnosis.matters.items()
    )
    if not diagnosis.matters:
        yield "unknown: run more trials"
    elif diagnosis.results_missing:
        results = "result" if diagnosis.results == 1 else "results"
        yield (
            f"too few results: there are {diagnosis.results} {results} for {len(diagnosis.matters)} parameters; "
            f"run about {diagnosis.results_missing} more trials"
        )
        yield f"so far, within two standard errors: {shares}"
    else:
        yield f"shares of the variation, within two standard errors: {shares}"
    if diagnosis.idle:
        yield f"hardly: {', '.join(diagnosis.idle)}"


def _pressed(diagnosis: StudyDiagnosis) -> Iterator[str]:
    for edge in diagnosis.pressed:
        yield (
            f"{edge.parameter}: {edge.near} of the {edge.best} best that have it lie at its {edge.edge} edge, "
            f"{short(edge.bound)}"
        )


def _wasted(diagnosis: StudyDiagnosis) -> Iterator[str]:
    for part in diagnosis.wasted:
        text = f"{part.parameter} {part.part}: {part.trials} trials"
        if part.failed:
            text += f", {part.failed} of them without a result"
        yield text if part.best is None else f"{text}, best {short(part.best)}, all worse than the median of the others"
