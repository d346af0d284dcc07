"""The weights as a browser takes them: what plays in one file, what records in another, each telling its model."""

from __future__ import annotations

import json
from typing import Any

from gritcodec import model_store
from gritcodec.errors import ModelError
from gritcodec.model_store import Model

# What a browser needs to play, and what besides to code.
PLAYER = ("decoder.", "contexts.", "quantizer.base", "quantizer.stage_scale")
ENCODER = ("encoder.", "quantizer.offset", "quantizer.spread", "quantizer.usage")


def about(model: Model) -> dict[str, Any]:
    """Return what a player has to know of a model beside its weights.

    Raises:
        ModelError: its network is of a kind that the web package does not have.
    """
    config = model.config
    quantizer = config.quantizer
    if config.head != "istft" or config.log_magnitudes or config.kernel != 7:
        raise ModelError(f"the network of {model.name} is none that runs in a browser")
    widths = (config.encoder_fine, config.encoder_coarse, config.decoder_coarse, config.decoder_fine, quantizer.dim)
    if any(width % 8 for width in widths) or quantizer.codebook_size % 8:
        raise ModelError(f"{model.name} does not run in a browser: its channels must be multiples of 8")
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
        "beam": quantizer.beam,
        "rateWeight": list(weight) if isinstance(weight, (list, tuple)) else [weight] * quantizer.stages,
    }


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
