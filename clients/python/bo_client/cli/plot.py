"""The command `bo plot`, which draws a study into a file."""

from pathlib import Path

import click

from bo_client.cli.arguments import pass_client, study_argument
from bo_client.cli.completion import metric_names, parameter_names
from bo_client.client import Client
from bo_client.figures.fetch import KINDS, picture
from bo_client.figures.themes import PALETTES


@click.command()
@study_argument
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Output file: .png, .svg or .pdf.",
)
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    help="convergence: best value so far by trial (default); front: objectives with their Pareto front (default with "
    "several objectives); curves: learning curves; parallel: each trial as a line through its parameters; "
    "importance: important parameters; slice: predictions along one parameter; contour: over two; "
    "workers: attempts of each machine in time, and which failed.",
)
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME",
    shell_complete=parameter_names,
    help="Parameter of a slice (once or twice) or contour (twice); by default the most important ones.",
)
@click.option(
    "--metric", metavar="NAME", shell_complete=metric_names, help="Metric to draw.  [default: the objectives]"
)
@click.option("--std", is_flag=True, help="Draw the standard deviation in a contour.")
@click.option("--theme", type=click.Choice(list(PALETTES)), default="light", show_default=True, help="Color theme.")
@pass_client
def plot(
    client: Client,
    study_id: str,
    output: Path,
    kind: str | None,
    parameters: tuple[str, ...],
    metric: str | None,
    std: bool,
    theme: str,
) -> None:
    """Draw a study into a PNG, SVG or PDF file.

    This command needs matplotlib: pip install "bo-service[plot]".
    """
    from bo_client.figures import matplotlib_renderer

    study = client.study(study_id)
    chosen = kind or ("front" if len(study.definition.objectives) > 1 else "convergence")
    spec = picture(study, chosen, parameters, metric=metric, show="std" if std else "mean")
    matplotlib_renderer.save(spec, output, theme)
    click.echo(str(output))
