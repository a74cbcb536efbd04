"""Figures of a study, for reports, dashboards and notebooks.

    figures = bo_client.figures.of(study)                       # name → plotly figure, all that apply
    figures["convergence"].show()
    figure = bo_client.figures.figure(study, "contour", ["lr", "norm"], theme="dark")
    bo_client.figures.as_json(figure)                           # data and layout for Plotly.react, and CONFIG with them

What a figure shows is a `Picture`: plain values, made by `convergence`, `curves`, `front`, `parallel`, `importance`,
`slice_` and `contour` from what was read; `picture` reads it from the server. `drawn` makes a plotly figure of it (the
extra `report`), and `bo plot` one of matplotlib. Importing this loads neither.
"""

from bo_client.figures.history import convergence
from bo_client.figures.important import importance
from bo_client.figures.learning_curves import curves
from bo_client.figures.marks import Picture
from bo_client.figures.parallel_axes import parallel
from bo_client.figures.pareto import front
from bo_client.figures.plotly_renderer import CONFIG, drawn
from bo_client.figures.reading import KINDS, picture
from bo_client.figures.showing import PlotError
from bo_client.figures.slices import contour, slice_
from bo_client.figures.whole import as_json, figure, of, pictures

__all__ = [
    "CONFIG",
    "KINDS",
    "Picture",
    "PlotError",
    "as_json",
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
]
