"""Benchmarks of the model by itself: speed, memory, training, drawing and pasting back."""
