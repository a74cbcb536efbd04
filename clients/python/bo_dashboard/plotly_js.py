"""plotly.js, from the package that brings it: nothing is fetched from elsewhere."""

import re
from functools import cache
from pathlib import Path

import plotly

FILE = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
LOOKED_FOR = re.compile(r'getElementById\("([0-9a-f]{64})"\)')


@cache
def placeholders() -> str:
    """HTML that keeps it from writing style sheets of its maps into the page, which the page's policy would refuse: it
    looks for elements by these ids first."""
    found = sorted(set(LOOKED_FOR.findall(FILE.read_text(encoding="utf-8"))))
    return "".join(f'<meta id="{each}">' for each in found)
