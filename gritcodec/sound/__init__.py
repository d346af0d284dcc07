"""Samples: audio files, pipes, other sampling rates, and where nothing is heard."""
