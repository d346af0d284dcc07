"""Codecs of telephony and broadcast: Opus, Codec2, Speex, LC3 and MP3, through their own tools."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gritcodec.errors import AudioError, UsageError
from gritcodec.evaluate.contenders.base import (
    RATE,
    Contender,
    missing_programs,
    program_version,
    read_pcm,
    resample_pcm,
    run_tool,
    write_pcm,
)


def _number(family: str, setting: str, least: float, most: float, unit: str) -> float:
    try:
        value = float(setting)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise UsageError(f"{family}:{setting}: give {least:g} to {most:g} {unit}, as in {family}:{least:g}")
    return value


class Opus(Contender):
    """libopus in speech mode with variable rate, in Ogg without comments.

    Below 8 kbps its frames are 60 ms long instead of 20: fewer bytes for the same sound, as RFC 6716 advises for low
    rates.
    """

    family = "opus"
    rates = ("6", "8", "10", "12", "16", "24")
    self_aligned = True

    def __init__(self, setting: str) -> None:
        """Take a rate in kbps."""
        super().__init__(setting)
        self._kbps = _number(self.family, setting, 6, 256, "kbps")

    def missing(self) -> str | None:
        """Name the package of opusenc and opusdec."""
        return missing_programs("opus-tools", "opusenc", "opusdec")

    def version(self) -> str:
        """Tools and options."""
        return f"{program_version('opusenc')} speech vbr bare 60ms<8"

    def encode(self, clip: Path, packed: Path) -> None:
        """Run opusenc."""
        frame = "60" if self._kbps < 8 else "20"
        options = ["--speech", "--vbr", "--bitrate", f"{self._kbps:g}", "--framesize", frame]
        run_tool("opusenc", "--quiet", *options, "--padding", "0", "--discard-comments", clip, packed)

    def decode(self, packed: Path, decoded: Path) -> None:
        """Run opusdec."""
        run_tool("opusdec", "--quiet", "--rate", str(RATE), packed, decoded)


class Codec2(Contender):
    """The vocoder of amateur radio, 8 kHz, without a header: its bits alone."""

    family = "codec2"
    rates = ("700C", "1300", "2400", "3200")
    _MODES = ("3200", "2400", "1600", "1400", "1300", "1200", "700C")

    def __init__(self, setting: str) -> None:
        """Take a mode, in bits a second."""
        super().__init__(setting)
        if setting not in self._MODES:
            raise UsageError(f"codec2:{setting}: its modes are {', '.join(self._MODES)}")

    def missing(self) -> str | None:
        """Name the package of c2enc and c2dec."""
        return missing_programs("codec2", "c2enc", "c2dec")

    def version(self) -> str:
        """Tools and options."""
        return f"{program_version('c2enc')} raw 8 kHz"

    def encode(self, clip: Path, packed: Path) -> None:
        """Run c2enc on 8 kHz samples without a header; what fills the last frame is silence."""
        samples, rate = read_pcm(clip)
        raw = packed.with_suffix(".raw")
        narrow = resample_pcm(samples, rate, RATE // 2)
        # A mode's frame is 20 or 40 ms; c2enc drops a frame that is not whole.
        raw.write_bytes(np.pad(narrow, (0, -len(narrow) % 320)).astype("<i2").tobytes())
        run_tool("c2enc", self.setting, raw, packed)
        raw.unlink()

    def decode(self, packed: Path, decoded: Path) -> None:
        """Run c2dec."""
        raw = decoded.with_suffix(".raw")
        run_tool("c2dec", self.setting, packed, raw)
        write_pcm(decoded, np.frombuffer(raw.read_bytes(), dtype="<i2").astype(np.int16), RATE // 2)
        raw.unlink()


class Speex(Contender):
    """Wide-band Speex at a constant quality, ten frames to an Ogg packet."""

    family = "speex"
    rates = ("0", "2", "4", "6", "8")
    self_aligned = True

    def __init__(self, setting: str) -> None:
        """Take a quality, 0 to 10."""
        super().__init__(setting)
        self._quality = int(_number(self.family, setting, 0, 10, "(quality)"))

    def missing(self) -> str | None:
        """Name the package of speexenc and speexdec."""
        return missing_programs("speex", "speexenc", "speexdec")

    def version(self) -> str:
        """Tools and options."""
        return f"{program_version('speexenc')} wideband nframes 10 comp 10"

    def encode(self, clip: Path, packed: Path) -> None:
        """Run speexenc."""
        options = ["--wideband", "--quality", str(self._quality), "--nframes", "10", "--comp", "10"]
        run_tool("speexenc", *options, clip, packed)

    def decode(self, packed: Path, decoded: Path) -> None:
        """Run speexdec."""
        run_tool("speexdec", packed, decoded)


class LC3(Contender):
    """The codec of Bluetooth LE Audio, 10 ms frames."""

    family = "lc3"
    rates = ("16", "24", "32")
    self_aligned = True

    def __init__(self, setting: str) -> None:
        """Take a rate in kbps."""
        super().__init__(setting)
        self._bits = round(1000 * _number(self.family, setting, 16, 320, "kbps"))

    def missing(self) -> str | None:
        """Name the package of elc3 and dlc3."""
        return missing_programs("liblc3-tools", "elc3", "dlc3")

    def version(self) -> str:
        """Tools and options."""
        return f"{program_version('elc3')} 10 ms"

    def encode(self, clip: Path, packed: Path) -> None:
        """Run elc3."""
        run_tool("elc3", "-b", str(self._bits), clip, packed)

    def decode(self, packed: Path, decoded: Path) -> None:
        """Run dlc3."""
        run_tool("dlc3", packed, decoded)


class MP3(Contender):
    """LAME at a constant rate, through libsndfile, which soundfile's wheels carry."""

    family = "mp3"
    rates = ("8", "16", "24", "32")
    # The constant rates that MPEG-2 layer III has at 16 kHz; libsndfile wants a fraction of their span.
    _KBPS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)

    def __init__(self, setting: str) -> None:
        """Take a rate in kbps."""
        super().__init__(setting)
        if setting not in map(str, self._KBPS):
            raise UsageError(f"mp3:{setting}: its rates at 16 kHz are {', '.join(map(str, self._KBPS))} kbps")

    def missing(self) -> str | None:
        """Tell whether libsndfile was built with LAME."""
        import soundfile

        return None if "MP3" in soundfile.available_formats() else "this libsndfile has no MP3: pip install soundfile"

    def version(self) -> str:
        """Library and options."""
        import soundfile

        return f"{soundfile.__libsndfile_version__} cbr"

    def encode(self, clip: Path, packed: Path) -> None:
        """Write with libsndfile."""
        import soundfile

        samples, rate = read_pcm(clip)
        least, most = self._KBPS[0], self._KBPS[-1]
        # 1.0 itself is refused.
        level = min((most - int(self.setting)) / (most - least), 0.9999)
        options = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT"}
        try:
            soundfile.write(packed, samples, rate, compression_level=level, **options)
        except soundfile.LibsndfileError as error:
            raise AudioError(f"libsndfile cannot write MP3: {error}") from error

    def decode(self, packed: Path, decoded: Path) -> None:
        """Read with libsndfile."""
        import soundfile

        try:
            write_pcm(decoded, *read_pcm(packed))
        except soundfile.LibsndfileError as error:
            raise AudioError(f"libsndfile cannot read MP3: {error}") from error
