"""PDQ, Meta's hash of what a picture looks like, in numpy: the published algorithm, bit for bit.

Source: "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm" and
github.com/facebook/ThreatExchange/tree/main/pdq. Its rounding is part of the hash: every sum here is float32 and in
the order of Meta's loops, and tests/test_pdq.py compares with Meta's C++ (the package pdqhash, which has no
wheels and would ask every installation for a compiler).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

_SIDE = 64  # of what is left of a picture before the cosine transform
_KEPT = 16  # frequencies a direction, without the constant one
_PASSES = 2  # of the box filter: together a tent
_SMALLEST = 5  # pixels a side
_LUMA = (0.299, 0.587, 0.114)  # of red, green and blue


def compute(pixels: NDArray[np.uint8]) -> tuple[int, int]:
    """The hash as a number of 256 bits, and its quality from 0 to 100, of rows x columns x RGB.

    Bit 16 i + j is set where frequency (i + 1, j + 1) is above the median. Less than 5 pixels a side are (0, 0).
    """
    red, green, blue = (pixels[:, :, channel] * share for channel, share in enumerate(_LUMA))
    luma = (red + green + blue).astype(np.float32)
    if min(luma.shape) < _SMALLEST:
        return 0, 0
    small = _made_small(luma)
    waves = _cosines(_cosines(small).T).T
    median = np.sort(waves, axis=None)[waves.size // 2 - 1]  # of an even number the lower one, as Torben's method gives it
    bits = np.packbits(waves.ravel() > median, bitorder="little")
    return int.from_bytes(bits.tobytes(), "little"), _quality(small)


def _made_small(luma: Floats) -> Floats:
    """Blurred, then the middle of each of 64 x 64 tiles. What has that size already is taken as it is."""
    if luma.shape == (_SIDE, _SIDE):
        return luma
    rows, columns = (-(-length // (2 * _SIDE)) for length in luma.shape)
    for _ in range(_PASSES):
        luma = _box(_box(luma.T, columns).T, rows)
    at = [((np.arange(_SIDE) + 0.5) * length / _SIDE).astype(int) for length in luma.shape]
    return luma[np.ix_(*at)]


def _box(lines: Floats, window: int) -> Floats:
    """The mean of `window` values around each one, along the first axis; at the edges of those there are.

    The sum is carried along, one value added and one taken away at each step, as the rounding asks for it.
    """
    length, ahead = len(lines), (window + 2) // 2 - 1
    steps = np.zeros((2 * (length + ahead), lines.shape[1]), dtype=np.float32)
    steps[0 : 2 * length : 2] = lines  # x + 0 and x - 0 are x: the edges need no case of their own
    steps[2 * window + 1 :: 2] = -lines[: length + ahead - window]
    sums = np.add.accumulate(steps, axis=0, dtype=np.float32)[2 * ahead + 1 :: 2]
    at = np.arange(length)
    counts = np.minimum(at + ahead, length - 1) - np.maximum(at + ahead - window + 1, 0) + 1
    means: Floats = np.divide(sums, counts[:, None], dtype=np.float32)
    return means


def _cosines(values: Floats) -> Floats:
    """The 16 lowest frequencies along the first axis, each a sum of 64 products in their order."""
    out = np.zeros((_KEPT, values.shape[1]), dtype=np.float32)
    for k in range(_SIDE):
        out += _WAVES[:, k, None] * values[k]
    return out


def _quality(small: Floats) -> int:
    """How much there is to see: the steps between neighbours, in whole percent of white; Meta's factor and limit."""
    total = 0
    for axis in (0, 1):
        steps = np.diff(small, axis=axis) * np.float32(100) / np.float32(255)
        total += int(np.abs(np.trunc(steps)).sum(dtype=np.int64))
    return min(total // 90, 100)


_SCALE = float(np.float32(math.sqrt(2 / _SIDE)))
_WAVES: Floats = np.array(
    [[_SCALE * math.cos(math.pi / 2 / _SIDE * (i + 1) * (2 * j + 1)) for j in range(_SIDE)] for i in range(_KEPT)], dtype=np.float32
)
