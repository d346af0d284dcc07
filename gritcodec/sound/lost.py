"""Words for what is missing in a recording."""

# Of what promises no length, and ends where none of its pieces does.
CUT_INSIDE = "cut off inside its last piece: how much is missing nobody says"
# Less is 0.00 s.
_TOLD_IN_SECONDS = 0.005


def cut_off(have: float, promised: float, sample_rate: int) -> str:
    """Say how much of a recording is missing, in seconds, or in samples where that is next to nothing."""
    missing = promised - have
    if missing >= _TOLD_IN_SECONDS:
        return f"cut off: {have:.2f} of {promised:.2f} s are there, {missing:.2f} s are missing"
    samples = max(round(missing * sample_rate), 1)
    return f"cut off: {have:.2f} s are there, {samples:,} sample{'s are' if samples > 1 else ' is'} missing"
