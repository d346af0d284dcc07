"""The one family of errors that gritcodec raises on purpose.

Everything a caller can do something about is a `GritcodecError`; any other exception out of the library is a
bug. The message is one line that says what is wrong and, where there is a choice, what to do. The command
line prints that line and ends with `exit_code`.
"""

from typing import ClassVar


class GritcodecError(Exception):
    """Base of the family; `exit_code` is what the command line ends with: 2 for bad use, 1 for bad input."""

    exit_code: ClassVar[int] = 1


class UsageError(GritcodecError):
    """The call itself is wrong: an unknown bitrate, an argument of the wrong shape, a file in the way."""

    exit_code: ClassVar[int] = 2


class ConfigError(UsageError):
    """A configuration (YAML or dataclass) has an unknown key or a value out of range."""


class ModelError(UsageError):
    """A model cannot be found or loaded: unknown name, missing or damaged files in its folder."""


class AudioError(GritcodecError):
    """Audio that cannot be read, written or coded: not an audio file, empty, or with NaN samples."""


class OutputError(GritcodecError):
    """An output cannot be written: missing or read-only folder, no space left on the device."""


class FormatError(GritcodecError):
    """The bytes are not a .grit file, or their header says something that no writer would write."""


class CorruptFileError(FormatError):
    """A .grit file that is cut short or whose bytes have changed since it was written."""


class UnsupportedVersionError(FormatError):
    """A .grit file of a format version that this release does not know."""


class WrongModelError(GritcodecError):
    """A .grit file that was made with another model than the one at hand."""
