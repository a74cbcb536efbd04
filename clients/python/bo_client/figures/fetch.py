"""Read the data of a figure from the server."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bo_client.errors import FailedPrecondition, InvalidRequest
from bo_client.figures.common import nothing
from bo_client.figures.history import convergence
from bo_client.figures.importance import importance
from bo_client.figures.learning_curves import curves
from bo_client.figures.marks import FigureSpec
from bo_client.figures.parallel_axes import parallel
from bo_client.figures.pareto import front
from bo_client.figures.slices import contour, slice_
from bo_client.figures.timeline import workers
from bo_client.insight import Analysis
from bo_client.models import StudyInfo, Trial
from bo_client.parameters import format_values

if TYPE_CHECKING:
    from bo_client.study import Study

KINDS = ("convergence", "front", "curves", "parallel", "importance", "slice", "contour", "workers")
"""Kinds of figures, which `registry.pictures` describes."""
NUM_PARAMETERS = {"slice": (1, 2), "contour": (2, 2)}
"""Minimum and maximum number of parameters; a slice along two is a contour."""


def picture(
    study: "Study",
    kind: str,
    parameters: Sequence[str] = (),
    *,
    metric: str | None = None,
    show: str = "mean",
    trials: Sequence[Trial] | None = None,
) -> FigureSpec:
    """Return the content of a figure of the study as it is now.

    Args:
        study: the study.
        kind: one of KINDS.
        parameters: parameters of a slice or contour; by default the most important ones.
        metric: name of a metric; by default the objectives.
        show: for a contour, `mean` or `std`.
        trials: the trials, with their measurements for `curves`; by default they are read.

    Raises:
        InvalidRequest: the kind, a parameter or the metric does not exist.
    """
    info = study.definition
    if kind not in KINDS:
        raise InvalidRequest.of("kind", f"is {kind!r}; there are {format_values(KINDS)}")
    if kind == "importance":
        return importance(info, analysis_of(study), metric)
    trials_read = list(study.trials(full=kind == "curves")) if trials is None else list(trials)
    match kind:
        case "front":
            return front(info, trials_read)
        case "curves":
            return curves(info, trials_read, metric)
        case "parallel":
            return parallel(info, trials_read, metric)
        case "convergence":
            return convergence(info, trials_read, metric)
        case "workers":
            return workers(info, trials_read)
    return _along(study, info, kind, tuple(parameters), trials_read, metric, show)


def analysis_of(study: "Study") -> Analysis | None:
    """Return the surrogate's analysis; None if there are too few results."""
    try:
        return study.analyze()
    except FailedPrecondition:
        return None


def _along(
    study: "Study",
    info: StudyInfo,
    kind: str,
    parameters: tuple[str, ...],
    trials: Sequence[Trial],
    metric: str | None,
    show: str,
) -> FigureSpec:
    least, most = NUM_PARAMETERS[kind]
    if parameters and not least <= len(parameters) <= most:
        allowed = f"{least}" if least == most else f"{least} or {most}"
        raise InvalidRequest.of("parameters", f"are {list(parameters)}; a {kind} goes along {allowed}")
    if least > len(info.space.parameters):
        return nothing(info, f"a {kind} goes along {least} parameters; {info.id} has {len(info.space.parameters)}")
    try:
        along = parameters or tuple(study.analyze().importance)[:least]
        predicted = study.slice(*along)
    except FailedPrecondition:
        return nothing(info, "there are too few results to expect anything")
    draw = slice_ if len(predicted.axes) == 1 else None
    return draw(info, predicted, trials, metric) if draw else contour(info, predicted, trials, metric, show)
