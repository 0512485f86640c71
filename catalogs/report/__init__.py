"""Report of a run as one HTML page: summary, failures, quality, and every video beside its inputs."""

from catalogs.report.page import render_page, write_report

__all__ = ["render_page", "write_report"]
