"""Web application in which a person looks at renders and decides: `troupe review`."""

from flows.review.app import make_app
from flows.review.context import ReviewContext

__all__ = ["ReviewContext", "make_app"]
