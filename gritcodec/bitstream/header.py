"""The header of a .grit file: whose codes, what the original was, how the codes are cut into packets."""

from dataclasses import dataclass, replace

from gritcodec.bitstream import fields, varint
from gritcodec.bitstream.crc import crc32c
from gritcodec.bitstream.fields import MAX_EXTRA_BYTES, UNSAFE, Tags, Unknown
from gritcodec.errors import CorruptFileError, FormatError, UnsupportedVersionError, UsageError

# A byte that no UTF-8 text holds, a name, and a line ending that a transfer as text would change.
MAGIC = b"\xf5GRIT\r\n"
VERSION = 1
PRE_RELEASE_MAGICS = (b"GRIT", b"grit")
FINGERPRINT_BYTES = 8
CRC_BYTES = 4
PLAIN = 0
ENTROPY = 1
CHAINED = 2
CODINGS = (PLAIN, ENTROPY, CHAINED)
MAX_CHANNELS = 255
MAX_SAMPLE_RATE = 768_000
MAX_STAGES = 63
MAX_SAMPLES = (1 << 42) - 2
MAX_PACKET_FRAMES = 512
# Every packet of a file that this package writes has so many frames where nothing else is asked for, but those before
# a pause and at the end.
PACKET_FRAMES = 64
MAX_FRAME_RATE = 16_383
# What a reader may have to hold at once; 255 channels of 12 stages of 64 codes of 10 bits are a quarter of it.
MAX_BODY_BYTES = 1 << 20
# Above any header: fixed bytes, varints of 3 + 2 + 7 + 1 + 2 + 2 + 3 bytes, fields, CRC.
HEADER_LIMIT = 64 + MAX_EXTRA_BYTES
_FIXED_BYTES = len(MAGIC) + 1 + FINGERPRINT_BYTES


@dataclass(frozen=True)
class Header:
    """What a .grit file says before its packets.

    Attributes:
        fingerprint: 8 bytes that name what the codes mean.
        sample_rate: of the original audio, in Hz, 1 to 768000.
        channels: 1 to 255.
        num_samples: samples in each channel of the original, exact; None in a live stream, whose end tells.
        stages: the most quantizer stages that a packet has, 1 to 63.
        code_bits: bits a code, 1 to 16.
        packet_frames: frames of an ordinary packet, 1 to 512.
        frame_rate: frames a second times 100, rounded, 1 to 16383; for budgets and times, not for decoding.
        coding: how packets hold codes; 0 is plain bit packing, 1 entropy coding, 2 entropy coding with a past.
        tags: optional (name, value) pairs of text about the recording.
        start_time: microseconds of Unix time at the first sample, or None.
        key_frames: with coding 2, how many frames lie between packets that use no past; None: every packet is one.
        start_trim: samples that the decoder gives before the first one of the recording.
        first_segment: samples that come before the first splice; None: there is none.
        encoder: name of the model that made the codes, for people; None: not said.
        bare: whether packets have no check; in streams that something else protects, never in files.
        channel_mask: loudspeakers, as in WAVE_FORMAT_EXTENSIBLE, or None.
        gain: 256ths of a dB by which a player is to amplify, or None.
        unknown: (key, bytes) of optional fields that this release does not know.
    """

    fingerprint: bytes
    sample_rate: int
    channels: int
    num_samples: int | None
    stages: int
    code_bits: int = 10
    packet_frames: int = 64
    frame_rate: int = 5000
    coding: int = PLAIN
    tags: Tags = ()
    start_time: int | None = None
    key_frames: int | None = None
    start_trim: int = 0
    first_segment: int | None = None
    encoder: str | None = None
    bare: bool = False
    channel_mask: int | None = None
    gain: int | None = None
    unknown: Unknown = ()

    @property
    def seconds(self) -> float | None:
        """Duration of the original audio, or None in a live stream."""
        return None if self.num_samples is None else self.num_samples / self.sample_rate

    def block_bytes(self, frames: int) -> int:
        """Bytes that one stage of all channels takes by itself in plain packing."""
        return (self.channels * frames * self.code_bits + 7) // 8

    def body_bytes(self, stages: int, frames: int) -> int:
        """Bytes that `stages` stages of all channels take together in plain packing."""
        return (stages * self.channels * frames * self.code_bits + 7) // 8

    def edited(self) -> "Header":
        """Return the header without the unknown fields that speak of these very samples or bytes."""
        return replace(self, unknown=tuple((key, data) for key, data in self.unknown if not key & UNSAFE))

    def problem(self) -> str | None:
        """Return what is wrong with the values, or None: the one rule that writer and reader share."""
        limits = (
            ("sample rate", self.sample_rate, 1, MAX_SAMPLE_RATE),
            ("number of channels", self.channels, 1, MAX_CHANNELS),
            ("number of samples", self.num_samples or 0, 0, MAX_SAMPLES),
            ("number of stages", self.stages, 1, MAX_STAGES),
            ("width of a code in bits", self.code_bits, 1, 16),
            ("number of frames in a packet", self.packet_frames, 1, MAX_PACKET_FRAMES),
            ("frame rate in hundredths of Hz", self.frame_rate, 1, MAX_FRAME_RATE),
            ("packet size in bytes", self.stages * self.block_bytes(self.packet_frames), 0, MAX_BODY_BYTES),
        )
        for what, value, low, high in limits:
            if not low <= value <= high:
                return f"its {what} is {value:,}, and must be from {low:,} to {high:,}"
        return None

    def to_bytes(self) -> bytes:
        """Return the header as it stands in a file, its CRC included.

        Raises:
            UsageError: a value is out of range, or the optional fields take more than 65,535 bytes.
            ValueError: the fingerprint does not have 8 bytes, or the coding is unknown.
        """
        if len(self.fingerprint) != FINGERPRINT_BYTES or self.coding not in CODINGS:
            raise ValueError(f"fingerprint of {len(self.fingerprint)} bytes, coding {self.coding}")
        values = {kind.name: getattr(self, kind.name) for kind in fields.KINDS.values()}
        problem = self.problem() or fields.problem(values, self.tags)
        extra = b"" if problem else fields.write(values, self.tags, self.unknown)
        if len(extra) > MAX_EXTRA_BYTES:
            problem = f"its tags take {len(extra):,} bytes, and may take {MAX_EXTRA_BYTES:,}"
        if problem is not None:
            raise UsageError(f"this cannot be a .grit file: {problem}")
        samples = 0 if self.num_samples is None else self.num_samples + 1
        head = MAGIC + bytes([VERSION]) + self.fingerprint
        head += b"".join(map(varint.write, (self.sample_rate, self.channels, samples)))
        head += bytes([self.coding << 4 | self.code_bits - 1])
        head += b"".join(map(varint.write, (self.stages, self.packet_frames, self.frame_rate, len(extra))))
        head += extra
        return head + crc32c(head).to_bytes(CRC_BYTES, "little")

    def fits(self, other: "Header") -> bool:
        """Whether two headers agree in all but the number of samples, which the other may not know."""
        return replace(self, num_samples=None) == replace(other, num_samples=None) and (
            other.num_samples in (None, self.num_samples)
        )


