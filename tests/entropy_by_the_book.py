"""A decoder of blocks written from docs/entropy-coding.md alone, in integers, which checks the bounds on that page."""

R = [round(2**15 * 2 ** (-d / 64)) for d in range(1024)]


def signed(number):
    """The number, which is to fit 32 bits with a sign."""
    assert -(2**31) <= number < 2**31
    return number


def clamp(vector):
    return [min(max(number, -511), 511) for number in vector]


class Network:
    """Frequencies of one channel's codes; `codes[t][s]`, or None, are known, t may be negative."""

    def __init__(self, tensors):
        self.tensors = {name: tensor.tolist() for name, tensor in tensors.items()}
        self.wide, self.narrow = len(self.tensors["vectors"][0][0]), len(self.tensors["narrow"][0][0])

    def vector(self, name, codes, s, t):
        frame = codes.get(t)
        if frame is None or len(frame) <= s or frame[s] is None:
            return [0] * len(self.tensors[name][0][0])
        shift = self.tensors["vector_shift" if name == "vectors" else "narrow_shift"][s]
        return [number * 2**shift for number in self.tensors[name][s][frame[s]]]

    def total(self, name, codes, s, t):
        sums = [sum(column) for column in zip(*(self.vector(name, codes, below, t) for below in range(s)), strict=True)]
        assert max(map(abs, sums)) < 2**16
        return clamp(sums)

    def inputs(self, codes, s, t, frames):
        def there(at):
            return 256 if codes.get(at) is not None else 0

        def mean(offsets):
            rows = [self.total("narrow", codes, s, t + offset) for offset in offsets]
            return [sum(column) >> 3 for column in zip(*rows, strict=True)], sum(there(t + o) for o in offsets) >> 3

        if s == 0:
            slots = [(clamp(self.vector("vectors" if b < 4 else "narrow", codes, 0, t - b)), b) for b in range(1, 10)]
            return [x for row, _ in slots for x in row] + [there(t - back) for _, back in slots]
        zeros = [0] * self.wide
        if s > 1:
            beside = [(clamp(self.vector("vectors", codes, s - 1, t)), 256), (zeros, 0)]
        elif t % 2:
            beside = [(clamp(self.vector("vectors", codes, 1, t + o)), there(t + o)) for o in (-1, 1)]
        elif t == 0:
            beside = [(clamp(self.vector("vectors", codes, 1, -1)), there(-1)), (zeros, 0)]
        else:
            beside = [(zeros, 0), (zeros, 0)]
        slots = [(self.total("vectors", codes, s, t), 256), *beside]
        slots += [(self.total("narrow", codes, s, t + offset), there(t + offset)) for offset in (-2, -1, 1, 2)]
        slots += [mean(range(-10, -2)), mean(range(3, 11))]
        return [x for row, _ in slots for x in row] + [flag for _, flag in slots]

    def layer(self, name, s, numbers):
        matrix, bias = self.tensors[name][s], self.tensors[f"{name}_bias"][s]
        return [
            signed(sum(signed(a * row[j]) for a, row in zip(numbers, matrix, strict=True)) + b)
            for j, b in enumerate(bias)
        ]

    def groups(self, codes, s, t, frames):
        """The frequencies of the groups, and the middle."""
        x = self.inputs(codes, s, t, frames)
        h = [min(max(a >> self.tensors["hidden_shift"][s], 0), 1023) for a in self.layer("hidden", s, x)]
        m = [min(max(a >> self.tensors["middle_shift"][s], -1023), 1023) for a in self.layer("middle", s, h)]
        return frequencies(self.layer("group", s, h), self.tensors["group_shift"][s]), m

    def places(self, m, s, g):
        rows, bias = self.tensors["place"][s][g], self.tensors["place_bias"][s][g]
        b = [
            signed(sum(signed(w * a) for w, a in zip(row, m, strict=True)) + c)
            for row, c in zip(rows, bias, strict=True)
        ]
        return frequencies(b, self.tensors["place_shift"][s])


