"""Distillation of the guided sampler: recorded trajectories, and the objective of the preset `fast`."""
