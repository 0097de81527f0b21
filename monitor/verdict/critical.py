"""Words of a text that may not differ at all."""

from __future__ import annotations

import re

_EDGES = ".,;:!?()[]{}\"'*~|<>"
_NEGATIONS = """
no not never none nothing nobody neither nor without cannot cant can't dont don't doesnt doesn't didnt didn't isnt
isn't arent aren't wasnt wasn't werent weren't wont won't wouldnt wouldn't shouldnt shouldn't couldnt couldn't hasnt
hasn't havent haven't stop unless except false nicht kein keine keinen nie niemals ohne pas jamais sans aucun aucune sin
nunca jamás ningún ninguna não nem nunca sem без не нет нельзя никогда değil yok asla नहीं मत
"""
_NUMBERS = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred hundreds thousand thousands million millions
billion billions trillion trillions dozen half quarter third double doubled triple tripled twice once first second last
all every each both only
"""
_UNITS = """
percent percentage bps points k m bn x btc eth sol xrp usd usdt usdc eur gbp jpy chf cents cent dollar dollars euro euros
pound pounds yen bitcoin bitcoins ether ethereum coins tokens shares minute minutes hour hours day days week weeks month
months year years
"""
_DATES = """
today tomorrow tonight yesterday now noon midnight am pm utc gmt est edt pst cet cest monday tuesday wednesday thursday
friday saturday sunday january february march april may june july august september october november december jan feb mar
apr jun jul aug sep sept oct nov dec q1 q2 q3 q4
"""
# Words of which a slip makes the opposite, or something else altogether: told first when they differ.
_TWINS = """
safe sage buy bury sell sale launch lunch public pubic open opens close closed bond bomb long lung short shot with
within legal accept except secure united untied
"""
_NEGATIVE, _NUMBER, _UNIT, _DATE = (frozenset(words.split()) for words in (_NEGATIONS, _NUMBERS, _UNITS, _DATES))
_EXACT = _NEGATIVE | _NUMBER | _UNIT | _DATE | frozenset(_TWINS.split())
_MARKED = re.compile(r"[\d@#$€£¥₿₹₽₩%]|://|\w\.\w|/\w")
_ADDRESS = re.compile(r"(?:0x)?[0-9A-Za-z:_-]{25,}")


def critical_tokens(text: str) -> tuple[str, ...]:
    """Sorted words of a canonical text that may not differ at all: links, addresses, handles, hashtags, cashtags,
    numbers and their units, tickers, number words, dates and negations.
    """
    return tuple(sorted(w for w in map(bare, text.split()) if is_critical(w)))


def bare(word: str) -> str:
    """A word without the punctuation around it."""
    return word.strip(_EDGES)


def is_critical(word: str) -> bool:
    """Whether a bare word may not differ at all."""
    if word.isalpha():  # the usual case, ten times faster than looking for marks
        return (word.isupper() and 2 <= len(word) <= 6) or word.lower() in _EXACT
    return bool(word) and (word.lower() in _EXACT or bool(_MARKED.search(word)))


def danger(word: str) -> int:
    """How much harm a change of this bare word can do: 0 is the most."""
    low = word.lower()
    tests = (
        "://" in low, bool(_ADDRESS.fullmatch(word)) and any(c.isdigit() for c in word), word[:1] in ("@", "$"),
        any(c.isdigit() for c in low) or low in _NUMBER or low in _UNIT, low in _NEGATIVE, low in _DATE, is_critical(word),
    )  # fmt: skip
    return next((n for n, holds in enumerate(tests) if holds), len(tests))


def signature(words: list[str]) -> tuple[tuple[str, ...], str]:
    """What a forgiven slip never changes, see `slips`: the critical tokens, and the first letter of each bare word."""
    stripped = [bare(w) for w in words]
    return tuple(sorted(w for w in stripped if is_critical(w))), "\0".join(w[:1].lower() for w in stripped)
