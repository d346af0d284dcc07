"""GRIT-VQ: vector quantization with a generalized radius and an integrated codebook transform.

Plain (GritVQ), residual (ResidualGritVQ) and product (ProductGritVQ) quantizers for [batch, time, dim] tensors; they
need torch alone. Method and source: gritcodec.quantize.grit.
"""

from gritcodec.quantize.grit import Quantized, replace_by_radius
from gritcodec.quantize.plain import GritVQ
from gritcodec.quantize.product import ProductGritVQ
from gritcodec.quantize.radius import RADII
from gritcodec.quantize.residual import ResidualGritVQ
from gritcodec.quantize.transform import TRANSFORMS

__all__ = ["RADII", "TRANSFORMS", "GritVQ", "ProductGritVQ", "Quantized", "ResidualGritVQ", "replace_by_radius"]
