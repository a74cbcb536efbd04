"""What differs between a study that exists and one that was asked for, in words."""

from collections.abc import Sequence

from bo_client.models import Metric, StudyInfo
from bo_client.space import SearchSpace

MOST_NAMED = 5


def study_differences(there: StudyInfo, here: StudyInfo) -> list[str]:
    """Return what differs between the definition of an existing study and the requested one, each in a few words.

    Settings that were not requested don't count, except `max_trials`.
    """
    found = []
    if there.space != here.space:
        found.append(f"search space ({space_difference(there.space, here.space)})")
    if there.metrics != here.metrics:
        found.append(f"metrics ({metrics_difference(there.metrics, here.metrics)})")
    existing, requested = dict[str, object](there.settings), dict[str, object](here.settings)
    names = ("max_trials", *sorted({*requested} - {"max_trials"}))
    different = [name for name in names if existing.get(name) != requested.get(name)]
    return found + [f"{n} ({existing.get(n, 'none')} there, {requested.get(n, 'none')} here)" for n in different]


def space_difference(there: SearchSpace, here: SearchSpace) -> str:
    """Return which parameters of two spaces differ."""
    existing, requested = ({p.name: p for p in space.parameters} for space in (there, here))
    names = sorted(name for name in {*existing, *requested} if existing.get(name) != requested.get(name))
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"they differ in {', '.join(names[:MOST_NAMED])}{more}" if names else "they differ in order or constraints"


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
