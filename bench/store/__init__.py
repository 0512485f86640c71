"""Benchmarks of what a store holds: catalog, report, review, events."""
