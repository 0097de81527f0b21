"""Reads the list of English words that is shipped with us. The generator is tests/make_words.py, its licence stands beside it."""

from __future__ import annotations

import hashlib
import logging
import zlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

from monitor.verdict.vocabulary import SIZES, MissingVocabulary, Vocabulary, WordList

FILE = Path(__file__).parent / "_words" / "english.zz"

log = logging.getLogger("monitor.words")


@cache
def load() -> Vocabulary | None:
    """The list, or None when it cannot be read: then every difference pages. Its version is the file's hash."""
    try:
        packed = FILE.read_bytes()
        return WordList(f"english {hashlib.sha256(packed).hexdigest()[:12]}", dict(zip(SIZES, _parts(packed), strict=True)))
    except (OSError, zlib.error, ValueError):
        log.exception("the list of words cannot be read: a slip in a registered text pages like every other difference")
        return None


def _parts(packed: bytes) -> Iterator[Callable[[], bytes]]:
    """What unpacks the sorted words of each of `SIZES`: a line with the lengths of each part, packed and not, then zlib's parts.

    The lengths spare the buffers that zlib would double: reading takes hardly more memory than keeping.
    """
    at = packed.index(b"\n") + 1
    lengths = iter(map(int, packed[: at - 1].split()))
    for small, large in zip(lengths, lengths, strict=True):
        yield partial(zlib.decompress, packed[at : at + small], bufsize=large)
        at += small


def version() -> str:
    """Of the list in use; empty without one."""
    words = load()
    return words.version if words else ""


def as_of(version: str | None) -> Vocabulary | None:
    """The list that a verdict was made with. None stands for a verdict from before there were lists, an empty name for one without."""
    if version == "":
        return None
    words = load()
    return words if words and words.version == version else MissingVocabulary(version or "before there were lists")
