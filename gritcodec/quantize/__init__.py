"""GRIT-VQ: vector quantization with a generalized radius and an integrated codebook transform."""

from gritcodec.quantize.grit import Quantized, radius_slope, replace_by_radius
from gritcodec.quantize.residual import ResidualGritVQ

__all__ = ["Quantized", "ResidualGritVQ", "radius_slope", "replace_by_radius"]
