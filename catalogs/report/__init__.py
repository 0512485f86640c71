"""One page that shows a run: how it went, what failed and why, and every video beside what it was made of."""

from catalogs.report.page import render_page, write_report

__all__ = ["render_page", "write_report"]
