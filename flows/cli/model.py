"""Which model a command uses that is told none."""

from __future__ import annotations

from flows.cli.console import stderr

__all__ = ["chosen_weights"]

MINIATURE_CONFIG = (
    "No --weights: troupe's own miniature animates, which knows drawn people, at 128x128 pixels. "
    "`troupe weights pull DIR` gets the full model."
)


def chosen_weights(weights: str | None) -> str:
    """The weights directory that was named, or else the one that comes with troupe, which is then said."""
    if weights is not None:
        return weights
    from tasks.weights.shipped import SHIPPED_WEIGHTS

    stderr.print(MINIATURE_CONFIG)
    return str(SHIPPED_WEIGHTS)
