"""How much a visitor may ask of the page's machine, and the one line that says so."""

from dataclasses import dataclass

from gritcodec.errors import UsageError


@dataclass(frozen=True)
class Limits:
    """What the page accepts.

    Attributes:
        upload_bytes: of one file.
        grit_bytes: of one .grit file, which is read at once: 90 minutes at 64 kbps come to 43 MB.
        wav_bytes: of a recording as 16-bit WAV, which is what it decodes to.
        seconds: of one recording in one or two channels; more channels have proportionately less.
        short_seconds: up to here a recording is coded anew at every move of the slider.
        excerpt_seconds: of a recording that is compared, drawn and tested blind.
        idle_seconds: after which a visitor's files are removed, though the tab was never closed.
        waiting: visitors' wishes that may wait for their turn.
        at_once: wishes that are worked on at the same time.
        effort: steps of refinement that recordings are coded with.
    """

    upload_bytes: int = 1_000_000_000
    grit_bytes: int = 50_000_000
    wav_bytes: int = 2_000_000_000
    seconds: float = 5400.0
    short_seconds: float = 120.0
    excerpt_seconds: float = 20.0
    idle_seconds: float = 7200.0
    waiting: int = 40
    at_once: int = 2
    effort: int = 0

    def check_length(self, seconds: float, channels: int, sample_rate: int) -> None:
        """Refuse a recording that is too long, or would be too large as WAV, with UsageError."""
        most = self.seconds * 2 / max(channels, 2)
        if seconds > most:
            raise UsageError(
                f"this recording is too long for this page: it takes {most / 60:g} minutes at most"
                + (f" in {channels} channels" if channels > 2 else "")
                + " (the command line has no such limit)"
            )
        if 2 * seconds * channels * sample_rate > self.wav_bytes:
            raise UsageError(
                f"this recording is too large for this page: {sample_rate:,} Hz in {channels} channels come to more "
                f"than {self.wav_bytes / 1e6:,.0f} MB of sound"
            )

    def check_size(self, size: int, is_grit: bool) -> None:
        """Refuse a file that is too large, with UsageError."""
        most = min(self.grit_bytes, self.upload_bytes) if is_grit else self.upload_bytes
        if size > most:
            raise UsageError(f"this file is too large for this page: it takes {most / 1e6:,.0f} MB at most")
