"""What differs between a study that exists and one that was asked for, in words."""

from collections.abc import Sequence

from bo_client.errors import AlreadyExists
from bo_client.models import Metric, StudyInfo
from bo_client.space import SearchSpace

MOST_NAMED = 5


def explained_conflict(error: AlreadyExists, there: StudyInfo, here: StudyInfo) -> AlreadyExists:
    """Return the refusal to create a study with what differs from the existing one, and what to do."""
    differences = study_differences(there, here)
    if not differences:  # another objective, which the server tells
        return error
    what = f"{'other' if differences[0].startswith('metrics') else 'another'} {', '.join(differences)}"
    how = f"use it as it is with client.study({there.id!r}), change settings with its update(), or choose another id"
    return AlreadyExists(f"{there.name} exists with {what}; {how}", error.reason, error.metadata)


def study_differences(there: StudyInfo, here: StudyInfo) -> list[str]:
    """Return what differs between the definition of an existing study and the requested one, each in a few words.

    Settings that were not requested don't count, except `max_trials`, nor does the order of parameters and constraints.
    """
    differences = []
    if not is_same_space(there.space, here.space):
        differences.append(f"search space ({space_difference(there.space, here.space)})")
    if there.metrics != here.metrics:
        differences.append(f"metrics ({metrics_difference(there.metrics, here.metrics)})")
    existing, requested = dict[str, object](there.settings), dict[str, object](here.settings)
    names = ("max_trials", *sorted({*requested} - {"max_trials"}))
    different = [name for name in names if existing.get(name) != requested.get(name)]
    return differences + [f"{n} ({existing.get(n, 'none')} there, {requested.get(n, 'none')} here)" for n in different]


def is_same_space(a: SearchSpace, b: SearchSpace) -> bool:
    """Return whether two spaces have the same parameters and constraints, in any order."""
    if {p.name: p for p in a.parameters} != {p.name: p for p in b.parameters}:
        return False
    has_same_number = len(a.parameters) == len(b.parameters) and len(a.constraints) == len(b.constraints)
    return has_same_number and all(c in b.constraints for c in a.constraints)


def space_difference(there: SearchSpace, here: SearchSpace) -> str:
    """Return which parameters of two spaces differ."""
    existing, requested = ({p.name: p for p in space.parameters} for space in (there, here))
    names = sorted(name for name in {*existing, *requested} if existing.get(name) != requested.get(name))
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"they differ in {', '.join(names[:MOST_NAMED])}{more}" if names else "they differ in constraints"


def metrics_difference(there: Sequence[Metric], here: Sequence[Metric]) -> str:
    """Return the metrics of a study beside those requested, as far as they differ."""
    existing = ", ".join(_words(metric) for metric in there if metric not in here)
    requested = ", ".join(_words(metric) for metric in here if metric not in there)
    if not existing and not requested:
        return "they differ in order"
    return f"{existing or 'none more'} there, {requested or 'none more'} here"


def _words(metric: Metric) -> str:
    words = [str(metric.goal or "no goal")]
    if metric.role != "objective":
        words.append(f"{metric.role}{'' if metric.bound is None else f' with bound {metric.bound:g}'}")
    if metric.unit:
        words.append(f"in {metric.unit}")
    return f"{metric.name}: {', '.join(words)}"
