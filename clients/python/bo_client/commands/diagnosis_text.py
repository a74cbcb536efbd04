"""What `bo diagnose` prints for people."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from bo_client.diagnosis import HEALTHY, KINDS_LABEL, StudyDiagnosis, kinds
from bo_client.values import StudyInfo, Trial
from bo_client.wording import short


def study_text(study: StudyInfo, found: StudyDiagnosis, best: Trial | None) -> RenderableType:
    """What matters, which edges are pressed against, what was a waste, what ails trials, and what to do about each."""
    return Group(*(Text(line, style="bold" if not line.startswith(" ") else "") for line in _lines(study, found, best)))


def _lines(study: StudyInfo, found: StudyDiagnosis, best: Trial | None) -> Iterator[str]:
    middle = "" if found.median is None else f", the median {found.metric} is {short(found.median)}"
    yield f"{study.id}: {found.results} results, {found.failed} without{middle}"
    yield "What matters"
    if found.matters:
        yield "  " + ", ".join(f"{name} {share:.0%}" for name, share in found.matters.items())
    else:
        yield "  can't be told yet: run more trials"
    if found.idle:
        yield f"  hardly: {', '.join(found.idle)}; pin them, and the search needs fewer trials"
    yield "Edges that the best trials press against"
    for edge in found.pressed:
        yield (
            f"  {edge.parameter}: {edge.near} of the {edge.best} best that have it lie at its {edge.edge} edge, "
            f"{short(edge.bound)}; move that edge out"
        )
    if not found.pressed:
        yield "  none"
    yield "Parts that are a waste"
    for part in found.wasted:
        tried = f"best {short(part.best)}" if part.best is not None else "none with a result"
        yield (
            f"  {part.parameter} {part.part}: {part.trials} trials, {part.failed} failed, {tried}, all worse than the "
            "median of the others; leave it out"
        )
    if not found.wasted:
        yield "  none"
    yield "What ails the trials"
    for kind, count in found.ailments.items():
        yield f"  {kind}: {count} of {found.results + found.failed}"
    if not found.ailments:
        yield "  nothing that their workers have told"
    if best is not None and kinds(best):
        yield f"The best, trial {best.number}"
        yield from (f"  {line}" for line in trial_lines(best))


def trial_lines(trial: Trial) -> Iterator[str]:
    """A trial's diagnosis: one line for each finding."""
    prefix = f"{KINDS_LABEL}."
    told = {name.removeprefix(prefix): text for name, text in trial.labels.items() if name.startswith(prefix)}
    if not told:
        yield HEALTHY
    yield from (f"{kind}: {text}" for kind, text in told.items())
