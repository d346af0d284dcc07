"""Codes <-> payload bytes: fixed-width, most significant bit first, in packets of 64 frames.

Order of the codes: packet, then channel, then stage, then frame. Within a packet the codes of one stage lie
together, so a file can lose its upper stages without the others being decoded; 64 codes of any width fill
whole bytes, so packets begin on a byte and cost nothing. Only the last packet may be shorter, and only its
end is padded, with zero bits.
"""

import numpy as np
from numpy.typing import NDArray

PACKET_FRAMES = 64
# Bounds the bit matrix that unpacking makes (16 bytes a code) whatever the length of the file.
_PACKETS_AT_ONCE = 256


def payload_bytes(channels: int, stages: int, frames: int, code_bits: int) -> int:
    """Return the exact number of payload bytes for that many codes."""
    return (channels * stages * frames * code_bits + 7) // 8


def pack_codes(codes: NDArray[np.integer], code_bits: int) -> bytes:
    """Pack codes into bytes.

    Pieces of one file may be packed one after the other, and the bytes joined, when each piece but the last
    has a multiple of `PACKET_FRAMES` frames.

    Args:
        codes: integers [channels, stages, frames], each 0 <= code < 2**code_bits.
        code_bits: bits a code, 1 to 16.

    Returns:
        `payload_bytes(...)` bytes.

    Raises:
        ValueError: a code is out of range, or the array does not have three dimensions.
    """
    if codes.ndim != 3:
        raise ValueError(f"codes must be [channels, stages, frames], not of shape {codes.shape}")
    if not 1 <= code_bits <= 16:
        raise ValueError(f"code_bits must be 1 to 16, not {code_bits}")
    if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < 1 << code_bits:
        raise ValueError(f"codes must be 0 to {(1 << code_bits) - 1}: found {codes.min()} to {codes.max()}")
    frames = codes.shape[2]
    step = PACKET_FRAMES * _PACKETS_AT_ONCE
    pieces = (codes[:, :, start : start + step] for start in range(0, frames, step))
    return b"".join(_pack_flat(_in_order(piece), code_bits) for piece in pieces)


def unpack_codes(
    payload: bytes | memoryview, channels: int, stages: int, frames: int, code_bits: int
) -> NDArray[np.uint16]:
    """Unpack what `pack_codes` packed.

    Args:
        payload: at least `payload_bytes(channels, stages, frames, code_bits)` bytes, beginning at a packet.
        channels: channels in the payload.
        stages: stages in the payload.
        frames: frames to unpack.
        code_bits: bits a code, 1 to 16.

    Returns:
        uint16 [channels, stages, frames].

    Raises:
        ValueError: the payload is too short.
    """
    if len(payload) < payload_bytes(channels, stages, frames, code_bits):
        wanted = f"{channels} x {stages} x {frames} codes of {code_bits} bits"
        raise ValueError(f"{len(payload)} bytes do not hold {wanted}")
    codes = np.empty((channels, stages, frames), dtype=np.uint16)
    step = PACKET_FRAMES * _PACKETS_AT_ONCE
    for start in range(0, frames, step):
        count = min(step, frames - start)
        first_byte = channels * stages * start * code_bits // 8
        last_byte = first_byte + payload_bytes(channels, stages, count, code_bits)
        flat = _unpack_flat(payload[first_byte:last_byte], channels * stages * count, code_bits)
        _out_of_order(flat, codes[:, :, start : start + count])
    return codes


def _in_order(codes: NDArray[np.integer]) -> NDArray[np.uint16]:
    """Return the codes [channels, stages, frames] as one row in file order."""
    channels, stages, frames = codes.shape
    whole = frames - frames % PACKET_FRAMES
    full = codes[:, :, :whole].reshape(channels, stages, -1, PACKET_FRAMES).transpose(2, 0, 1, 3)
    return np.concatenate([full.reshape(-1), codes[:, :, whole:].reshape(-1)]).astype(np.uint16)


def _out_of_order(flat: NDArray[np.uint16], codes: NDArray[np.uint16]) -> None:
    """Undo `_in_order`: fill codes [channels, stages, frames] from a row in file order."""
    channels, stages, frames = codes.shape
    whole = frames - frames % PACKET_FRAMES
    full = flat[: channels * stages * whole].reshape(-1, channels, stages, PACKET_FRAMES)
    codes[:, :, :whole] = full.transpose(1, 2, 0, 3).reshape(channels, stages, whole)
    codes[:, :, whole:] = flat[channels * stages * whole :].reshape(channels, stages, frames - whole)


def _pack_flat(codes: NDArray[np.uint16], code_bits: int) -> bytes:
    bits = np.unpackbits(codes.astype(">u2").view(np.uint8).reshape(-1, 2), axis=1)
    return np.packbits(bits[:, 16 - code_bits :]).tobytes()


def _unpack_flat(payload: bytes | memoryview, count: int, code_bits: int) -> NDArray[np.uint16]:
    bits = np.zeros((count, 16), dtype=np.uint8)
    read = np.unpackbits(np.frombuffer(payload, dtype=np.uint8), count=count * code_bits)
    bits[:, 16 - code_bits :] = read.reshape(count, code_bits)
    return np.packbits(bits, axis=1).view(">u2").reshape(count).astype(np.uint16)
