"""Which tensors a network has, by its configuration: what a weights file is held against."""

from __future__ import annotations

from collections.abc import Iterator

from gritcodec.nn.config import WAVEFORM_WIDTHS, NetworkConfig, waveform_strides

Shape = tuple[int, ...]


def shapes(config: NetworkConfig) -> dict[str, Shape]:
    """Return the shapes of all tensors of encoder and decoder, and of those of the quantizer that coding needs."""
    return dict([*_encoder(config), *_decoder(config), *_quantizer(config)])


def _linear(name: str, channels_in: int, channels_out: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (channels_out, channels_in)
    yield f"{name}.bias", (channels_out,)


def _norm(name: str, channels: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (channels,)
    yield f"{name}.bias", (channels,)


def _level(name: str, channels: int, blocks: int, config: NetworkConfig) -> Iterator[tuple[str, Shape]]:
    yield from _norm(f"{name}.norm", channels)
    for index in range(blocks):
        block = f"{name}.blocks.{index}"
        yield f"{block}.depthwise.weight", (channels, 1, config.kernel)
        yield f"{block}.depthwise.bias", (channels,)
        yield from _norm(f"{block}.norm", channels)
        yield from _linear(f"{block}.up", channels, channels * config.expansion)
        yield from _linear(f"{block}.down", channels * config.expansion, channels)
        yield f"{block}.scale", (channels,)


def _encoder(config: NetworkConfig) -> Iterator[tuple[str, Shape]]:
    features = (3 if config.log_magnitudes else 2) * (config.window // 2 + 1)
    stride = config.hop_length // config.fine_hop
    yield from _linear("encoder.embed", features, config.encoder_fine)
    yield from _level("encoder.fine", config.encoder_fine, config.encoder_fine_blocks, config)
    yield from _linear("encoder.down.linear", config.encoder_fine * stride, config.encoder_coarse)
    yield from _level("encoder.coarse", config.encoder_coarse, config.encoder_coarse_blocks, config)
    yield from _norm("encoder.norm", config.encoder_coarse)
    yield from _linear("encoder.project", config.encoder_coarse, config.quantizer.dim)


def _decoder(config: NetworkConfig) -> Iterator[tuple[str, Shape]]:
    stride, fine = config.hop_length // config.fine_hop, config.decoder_fine
    yield from _linear("decoder.project.linear", 3 * config.quantizer.dim, config.decoder_coarse)
    yield from _level("decoder.coarse", config.decoder_coarse, config.decoder_coarse_blocks, config)
    yield from _linear("decoder.up.linear", config.decoder_coarse, fine * stride)
    yield from _level("decoder.fine", fine, config.decoder_fine_blocks, config)
    if config.head == "istft":
        yield from _norm("decoder.head.norm", fine)
        for part in ("magnitude", "phase"):
            yield from _linear(f"decoder.head.{part}", fine, config.window // 2 + 1)
        return
    channels, step = fine, 0
    for faster, narrow in zip(waveform_strides(config.fine_hop), WAVEFORM_WIDTHS, strict=False):
        yield from _linear(f"decoder.head.steps.{step}.linear", channels, narrow * faster)
        for unit in (step + 1, step + 2):
            yield from _linear(f"decoder.head.steps.{unit}.conv.linear", 3 * narrow, max(narrow // 2, 1))
            yield from _linear(f"decoder.head.steps.{unit}.out", max(narrow // 2, 1), narrow)
        channels, step = narrow, step + 3
    yield from _linear("decoder.head.out.linear", 7 * channels, 1)


def _quantizer(config: NetworkConfig) -> Iterator[tuple[str, Shape]]:
    settings = config.quantizer
    yield "quantizer.base", (settings.stages, settings.codebook_size, settings.dim)
    yield "quantizer.usage", (settings.stages, settings.codebook_size)
    yield "quantizer.stage_scale", (settings.stages,)
    yield "quantizer.offset", (settings.dim,)
    yield "quantizer.spread", ()
