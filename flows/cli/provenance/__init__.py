"""Commands about whose picture may be used for what, and what was done with it."""
