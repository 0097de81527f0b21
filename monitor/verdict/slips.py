"""The only difference that lowers a page to a notice: one slip in one word that makes no word of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rapidfuzz.distance import DamerauLevenshtein, Postfix, Prefix

from monitor.verdict.critical import bare, is_critical
from monitor.verdict.vocabulary import COMMON, USUAL, Vocabulary, is_word

_SHORTEST = 5  # letters of a word in which a slip is forgiven: most shorter ones are one slip from another word
_PLAIN = re.compile("[a-z]+|[A-Z][a-z]+")
_BLANK = re.compile(r"\s")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def slip(registered: str, posted: str) -> tuple[str, str] | None:
    """The one word that makes two canonical texts differ, as registered and as posted; None for every greater difference.

    Everything around it is equal to the letter, layout included; so are its first letter and its case; neither is critical.
    """
    pair = _changed_word(registered, posted)
    if pair is None:
        return None
    before, after = map(bare, pair)
    if not before or not after or pair[0].replace(before, after, 1) != pair[1]:
        return None
    if min(len(before), len(after)) < _SHORTEST or before[0] != after[0] or is_critical(before) or is_critical(after):
        return None
    plain = _PLAIN.fullmatch(before) and _PLAIN.fullmatch(after)
    return (before, after) if plain and DamerauLevenshtein.distance(before, after, score_cutoff=1) == 1 else None


def _changed_word(registered: str, posted: str) -> tuple[str, str] | None:
    """The words around the stretch that differs; None when blanks are in it. Linear in the length of the texts."""
    if registered == posted or abs(len(registered) - len(posted)) > 1:
        return None
    start = Prefix.similarity(registered, posted)
    end = min(Postfix.similarity(registered, posted), min(len(registered), len(posted)) - start)
    left = max(registered.rfind(" ", 0, start), registered.rfind("\n", 0, start)) + 1
    blank = _BLANK.search(registered, len(registered) - end)
    tail = len(registered) - (blank.start() if blank else len(registered))
    pair = registered[left : len(registered) - tail], posted[left : len(posted) - tail]
    return None if any(map(_BLANK.search, pair)) else pair


def reads_as_itself(before: str, after: str, vocabulary: Vocabulary) -> bool:
    """Whether a word that is written as `after` is still read as `before`: it is no word, and one slip from no other.

    Both are lower-case. "lauch" is read as launch or as laugh, whichever the reader expects.
    """
    size = vocabulary.size(before)
    if not 0 < size <= COMMON or is_word(after, vocabulary):
        return False
    usual = max(size, USUAL)  # nobody reads a rarer word into a slip
    return not any(other != before and vocabulary.size(other, usual) for other in _one_slip_from(after))


def _one_slip_from(word: str) -> Iterator[str]:
    """Every string with a letter less, a letter more, another letter or two neighbours the other way round."""
    for at in range(len(word) + 1):
        head, tail = word[:at], word[at:]
        yield from (head + letter + tail for letter in _ALPHABET)
        if tail:
            yield head + tail[1:]
            yield from (head + letter + tail[1:] for letter in _ALPHABET)
        if len(tail) > 1:
            yield head + tail[1] + tail[0] + tail[2:]
