"""JPEG files with random coefficients, of kinds that no encoder at hand writes."""

import itertools
import struct
from math import ceil

import numpy as np

START, END = b"\xff\xd8", b"\xff\xd9"
# Codes of equal length, so that a symbol's code is its place in the list.
DC_SYMBOLS = list(range(12))
AC_SYMBOLS = [0x00, 0xF0] + [run << 4 | size for run in range(16) for size in range(1, 11)]
DC_LENGTH, AC_LENGTH = 4, 8


def segment(marker, content):
    """A marker, the length, and the content."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def huffman_table(number, length, symbols):
    """Codes of one length for the symbols."""
    counts = bytes(len(symbols) if bits == length else 0 for bits in range(1, 17))
    return bytes([number]) + counts + bytes(symbols)


TABLES = segment(0xDB, b"\0" + bytes([16] * 64)) + segment(
    0xC4, huffman_table(0x00, DC_LENGTH, DC_SYMBOLS) + huffman_table(0x10, AC_LENGTH, AC_SYMBOLS)
)


class Component:
    """Blocks of 64 random coefficients, in zigzag order."""

    def __init__(self, width, height, sampling, largest, generator):
        """Makes the blocks of a component of an image of this size."""
        (self.h, self.v), (h_max, v_max) = sampling, largest
        self.columns = ceil(ceil(width * self.h / h_max) / 8)
        self.rows = ceil(ceil(height * self.v / v_max) / 8)
        shape = ceil(height / (8 * v_max)) * self.v, ceil(width / (8 * h_max)) * self.h
        self.blocks = np.zeros((*shape, 64), int)
        self.blocks[..., 0] = generator.integers(-50, 51, shape)
        small = generator.integers(-4, 5, (*shape, 64)) * (generator.random((*shape, 64)) < 0.15)
        self.blocks[..., 1:] = small[..., 1:]


def magnitude(value):
    """The size of a value in bits, and the bits."""
    size = int(abs(value)).bit_length()
    return size, format(value if value > 0 else value + (1 << size) - 1, f"0{size}b") if size else ""


def coded(block, previous, start, stop):
    """The bits of the coefficients from start to stop of a block, after a block with this first one."""
    bits = []
    if start == 0:
        size, rest = magnitude(int(block[0]) - previous)
        bits.append(format(DC_SYMBOLS.index(size), f"0{DC_LENGTH}b") + rest)
    run = 0
    for value in block[max(start, 1) : stop]:
        if value == 0:
            run += 1
            continue
        bits += [format(AC_SYMBOLS.index(0xF0), f"0{AC_LENGTH}b")] * (run // 16)
        size, rest = magnitude(int(value))
        bits.append(format(AC_SYMBOLS.index(run % 16 << 4 | size), f"0{AC_LENGTH}b") + rest)
        run = 0
    if run:
        bits.append(format(AC_SYMBOLS.index(0x00), f"0{AC_LENGTH}b"))
    return "".join(bits)


def packed(bits):
    """Bytes of the bits, padded by ones, with zeros after 0xff."""
    bits += "1" * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)).replace(b"\xff", b"\xff\0")


def mcus(components):
    """The blocks of each unit of a scan, as (component, row, column)."""
    if len(components) == 1:
        (one,) = components
        for row, column in itertools.product(range(one.rows), range(one.columns)):
            yield [(one, row, column)]
        return
    first = components[0]
    down, across = first.blocks.shape[0] // first.v, first.blocks.shape[1] // first.h
    for y, x in itertools.product(range(down), range(across)):
        yield [(c, y * c.v + v, x * c.h + h) for c in components for v in range(c.v) for h in range(c.h)]


def scan(components, numbers, band, restart):
    """A scan with its header."""
    start, stop = band
    header = bytes([len(numbers)]) + b"".join(bytes([n + 1, 0]) for n in numbers)
    out, bits, previous = segment(0xDA, header + bytes([start, stop - 1, 0])), "", {}
    for count, unit in enumerate(mcus([components[n] for n in numbers])):
        if restart and count and count % restart == 0:
            out += packed(bits) + bytes([0xFF, 0xD0 + (count // restart - 1) % 8])
            bits, previous = "", {}
        for component, row, column in unit:
            block = component.blocks[row, column]
            bits += coded(block, previous.get(component, 0), start, stop)
            previous[component] = int(block[0])
    return out + packed(bits)


def jpeg_file(
    width=52, height=45, sampling=((2, 2), (1, 1), (1, 1)), *, scans=None, bands=None, adobe=None,
    restart=0, seed=0, segments=b"", tables=TABLES,
):  # fmt: skip
    """A file with a component for each sampling; progressive if the bands of its coefficients are given.

    ``scans`` lists the components of each scan (by default one scan of all); with bands, every scan but those
    of the first band has one component.
    """
    generator = np.random.default_rng(seed)
    largest = tuple(max(axis) for axis in zip(*sampling, strict=True))
    components = [Component(width, height, s, largest, generator) for s in sampling]
    out = START + segments + tables
    if adobe is not None:
        out += segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([adobe]))
    if restart:
        out += segment(0xDD, struct.pack(">H", restart))
    frame = struct.pack(">BHHB", 8, height, width, len(sampling))
    for number, (h, v) in enumerate(sampling):
        frame += bytes([number + 1, h << 4 | v, 0])
    out += segment(0xC2 if bands else 0xC0, frame)
    numbers = list(range(len(sampling)))
    for band in bands or [(0, 64)]:
        for chosen in (scans or [numbers]) if band[0] == 0 else [[n] for n in numbers]:
            out += scan(components, chosen, band, restart)
    return out + END
