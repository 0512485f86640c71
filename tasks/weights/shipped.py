"""The model that comes with troupe, for requests that name none."""

from models.miniature import SHIPPED

__all__ = ["SHIPPED"]
