"""What is stored packed: zstd frames, by their size also with a dictionary of ours, or as older versions stored it. Both ways bounded.

A frame names its dictionary, so that one that was shipped once is shipped for ever. The only module that imports zstd.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MOST = 16 << 20  # bytes of a body, unpacked
MAGIC = b"\x28\xb5\x2f\xfd"  # what a frame begins with, and JSON does not
ANSWERS, ROWS = 1_000_001, 1_000_002  # with which new ones are packed; made by tests/make_dictionary.py. Private numbers by RFC 8878
_FOLDER = Path(__file__).parent / "_dictionaries"
_WINDOW = 24  # log2 of the bytes that a frame may have unpacked at once
_SMALL = 64 << 10  # bytes: larger ones are packed fast, without a dictionary


class DamagedError(ValueError):
    """No frame that can be unpacked, or one of more than `MOST` bytes."""


def is_packed(stored: bytes) -> bool:
    """Whether this was stored by a version that packs."""
    return stored.startswith(MAGIC)


def pack(body: bytes, dictionary: int = ANSWERS) -> bytes:
    """At most `MOST` bytes as one frame."""
    assert len(body) <= MOST
    if len(body) > _SMALL:
        return zstd.compress(body, 3)
    known = _dictionary(dictionary).as_digested_dict
    return zstd.ZstdCompressor(_LEVELS[dictionary], zstd_dict=known).compress(body, zstd.ZstdCompressor.FLUSH_FRAME)


_LEVELS = {ANSWERS: 12, ROWS: 6}  # a row gains two hundredths by 12, at twice the time


def unpack(stored: bytes) -> bytes:
    """The inverse of `pack`; also of what is no frame: that is the body itself. Raises DamagedError."""
    if not is_packed(stored):
        return stored
    try:
        number = zstd.get_frame_info(stored).dictionary_id
        known = _dictionary(number) if number else None
        reader = zstd.ZstdDecompressor(known, options={zstd.DecompressionParameter.window_log_max: _WINDOW})
        body = reader.decompress(stored, max_length=MOST + 1)
    except (zstd.ZstdError, OSError, EOFError) as error:
        raise DamagedError(f"it cannot be unpacked ({error})") from error
    if len(body) > MOST:
        raise DamagedError(f"it holds more than {MOST >> 20} MiB")
    if not reader.eof or reader.unused_data:
        raise DamagedError("it does not end where its frame does")
    return body


@functools.cache
def _dictionary(number: int) -> zstd.ZstdDict:
    """By its number. Raises OSError for one that was never shipped."""
    return zstd.ZstdDict((_FOLDER / f"{number}.zdict").read_bytes())
