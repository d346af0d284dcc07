"""The network: causal streaming layers, encoder and decoder. No files, no training."""
