"""Reading what a picture of a study needs from its server."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bo_client.errors import FailedPrecondition, InvalidRequest
from bo_client.figures.history import convergence
from bo_client.figures.important import importance
from bo_client.figures.learning_curves import curves
from bo_client.figures.marks import Picture
from bo_client.figures.parallel_axes import parallel
from bo_client.figures.pareto import front
from bo_client.figures.showing import nothing
from bo_client.figures.slices import contour, slice_
from bo_client.insight import Analysis
from bo_client.parameters import listed
from bo_client.values import StudyInfo, Trial

if TYPE_CHECKING:
    from bo_client.study import Study

KINDS = ("convergence", "front", "curves", "parallel", "importance", "slice", "contour")
"""What can be shown: the best value so far by trial; objectives against each other with their Pareto front; learning
curves; parallel coordinates; which parameters matter; what is expected along one parameter, and over two."""
ALONG = {"slice": (1, 2), "contour": (2, 2)}
"""Least and most parameters; a slice along two is a contour."""


def picture(
    study: "Study",
    kind: str,
    parameters: Sequence[str] = (),
    *,
    metric: str | None = None,
    show: str = "mean",
    trials: Sequence[Trial] | None = None,
) -> Picture:
    """What one picture of the study shows now.

    Args:
        study: on its server.
        kind: one of KINDS.
        parameters: what a slice or contour goes along; by default what matters most.
        metric: by default the objectives.
        show: of a contour, `mean` or `std`.
        trials: where they are known, with their measurements for `curves`; else they are read.

    Raises:
        InvalidRequest: there is no such kind, parameter or metric.
    """
    info = study.definition
    if kind not in KINDS:
        raise InvalidRequest.of("kind", f"is {kind!r}; there are {listed(KINDS)}")
    if kind == "importance":
        return importance(info, analysis_of(study), metric)
    seen = list(study.trials(full=kind == "curves")) if trials is None else list(trials)
    match kind:
        case "front":
            return front(info, seen)
        case "curves":
            return curves(info, seen, metric)
        case "parallel":
            return parallel(info, seen, metric)
        case "convergence":
            return convergence(info, seen, metric)
    return _along(study, info, kind, tuple(parameters), seen, metric, show)


def analysis_of(study: "Study") -> Analysis | None:
    """What the surrogate tells; None where there are too few results."""
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
) -> Picture:
    least, most = ALONG[kind]
    if parameters and not least <= len(parameters) <= most:
        wanted = f"{least}" if least == most else f"{least} or {most}"
        raise InvalidRequest.of("parameters", f"are {list(parameters)}; a {kind} goes along {wanted}")
    if least > len(info.space.parameters):
        return nothing(info, f"a {kind} goes along {least} parameters; {info.id} has {len(info.space.parameters)}")
    try:
        along = parameters or tuple(study.analyze().importance)[:least]
        found = study.slice(*along)
    except FailedPrecondition:
        return nothing(info, "there are too few results to expect anything")
    draw = slice_ if len(found.axes) == 1 else None
    return draw(info, found, trials, metric) if draw else contour(info, found, trials, metric, show)
