"""A study as one self-contained page of HTML.

    page = bo_client.report.page(study)      # what `bo report STUDY -o report.html` writes

It needs the extra `report`. The import of this package imports neither plotly nor jinja2.
"""

from bo_client.report.page import page

__all__ = ["page"]
