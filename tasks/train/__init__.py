"""Training: a plain loop over an objective, configured by a training file."""
