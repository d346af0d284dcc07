"""Codecs of telephony and broadcast: Opus, Codec2, Speex, LC3 and MP3, through their own tools."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from gritcodec.errors import AudioError, UsageError
from gritcodec.evaluate.contenders import oggopus
from gritcodec.evaluate.contenders.base import (
    RATE,
    Contender,
    missing_programs,
    number_within,
    program_version,
    read_pcm,
    resample_pcm,
    run_tool,
    write_pcm,
)


class Opus(Contender):
    """libopus in speech mode with variable rate, in Ogg without tags.

    opusenc writes its own name and options into the tags even with --discard-comments: a quarter of a kbps on clips of
    five seconds, which nobody hears and which are taken out.

    Below 8 kbps its frames are 60 ms long instead of 20: fewer bytes for the same sound, as RFC 6716 advises for low
    rates.
    """

    family = "opus"
    rates: ClassVar[tuple[str, ...]] = ("6", "8", "10", "12", "16", "24")

    def __init__(self, setting: str) -> None:
        """Take a rate in kbps."""
        super().__init__(setting)
        self._kbps = number_within(self.family, setting, 6, 256, "kbps")

    def missing(self) -> str | None:
        """Name the package of opusenc and opusdec."""
        return missing_programs("opus-tools", "opusenc", "opusdec")

    def version(self) -> str:
        """Tools and options."""
        return f"{program_version('opusenc')} speech vbr no tags 60ms<8"

    def encode(self, clip: Path, packed: Path) -> None:
        """Run opusenc."""
        self._encode(clip, packed, "--framesize", "60" if self._kbps < 8 else "20")

    def _encode(self, clip: Path, packed: Path, *more: str) -> None:
        options = ["--speech", "--vbr", "--bitrate", f"{self._kbps:g}", *more]
        run_tool("opusenc", "--quiet", *options, "--padding", "0", "--discard-comments", clip, packed)
        packed.write_bytes(oggopus.without_tags(packed.read_bytes()))

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
        return f"{program_version('c2enc')} raw 8 kHz tail"

    def encode(self, clip: Path, packed: Path) -> None:
        """Run c2enc on 8 kHz samples without a header, silence behind them for the decoder's delay."""
        samples, rate = read_pcm(clip)
        raw = packed.with_suffix(".raw")
        narrow = resample_pcm(samples, rate, RATE // 2)
        # A mode's frame is 20 or 40 ms, c2enc drops one that is not whole, and what comes back is up to 33 ms late.
        raw.write_bytes(np.pad(narrow, (0, -(len(narrow) + 264) % 320 + 264)).astype("<i2").tobytes())
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

    def __init__(self, setting: str) -> None:
        """Take a quality, 0 to 10."""
        super().__init__(setting)
        self._quality = int(number_within(self.family, setting, 0, 10, "(quality)"))

    def missing(self) -> str | None:
        """Name the package of speexenc and speexdec."""
        return missing_programs("speex", "speexenc", "speexdec")

    def version(self) -> str:
        """Tools and options."""
        return f"{program_version('speexenc')} wideband nframes 10 comp 10 tail"

    def encode(self, clip: Path, packed: Path) -> None:
        """Run speexenc on the clip and a frame of silence: the end of a late clip is in it."""
        options = ["--wideband", "--quality", str(self._quality), "--nframes", "10", "--comp", "10"]
        longer = packed.with_suffix(".tail.wav")
        samples, rate = read_pcm(clip)
        write_pcm(longer, np.pad(samples, (0, rate // 50)), rate)
        run_tool("speexenc", *options, longer, packed)
        longer.unlink()

    def decode(self, packed: Path, decoded: Path) -> None:
        """Run speexdec."""
        run_tool("speexdec", packed, decoded)


class LC3(Contender):
    """The codec of Bluetooth LE Audio, 10 ms frames."""

    family = "lc3"
    rates = ("16", "24", "32")

    def __init__(self, setting: str) -> None:
        """Take a rate in kbps."""
        super().__init__(setting)
        self._bits = round(1000 * number_within(self.family, setting, 16, 320, "kbps"))

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
