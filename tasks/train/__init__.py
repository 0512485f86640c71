"""How troupe learns: a plain loop over an objective, by a recipe."""
