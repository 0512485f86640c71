"""Training of the voice: prepared clips with sounds, and the objective."""
