"""All figures of a study, or one by its name."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bo_client.figures.fetch import analysis_of, picture
from bo_client.figures.history import convergence
from bo_client.figures.importance import importance
from bo_client.figures.learning_curves import curves
from bo_client.figures.marks import FigureSpec
from bo_client.figures.parallel_axes import parallel
from bo_client.figures.pareto import front
from bo_client.figures.plotly_renderer import drawn
from bo_client.figures.slices import contour, slice_
from bo_client.figures.timeline import workers
from bo_client.insight import Analysis
from bo_client.machines import has_failed
from bo_client.models import Trial

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from bo_client.study import Study

MAX_SLICES = 12
"""Maximum number of slices, along the most important parameters."""


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
    """Return a figure of the study as it is now; an empty figure says why it is empty.

    Args:
        study: the study.
        kind: one of KINDS.
        parameters: parameters of a slice or contour; by default the most important ones.
        metric: by default the objectives; for slices, contours and importance the first one.
        show: for a contour, `mean` or `std`.
        theme: `light` or `dark`.
        is_titled: whether the figure shows its title.

    Raises:
        PlotError: plotly is missing.
        InvalidRequest: the kind, a parameter, the metric or the theme does not exist.
    """
    return drawn(picture(study, kind, parameters, metric=metric, show=show), theme, is_titled)


def of(study: "Study", theme: str = "light") -> "dict[str, go.Figure]":
    """Return all applicable figures by name, as `pictures` does.

    Raises:
        PlotError: plotly is missing.
        InvalidRequest: there is no such theme.
    """
    return {name: drawn(shown, theme) for name, shown in pictures(study).items()}


def pictures(
    study: "Study", trials: Sequence[Trial] | None = None, analysis: Analysis | None = None
) -> dict[str, FigureSpec]:
    """Return the content of all applicable figures, by name.

    These are `convergence`, `front` with several objectives, `curves`, `parallel`, `workers` if an attempt failed,
    `importance`, `slice NAME` for the most important parameters, and `contour NAME NAME` and `uncertainty NAME NAME`
    for the first two.

    Args:
        study: the study.
        trials: its trials with their measurements; by default they are read.
        analysis: its analysis; by default it is requested.
    """
    info = study.definition
    trials_read = list(study.trials(full=True)) if trials is None else list(trials)
    study_analysis = analysis or analysis_of(study)
    specs = {"convergence": convergence(info, trials_read)}
    if len(info.objectives) > 1:
        specs["front"] = front(info, trials_read)
    specs |= {"curves": curves(info, trials_read), "parallel": parallel(info, trials_read)}
    if any(has_failed(attempt) for trial in trials_read for attempt in trial.attempts):
        specs["workers"] = workers(info, trials_read)
    specs["importance"] = importance(info, study_analysis)
    return specs if study_analysis is None else {**specs, **_along(study, trials_read, list(study_analysis.importance))}


def _along(study: "Study", trials: Sequence[Trial], names: Sequence[str]) -> dict[str, FigureSpec]:
    info = study.definition
    specs = {f"slice {name}": slice_(info, study.slice(name), trials) for name in names[:MAX_SLICES]}
    if len(names) > 1:
        pair = " ".join(names[:2])
        predicted = study.slice(*names[:2])
        specs[f"contour {pair}"] = contour(info, predicted, trials)
        specs[f"uncertainty {pair}"] = contour(info, predicted, trials, show="std")
    return specs


def as_json(figure: "go.Figure") -> str:
    """Return the figure as JSON for plotly.js: an object with `data` and `layout`."""
    return str(figure.to_json())
