"""The synthetic world: people drawn from a seed, with their movements, voices, boxes and keypoints."""
