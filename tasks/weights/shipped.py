"""The model that comes with troupe, for requests that name none."""

from models.miniature import SHIPPED_WEIGHTS

__all__ = ["SHIPPED_WEIGHTS"]
