"""Hostile rows of jobs files, and the inputs that they name."""
