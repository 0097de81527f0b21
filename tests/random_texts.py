"""Texts as companies post them, at random: words about as rare as real ones, so that they compress no better; several languages."""

from __future__ import annotations

import itertools
import random

from monitor import words
from monitor.verdict.vocabulary import SIZES

LANGUAGES = ("en", "de", "es", "ru", "ja", "ar")
_WEIGHTS = (70, 8, 8, 4, 7, 3)
_SYLLABLES = {
    "de": "ver ge an en schlüß auf be un ter lich keit ung heit zu mög groß ein stä dung wer",
    "es": "cion es ta do ma ña qui er in por ción tes ra bre año com par el lo nué",
    "ru": "про при ста на ение не ть ко ро по ли сть вер го ны ми ре ва да ще",
    "ar": "ال من في ون ات تم كا مر لا سي عن هذ بي ما يت حس قد رو",
}
_DRAWN = 200_000  # words of each language, drawn once: a text is a piece of them


class Texts:
    """Everything from one generator of random numbers."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        known = {"en": _english(dice)} | {name: _made(dice, parts.split()) for name, parts in _SYLLABLES.items()}
        self._drawn = {name: _drawn(dice, of) for name, of in known.items()}

    def language(self) -> str:
        """As often as companies write in it."""
        return self._dice.choices(LANGUAGES, _WEIGHTS)[0]

    def text(self, length: int, language: str = "en") -> str:
        """So many characters, in sentences; figures, handles and hashtags among them."""
        dice = self._dice
        if language == "ja":
            return "".join(chr(c) for c in dice.choices(_JAPANESE, k=length // 2))
        drawn, out, size = self._drawn[language], list[str](), 0
        while size < length:
            start = int(dice.random() * (_DRAWN - 16))
            some = drawn[start : start + 4 + int(dice.random() * 9)]
            some[0] = some[0].capitalize()
            kind, at = dice.random(), int(dice.random() * 3) + 1
            if kind < 0.4:
                some[at] = f"{int(dice.random() * 99_999):,}"
            elif kind < 0.8:
                some[at] = f"{'#' if kind < 0.5 else '@'}{some[at]}"
            out.append(" ".join(some) + dice.choice(_ENDS))
            size += len(out[-1]) + 1
        return " ".join(out)[:length].strip()


_ENDS = (".", ".", "!", "?", ":", ".\n", ".\n\n")
_JAPANESE = [*range(0x3042, 0x3094), *range(0x30A2, 0x30F4), *range(0x4E00, 0x4E00 + 1_200)]


def _drawn(dice: random.Random, known: list[str]) -> list[str]:
    weights = itertools.accumulate(1 / (n + 5_000) for n in range(len(known)))
    return dice.choices(known, cum_weights=list(weights), k=_DRAWN)


def _english(dice: random.Random) -> list[str]:
    parts = dict(zip(SIZES, words._parts(words.FILE.read_bytes()), strict=True))
    usual, more = (parts[size]().decode("ascii").split() for size in SIZES[:3:2])
    dice.shuffle(usual)
    dice.shuffle(more)
    return usual + more


def _made(dice: random.Random, syllables: list[str]) -> list[str]:
    return ["".join(dice.choices(syllables, k=1 + dice.randrange(4))) for _ in range(12_000)]