def frequencies(a, shift):
    j = a.index(max(a))
    d = [(a[j] - number) >> shift for number in a]
    r = [R[each] if each < 1024 else 0 for each in d]
    z = signed((2**16 - len(a)) * 2**15) // sum(r)
    f = [1 + (signed(each * z) >> 15) for each in r]
    f[j] += 2**16 - sum(f)
    assert sum(f) == 2**16 and min(f) >= 1
    return f


class RangeDecoder:
    """Symbols out of a block."""

    def __init__(self, block):
        self.stream, self.at = block + bytes(8), 8
        self.low, self.size, self.point = 0, 2**64 - 1, int.from_bytes(self.stream[:8], "big")

    def take(self, f):
        unit = (self.size >> 24) * 2**8
        place, k, below = (self.point - self.low) % 2**64 // unit, 0, 0
        while below + f[k] <= place:
            below += f[k]
            k += 1
        self.low, self.size = (self.low + unit * below) % 2**64, unit * f[k]
        if self.size < 2**32:
            self.size, self.low = self.size << 32, (self.low << 32) % 2**64
            word = int.from_bytes(self.stream[self.at : self.at + 4].ljust(4, b"\0"), "big")
            self.point, self.at = (self.point << 32) % 2**64 + word, self.at + 4
        return k


def passes(s, frames):
    if s == 0:
        return [[t] for t in range(frames)]
    return [list(range(0, frames, 2)), list(range(1, frames, 2))] if s == 1 else [list(range(frames))]


def read_stage(tensors, decoder, s, frames, channels):
    """Read a stage; `channels`: dicts of frames, of which those of the packet, 0 and up, get a code more each."""
    network = Network(tensors)
    for chosen in passes(s, frames):
        found = []
        for codes in channels:
            for t in chosen:
                f, m = network.groups(codes, s, t, frames)
                found.append((codes, t, m, decoder.take(f)))
        for codes, t, m, g in found:
            q = decoder.take(network.places(m, s, g))
            codes[t][s] = int(tensors["order"][s][g * tensors["place"].shape[2] + q])


def plain(block, channels, stages, frames, bits):
    """Codes [stages][channels][frames] out of a plainly packed block."""
    number, left = int.from_bytes(block, "big"), 8 * len(block)
    codes = []
    for _ in range(stages * channels * frames):
        left -= bits
        codes.append(number >> left & (2**bits - 1))
    return [
        [codes[(s * channels + c) * frames : (s * channels + c + 1) * frames] for c in range(channels)]
        for s in range(stages)
    ]


def read_blocks(tensors, blocks, channels, frames, bits):
    """Codes [channels][stages][frames] of a packet in coding 1, whose blocks are one a stage."""
    known = [{t: [None] * len(blocks) for t in range(frames)} for _ in range(channels)]
    for s, block in enumerate(blocks):
        if len(block) == -(-channels * frames * bits // 8):
            for codes, row in zip(known, plain(block, channels, 1, frames, bits)[0], strict=True):
                for t in range(frames):
                    codes[t][s] = row[t]
        else:
            read_stage(tensors, RangeDecoder(block), s, frames, known)
    return [[[codes[t][s] for t in range(frames)] for s in range(len(blocks))] for codes in known]


def read_chained(tensors, block, shape, bits, past):
    """Codes [channels][stages][frames] of a packet in coding 2.

    `past`: for each channel the codes of the frames before it that are there, [frames][stages], the latest last.
    """
    channels, stages, frames = shape
    if len(block) == -(-stages * channels * frames * bits // 8):
        rows = plain(block, channels, stages, frames, bits)
        return [[rows[s][c] for s in range(stages)] for c in range(channels)]
    known = [{t - len(before): list(codes) for t, codes in enumerate(before)} for before in past]
    for codes in known:
        codes |= {t: [None] * stages for t in range(frames)}
    decoder = RangeDecoder(block)
    for s in range(stages):
        read_stage(tensors, decoder, s, frames, known)
    return [[[codes[t][s] for t in range(frames)] for s in range(stages)] for codes in known]
