"""The model on a GPU: everything that a machine without one cannot measure, in one command and on one page."""
