"""A study as one page of HTML that needs nothing else: no network, no files beside it.

    page = bo_client.report.page(study)      # what `bo report STUDY -o report.html` writes

It needs the extra `report`; importing this loads neither plotly nor jinja2.
"""

from bo_client.report.page import page

__all__ = ["page"]
