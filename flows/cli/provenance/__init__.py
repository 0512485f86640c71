"""Commands about what a file is, whose picture may be used for what, and what was done with it."""
