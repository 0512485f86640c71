"""Access to inputs: what may be read, within which limits, and with which content."""
