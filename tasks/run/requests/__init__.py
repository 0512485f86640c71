"""Requests of runs: checked before anything starts, and made from what reviewers rejected."""
