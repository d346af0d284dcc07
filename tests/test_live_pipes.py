"""A pipe is read no further than the packet that is played: whoever listens hears it without waiting for the next."""

import numpy as np
import pytest
from conftest import tone

import gritcodec
from gritcodec.bitstream import Reader
from gritcodec.containers import remux

RATE = 16_000


class Pipe:
    """A pipe with one piece in it at a time: it counts those that were taken."""

    def __init__(self, pieces):
        self.pieces, self.taken, self._left = pieces, 0, b""

    def seekable(self):
        return False

    def read1(self, size):
        if not self._left and self.taken < len(self.pieces):
            self._left = self.pieces[self.taken]
            self.taken += 1
        data, self._left = self._left[:size], self._left[size:]
        return data

    read = read1


@pytest.fixture(scope="module")
def codec():
    return gritcodec.load("speech-16k")


@pytest.mark.parametrize(
    ("frames", "bitrate", "chain"),
    [(1, 0.5, False), (1, 6, False), (4, 3, False), (4, 3, True), (16, 0.5, False), (64, 0.5, False), (64, 7, False)],
)
def test_a_packet_is_played_before_the_next_one_comes(codec, frames, bitrate, chain):
    speech = tone(1, 64_000, RATE)
    speech[:, 20_000:40_000] = 0  # a pause is an item of a few bytes
    encoder = codec.stream_encoder(RATE, 1, bitrate, frames, chain=chain)
    pieces = [*encoder.push(speech), *encoder.flush()]
    pipe = Pipe(pieces)
    playback = codec.play(Reader(remux.opened(pipe)))
    taken, heard = [], []
    for block in playback.blocks():
        heard.append(block)
        taken.append((pipe.taken, sum(x.shape[1] for x in heard)))
    assert taken[-1][1] == 64_000 and not playback.report()
    decoder = codec.stream_decoder()
    whole = np.cumsum([decoder.push(piece).shape[1] for piece in pieces])
    read = np.cumsum([len(piece) for piece in pieces])
    for pieces_taken, samples in taken[:-1]:
        # A header may be longer than its first bytes tell: they are read at once. And a frame is held back, as the end
        # may say that it holds less.
        if read[pieces_taken - 1] > 128:
            assert samples >= whole[pieces_taken - 1] - codec.hop_length
