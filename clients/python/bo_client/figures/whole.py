"""All figures of a study, or one by its name."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bo_client.figures.history import convergence
from bo_client.figures.important import importance
from bo_client.figures.learning_curves import curves
from bo_client.figures.marks import Picture
from bo_client.figures.parallel_axes import parallel
from bo_client.figures.pareto import front
from bo_client.figures.plotly_renderer import drawn
from bo_client.figures.reading import analysis_of, picture
from bo_client.figures.slices import contour, slice_
from bo_client.insight import Analysis
from bo_client.values import Trial

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from bo_client.study import Study

MOST_SLICES = 12
"""Parameters along which slices are shown: those that matter most."""


def figure(
    study: "Study",
    kind: str,
    parameters: Sequence[str] = (),
    *,
    metric: str | None = None,
    show: str = "mean",
    theme: str = "light",
    is_titled: bool = True,
) -> "go.Figure":
    """One figure of the study as it is now; where there is nothing to draw, one that says why.

    Args:
        study: on its server.
        kind: one of KINDS.
        parameters: what a slice or contour goes along; by default what matters most.
        metric: by default the objectives; of slices, contours and importance the first.
        show: of a contour, `mean` or `std`.
        theme: `light` or `dark`.
        is_titled: whether the title is in the figure, not only in its `layout.meta`.

    Raises:
        PlotError: plotly is missing.
        InvalidRequest: there is no such kind, parameter, metric or theme.
    """
    return drawn(picture(study, kind, parameters, metric=metric, show=show), theme, is_titled)


def of(study: "Study", theme: str = "light") -> "dict[str, go.Figure]":
    """All figures that apply, by name: as `pictures`.

    Raises:
        PlotError: plotly is missing.
        InvalidRequest: there is no such theme.
    """
    return {name: drawn(shown, theme) for name, shown in pictures(study).items()}


def pictures(
    study: "Study", trials: Sequence[Trial] | None = None, analysis: Analysis | None = None
) -> dict[str, Picture]:
    """What all figures that apply show, by name.

    `convergence`, `front` for several objectives, `curves`, `parallel`, `importance`, `slice NAME` for each of the
    parameters that matter most, and `contour NAME NAME` with `uncertainty NAME NAME` for the first two.

    Args:
        study: on its server.
        trials: where they are known, with their measurements; else they are read.
        analysis: where it is known.
    """
    info = study.definition
    seen = list(study.trials(full=True)) if trials is None else list(trials)
    told = analysis or analysis_of(study)
    made = {"convergence": convergence(info, seen)}
    if len(info.objectives) > 1:
        made["front"] = front(info, seen)
    made |= {"curves": curves(info, seen), "parallel": parallel(info, seen), "importance": importance(info, told)}
    return made if told is None else {**made, **_along(study, seen, list(told.importance))}


def _along(study: "Study", trials: Sequence[Trial], names: Sequence[str]) -> dict[str, Picture]:
    info = study.definition
    made = {f"slice {name}": slice_(info, study.slice(name), trials) for name in names[:MOST_SLICES]}
    if len(names) > 1:
        pair = " ".join(names[:2])
        found = study.slice(*names[:2])
        made[f"contour {pair}"] = contour(info, found, trials)
        made[f"uncertainty {pair}"] = contour(info, found, trials, show="std")
    return made


def as_json(figure: "go.Figure") -> str:
    """The figure as plotly.js takes it: an object with `data` and `layout`."""
    return str(figure.to_json())
