"""Trials of what speaks HTTP: the review application and webhooks."""
