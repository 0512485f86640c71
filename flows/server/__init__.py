"""The Prefect server of a run: finding it, starting it and checking it."""
