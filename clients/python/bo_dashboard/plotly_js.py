"""The plotly.js of the installed package; nothing is loaded from other sites."""

import gzip
import re
from functools import cache
from pathlib import Path

import plotly

FILE = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
ELEMENT_ID = re.compile(r'getElementById\("([0-9a-f]{64})"\)')


@cache
def placeholders() -> str:
    """Return HTML elements that keep plotly.js from adding style sheets for maps, which the page's policy forbids.

    plotly.js first looks for elements with these ids.
    """
    ids = sorted(set(ELEMENT_ID.findall(FILE.read_text(encoding="utf-8"))))
    return "".join(f'<meta id="{each}">' for each in ids)


@cache
def compressed() -> bytes:
    """Return the gzipped script. It is compressed once, because compression takes long and anyone may request it."""
    return gzip.compress(FILE.read_bytes(), mtime=0)
