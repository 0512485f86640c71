"""The synthetic world: people drawn from seeds, with performances, voices, face boxes and keypoints."""
