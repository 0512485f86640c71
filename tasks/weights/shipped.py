"""The model that comes with troupe, the default of requests."""

from models.miniature import SHIPPED_WEIGHTS

__all__ = ["SHIPPED_WEIGHTS"]
