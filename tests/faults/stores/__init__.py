"""Trials of the catalog of a store."""
