"""Films: a picture with its sound, subtitles and signature."""
