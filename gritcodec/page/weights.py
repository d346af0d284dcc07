"""The weights as a browser takes them: what plays in one file, what records in another, each telling its model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gritcodec import model_store
from gritcodec.errors import ModelError
from gritcodec.model_store import Model

if TYPE_CHECKING:
    from gritcodec.nn.config import NetworkConfig

# What a browser needs to play, and what besides to code.
PLAYER = ("decoder.", "contexts.", "quantizer.base", "quantizer.stage_scale")
ENCODER = ("encoder.", "quantizer.offset", "quantizer.spread", "quantizer.usage")
# Of a block's convolution, which the kernel of web/ has unrolled.
_TAPS = 7
# Both transforms are matrices there, of as many numbers as the window's square; codes are numbers of 16 bits.
_LONGEST_WINDOW, _MOST_CODES = 4096, 65536


def about(model: Model) -> dict[str, Any]:
    """Return what a player has to know of a model beside its weights.

    Raises:
        ModelError: its network is of a kind that the web package does not have.
    """
    config = model.config
    quantizer = config.quantizer
    if why := _why_not(config):
        raise ModelError(f"{model.name} does not run in a browser: {why}")
    weight = quantizer.rate_weight
    return {
        "name": model.name,
        "fingerprint": model.fingerprint.hex(),
        "rate": config.sample_rate,
        "hop": config.hop_length,
        "step": config.fine_hop,
        "window": config.window,
        "stages": quantizer.stages,
        "size": quantizer.codebook_size,
        "dim": quantizer.dim,
        "coarse": [config.decoder_coarse, config.decoder_coarse_blocks],
        "fine": [config.decoder_fine, config.decoder_fine_blocks],
        "encoderCoarse": [config.encoder_coarse, config.encoder_coarse_blocks],
        "encoderFine": [config.encoder_fine, config.encoder_fine_blocks],
        "expansion": config.expansion,
        "logMagnitudes": config.log_magnitudes,
        "beam": quantizer.beam,
        "rateWeight": list(weight) if isinstance(weight, (list, tuple)) else [weight] * quantizer.stages,
    }


def _why_not(config: NetworkConfig) -> str | None:
    """Return what the web package lacks for a network, or None."""
    if config.head != "istft":
        return f"the head of its decoder is '{config.head}', and only 'istft' does"
    if config.kernel != _TAPS:
        return f"its kernel is {config.kernel}, and only {_TAPS} does"
    if config.window > _LONGEST_WINDOW:
        return f"its window is {config.window}, and {_LONGEST_WINDOW} is the longest that does"
    if config.quantizer.codebook_size > _MOST_CODES:
        return f"its codebook_size is {config.quantizer.codebook_size}, and {_MOST_CODES} is the largest that does"
    return None


def files(model: Model) -> dict[str, bytes]:
    """Return the weights' files by name: `player.safetensors`, and `encoder.safetensors` where the model has one.

    Raises:
        ModelError: the weights cannot be read, or the model's network is of another kind.
    """
    from safetensors.numpy import save

    metadata = {"gritcodec": json.dumps(about(model))}
    made = {"player.safetensors": save(model_store.tensors(model.folder, *PLAYER), metadata)}
    if model.has_encoder:
        made["encoder.safetensors"] = save(model_store.tensors(model.folder, *ENCODER), metadata)
    return made
