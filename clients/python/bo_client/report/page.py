"""The page of a report: template, style and script, with plotly's script and the figures' data."""

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING

from bo_client.figures.common import PlotError
from bo_client.figures.plotly_renderer import CONFIG, drawn
from bo_client.figures.registry import as_json
from bo_client.figures.themes import PALETTES
from bo_client.report.content import Figure, read

if TYPE_CHECKING:
    from bo_client.study import Study


def page(study: "Study") -> str:
    """Return the report on the study as it is now.

    Raises:
        PlotError: plotly or jinja2 is missing.
    """
    try:
        import jinja2
        import plotly.offline
    except ImportError:
        raise PlotError('reports need plotly and jinja2: pip install "bo-service[report]"') from None
    content = read(study, datetime.now(UTC))
    scripts = {"library": plotly.offline.get_plotlyjs(), "script": _file("report.js")}
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(_file("report.html.j2")).render(
        content=content, palettes=PALETTES, policy=_policy(scripts.values()), data=_data(content.figures), **scripts
    )


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _policy(scripts: Iterable[str]) -> str:
    """Return the page's content security policy: only these scripts run, and nothing is loaded."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"


def _data(figures: Sequence[Figure]) -> str:
    """Return the figures of each theme by name, and plotly's configuration, as JSON that is safe in a script."""
    figures_by_name = {
        figure.name: {theme: json.loads(as_json(drawn(figure.picture, theme, is_titled=False))) for theme in PALETTES}
        for figure in figures
        if figure.picture.panels
    }
    text = json.dumps({"config": CONFIG, "figures": figures_by_name}, separators=(",", ":"))
    return text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")
