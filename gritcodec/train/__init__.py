"""Training on Accelerate: configuration, data, losses, the loop. Imported by `gritcodec train` alone."""
