"""Measuring quality: metrics from well-kept packages and the evaluation protocol."""