def parse_header(data: bytes, position: int = 0) -> tuple[Header, int]:
    """Read a header.

    Args:
        data: bytes with the header at `position`; more may follow.
        position: where it begins.

    Returns:
        The header and the position after it.

    Raises:
        FormatError: not a .grit file, or one that no writer of version 1 writes.
        UnsupportedVersionError: a later version, an unknown coding or an unknown required field.
        CorruptFileError: damaged; `varint.EndsTooSoonError` when it is cut short.
    """
    start = data[position : position + len(MAGIC) + 1]
    if not start:
        raise FormatError("not a .grit file: it is empty")
    if start[:4] in PRE_RELEASE_MAGICS:
        raise FormatError("this .grit file was made by a pre-release of gritcodec: compress the original again")
    if start[: len(MAGIC)] != MAGIC[: len(start)]:
        raise FormatError("not a .grit file: it does not begin as one")
    version = start[len(MAGIC)] if len(start) > len(MAGIC) else VERSION
    try:
        _, _, end = header_layout(data, position)
    except CorruptFileError:
        if version == VERSION:
            raise
        end = -1
    if version != VERSION:
        raise UnsupportedVersionError(
            f"this is a .grit file of format version {version}, and this release reads version {VERSION}: "
            "a newer gritcodec may read it, unless the file is damaged"
        )
    if not _checks(data, position, end):
        raise CorruptFileError("the file is damaged: the checksum of its header does not match")
    return _values(data, position), end


def header_layout(data: bytes, position: int = 0) -> tuple[int, int, int]:
    """Return where a header's `extra` begins, where its fields begin, and where it ends, by its layout alone."""
    at = position + _FIXED_BYTES
    for _ in range(3):
        _, at = varint.read(data, at)
    at += 1
    for _ in range(3):
        _, at = varint.read(data, at)
    start = at
    extra, at = varint.read(data, at)
    if extra > MAX_EXTRA_BYTES:
        raise CorruptFileError(f"the file is damaged: its header claims {extra:,} bytes of fields")
    end = at + extra + CRC_BYTES
    if len(data) < end:
        have = len(data) - position
        raise varint.EndsTooSoonError(f"the file is cut short: it ends inside its header, after {have} bytes")
    return start, at, end


def has_right_check(data: bytes) -> bool:
    """Whether bytes begin with a header whose CRC is right, whatever it says."""
    try:
        _, _, end = header_layout(data)
    except CorruptFileError:
        return False
    return data[: len(MAGIC)] == MAGIC and _checks(data, 0, end)


def _checks(data: bytes, position: int, end: int) -> bool:
    body = end - CRC_BYTES
    return crc32c(data[position:body]) == int.from_bytes(data[body:end], "little")


def _values(data: bytes, position: int) -> Header:
    """Return the header whose layout and checksum are known to be right."""
    at = position + _FIXED_BYTES
    fingerprint = data[at - FINGERPRINT_BYTES : at]
    sample_rate, at = varint.read(data, at)
    channels, at = varint.read(data, at)
    samples, at = varint.read(data, at)
    coding, code_bits = data[at] >> 4, (data[at] & 15) + 1
    stages, at = varint.read(data, at + 1)
    packet_frames, at = varint.read(data, at)
    frame_rate, at = varint.read(data, at)
    extra, at = varint.read(data, at)
    if coding not in CODINGS:
        raise UnsupportedVersionError(f"this .grit file uses coding {coding}, which needs a newer gritcodec")
    values, tags, unknown = fields.read(data[at : at + extra])
    problem = fields.problem({**fields.ABSENT, **values}, ())
    mask = values.get("channel_mask")
    if mask is not None and mask.bit_count() != channels:
        del values["channel_mask"]
    header = Header(
        fingerprint,
        sample_rate,
        channels,
        samples - 1 if samples else None,
        stages,
        code_bits,
        packet_frames,
        frame_rate,
        coding,
        tags,
        unknown=unknown,
        **values,
    )
    problem = problem or header.problem()
    if problem is not None:
        raise FormatError(f"the header of this .grit file makes no sense: {problem}")
    return header
