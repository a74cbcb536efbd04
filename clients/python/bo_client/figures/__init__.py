"""Figures of a study, for reports, dashboards and notebooks.

    figures = bo_client.figures.of(study)                       # name → plotly figure, all that apply
    figures["convergence"].show()
    figure = bo_client.figures.figure(study, "contour", ["lr", "norm"], theme="dark")
    bo_client.figures.as_json(figure)                           # data and layout for Plotly.react, and CONFIG with them

The content of a figure is a `FigureSpec` of plain values, created by `convergence`, `curves`, `front`, `parallel`,
`importance`, `slice_`, `contour`, `workers` and `comparison`; `picture` reads the data from the server. `drawn`
converts it to a plotly figure (extra `report`), and `bo plot` to one of matplotlib. The import of this package imports
neither.
"""

from bo_client.figures.common import PlotError
from bo_client.figures.comparison import comparison
from bo_client.figures.fetch import KINDS, picture
from bo_client.figures.history import convergence
from bo_client.figures.importance import importance
from bo_client.figures.learning_curves import CurveOptions, curves
from bo_client.figures.marks import FigureSpec
from bo_client.figures.parallel_axes import parallel
from bo_client.figures.pareto import front
from bo_client.figures.plotly_renderer import CONFIG, drawn
from bo_client.figures.registry import as_json, figure, of, pictures
from bo_client.figures.slices import contour, slice_
from bo_client.figures.timeline import workers

__all__ = [
    "CONFIG",
    "KINDS",
    "CurveOptions",
    "FigureSpec",
    "PlotError",
    "as_json",
    "comparison",
    "contour",
    "convergence",
    "curves",
    "drawn",
    "figure",
    "front",
    "importance",
    "of",
    "parallel",
    "picture",
    "pictures",
    "slice_",
    "workers",
]
