"""What is a word of English: of every difference, only a slip that makes no word lowers a page to a notice.

A `Vocabulary` is a value, handed in by the module that reads the file (`monitor.words`). Without one nothing is lowered.
English alone has a list: its words hardly change their form, and a licence lets us ship them.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from monitor.verdict.critical import bare

USUAL, COMMON = 20, 50  # SCOWL's sizes: words that everybody uses, and words that people write; above them, all that is in dictionaries
SIZES = (20, 35, 50, 95)

# Words that English sentences are built of, and hardly any other language has.
_GRAMMAR = """
the and of to with you your our we is are was were for this that these those will would from have has been they their them it its by on at
what when which who how can could should about into than then there here if but now all more new us my
"""
_ENDINGS = "s es d ed ing er ers est ly y ness less able ish ism ist ists ize ized izes izing ise ised ises ising"
_AFTER_E = "ing er ers est able y"  # before them an e is dropped
_BEGINNINGS = "un re de non pre mis out over under anti dis in im co sub super inter"
_PARTICLES = "up in on off to by go"  # parts of compounds as short as that: sign-up, log-in
_FEWEST, _GRAMMATICAL = 5, 2  # plain words, and different words of grammar, from which a text shows its language
_SHARE = 0.9  # of the lower-case words of an English text that stand in the list
_STRETCH = 512  # bytes
_SIGNS = 1 << 20  # bits
_SHORTEST_PART = 3  # letters of the other parts: stable + coin
_DOUBLED = 5  # letters of a stem, its last one doubled: plann-ed; longer ones hardly double any
_OF_GRAMMAR, _AS_PARTS = frozenset(_GRAMMAR.split()), frozenset(_PARTICLES.split())


class Vocabulary(Protocol):
    """The words of one language."""

    @property
    def version(self) -> str:
        """The list's name and content: a verdict that used it stores which it was."""

    def size(self, word: str, most: int = SIZES[-1]) -> int:
        """How rare a lower-case word is, as one of `SIZES` up to `most`; 0 when it is not in the list."""


class MissingVersionError(LookupError):
    """A decision needs a list of words that is not here any more."""


class MissingVocabulary:
    """Stands for a list that is not here any more: a verdict that never asked it can still be computed again."""

    def __init__(self, version: str) -> None:
        self.version = version

    def size(self, word: str, most: int = SIZES[-1]) -> int:  # noqa: ARG002
        """Raises MissingVersionError."""
        raise MissingVersionError(f"whether “{word}” is a word is for the list “{self.version}”, which is not here any more")


class WordList:
    """Sorted lines of lower-case ASCII words, by size; six megabytes for 600,000 words, and no object for each of them.

    Each size is asked for once, the large one of `SIZES` only when a post is nearly a registered one: most days none is.
    """

    def __init__(self, version: str, unpacked: Mapping[int, Callable[[], bytes]]) -> None:
        self.version = version
        self._unpacked = unpacked
        lines = {size: unpacked[size]() for size in SIZES if size <= COMMON}
        self._usual = frozenset(lines[USUAL].decode("ascii").split("\n"))
        self._lines = {size: _Lines(text) for size, text in lines.items() if size != USUAL}
        self._signs = bytearray(_SIGNS // 8)  # a Bloom filter: a near miss asks of some hundred strings, and hardly one is a word
        for text in lines.values():
            for line in re.finditer(b"[^\n]+", text):
                for sign in _signs(line[0].decode("ascii")):
                    self._signs[sign >> 3] |= 1 << (sign & 7)

    def _may_be_common(self, word: str) -> bool:
        return all(self._signs[sign >> 3] & 1 << (sign & 7) for sign in _signs(word))

    def size(self, word: str, most: int = SIZES[-1]) -> int:
        """See `Vocabulary`."""
        if word in self._usual:
            return USUAL
        if most <= COMMON and not self._may_be_common(word):
            return 0
        key = word.encode("utf-8", "replace")
        return next((size for size in SIZES[1:] if size <= most and key in self._of(size)), 0)

    def _of(self, size: int) -> _Lines:
        if size not in self._lines:
            self._lines[size] = _Lines(self._unpacked[size]())
        return self._lines[size]


def _signs(word: str) -> tuple[int, int]:
    """Two places in the filter, by the hash of this process: what it lets by is looked up, so that no answer hangs on it."""
    code = hash(word)
    return code % _SIGNS, (code >> 24) % _SIGNS


class _Lines:
    """Sorted lines in one piece of bytes. The first line of every stretch is kept apart: a look-up is one bisection of those and
    one search in half a kilobyte, since a near miss asks some hundred times.
    """

    def __init__(self, lines: bytes) -> None:
        self._lines, self._starts, self._firsts = lines, [0], [lines[: lines.find(b"\n")]]
        while (at := lines.find(b"\n", self._starts[-1] + _STRETCH) + 1) > 0:
            self._starts.append(at)
            end = lines.find(b"\n", at)
            self._firsts.append(lines[at : end if end >= 0 else None])

    def __contains__(self, key: bytes) -> bool:
        stretch = bisect_right(self._firsts, key) - 1
        if stretch < 0 or b"\n" in key:
            return False
        if self._firsts[stretch] == key:
            return True
        end = self._starts[stretch + 1] if stretch + 1 < len(self._starts) else len(self._lines)
        return b"\n" + key + b"\n" in self._lines[self._starts[stretch] : end] + b"\n"


def reads_english(text: str, vocabulary: Vocabulary) -> bool:
    """Whether nearly every plain word of a canonical text is English, and its grammar is.

    A letter of another alphabet or with a mark is enough to say no: a slip is judged by the wrong list rather seldom than at times.
    """
    if any(not c.isascii() and unicodedata.category(c)[0] in "LM" for c in text):
        return False
    words = {word for word in map(bare, text.split()) if word.isascii() and word.isalpha()}
    plain = {word for word in words if word.islower()}
    known = sum(vocabulary.size(word, COMMON) > 0 for word in plain)
    return len(words) >= _FEWEST and len(_OF_GRAMMAR & {w.lower() for w in words}) >= _GRAMMATICAL and known >= _SHARE * len(plain)


def is_word(word: str, vocabulary: Vocabulary) -> bool:
    """Whether a lower-case word is in the list, or is made of common ones that are: by an ending, a beginning, or of two."""
    return vocabulary.size(word) > 0 or any(
        all(part in _AS_PARTS or vocabulary.size(part, COMMON) for part in parts) for parts in _taken_apart(word)
    )


def _taken_apart(word: str) -> Iterator[tuple[str, ...]]:
    for ending in _ENDINGS.split():
        stem = word.removesuffix(ending)
        if stem != word and len(stem) >= _SHORTEST_PART:
            yield (stem,)
            if ending in _AFTER_E.split():
                yield (f"{stem}e",)  # trading
            if stem[-1] == stem[-2] and len(stem) <= _DOUBLED:
                yield (stem[:-1],)  # planned
            if stem[-1] == "i":
                yield (f"{stem[:-1]}y",)  # studied
    for beginning in _BEGINNINGS.split():
        rest = word.removeprefix(beginning)
        if rest != word and len(rest) >= _SHORTEST_PART:
            yield (rest,)
    for at in range(2, len(word) - 1):
        parts = word[:at], word[at:]
        if all(len(part) >= _SHORTEST_PART or part in _AS_PARTS for part in parts):
            yield parts
