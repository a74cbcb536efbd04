"""The command of `bo` that draws a study into a file."""

from pathlib import Path

import click

from bo_client.client import Client
from bo_client.commands.arguments import pass_client, study_argument
from bo_client.figures.reading import KINDS, picture
from bo_client.figures.themes import PALETTES


@click.command()
@study_argument
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="FILE", help=".png, .svg or .pdf"
)
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    help="The best value so far by trial (convergence, the default); two or three objectives against each other with "
    "their Pareto front (the default where there are several); the trials' learning curves; each trial as a line "
    "through its parameters; which parameters matter; or what is expected along one parameter, or over two.",
)
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME",
    help="What a slice goes along, once or twice, or a contour, twice; by default what matters most.",
)
@click.option("--metric", metavar="NAME", help="What is drawn; by default the objectives.")
@click.option("--std", is_flag=True, help="Of a contour, the uncertainty.")
@click.option("--theme", type=click.Choice(list(PALETTES)), default="light", show_default=True)
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
    """Draw a study. Needs matplotlib: pip install "bo-service[plot]"."""
    from bo_client.figures import matplotlib_renderer

    study = client.study(study_id)
    chosen = kind or ("front" if len(study.definition.objectives) > 1 else "convergence")
    shown = picture(study, chosen, parameters, metric=metric, show="std" if std else "mean")
    matplotlib_renderer.save(shown, output, theme)
    click.echo(str(output))
