"""Commands about results: catalog, report, review, export."""
