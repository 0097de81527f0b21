"""Two foldings of untrusted text, both linear in its length.

`canonical` is gentle: it undoes what publishing tools do to a text and nothing a reader would
notice. Only equality after it excuses a post. `skeleton` is hard: it undoes disguise, and only
rules read it.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import re2

from monitor.verdict.confusables import confusables
from monitor.verdict.links import canonical_links

MAX_LENGTH = 100_000  # characters looked at; X allows 25,000

# --- canonical ---------------------------------------------------------------------------------

_ENTITY = re.compile(r"&(?:amp;)*(amp|lt|gt|quot|#39);")
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "#39": "'"}
# What editors make of plain signs while somebody types. Primes, guillemets, low commas, minus signs and other hyphens are
# not among them: they measure, point, count or join.
_FORMS = str.maketrans(dict.fromkeys("‘’", "'") | dict.fromkeys("“”„", '"') | {"…": "..."})
_FORM = re.compile("[" + "".join(map(chr, _FORMS)) + "]")
# Text or emoji presentation, behind a sign that has both; behind a letter it is an invisible sign like others.
_PRESENTATION = re.compile(r"(?<=[^\w\s\x00-\x7f\ufe0e\ufe0f])[\ufe0e\ufe0f]+|(?<=ℹ)[\ufe0e\ufe0f]+|(?<=[0-9#*])[\ufe0e\ufe0f]+(?=\u20e3)")
_DASH = re.compile(r"(?<![^ \n])[‒–—―](?![^ \n])")  # between blanks; within words it may join or part them
_LINE_BREAK = re.compile("\r\n?|[\u2028\u2029]")
_BLANKS = str.maketrans({"\u00a0": " ", "\u202f": " "})  # no-break ones
_TWO_BLANKS = re.compile(r"(?<=\S)  (?=\S)")  # typed behind a full stop; a longer run moves words to another line
_MARKS = "".join(chr(c) for c in range(0x300, 0x1E94B) if unicodedata.combining(chr(c)))  # every non-starter
_MARK_RUN = re.compile(f"[{re.escape(_MARKS)}]{{10,}}")
_RUN_LIMIT = 30  # UAX #15, Stream-Safe Text Format
_GRAPHEME_JOINER = "\u034f"


@lru_cache(maxsize=16)  # one post asks for it again and again
def canonical(text: str, links: tuple[str, ...] = ()) -> str:
    """The form in which a post and its registration are compared: what publishing tools change is undone, and nothing else.

    NFC, plain quotes, dots and dashes between blanks, HTML entities undone, one blank for two or for a no-break one,
    line feeds for line breaks, no blanks at the ends of lines, links without scheme differences and tracking tags.
    Where lines break and what is indented stays: layout is read. `links` that the text does not show are appended, as
    publishing tools do. Idempotent.
    """
    text = text[:MAX_LENGTH]
    if not text.isascii():
        text = _nfc(text)
        if _PRESENTATION.search(text):
            text = _nfc(_PRESENTATION.sub("", text))  # without these between them, a sign and a mark meet
        if _FORM.search(text):
            text = text.translate(_FORMS)
    if "&" in text:
        text = _ENTITY.sub(lambda m: _ENTITIES[m[1]], text)
        text = text if text.isascii() else _nfc(text)
    text = canonical_links(_laid_out(text))
    for link in links:
        shown = canonical_links(link.strip())
        if shown and shown not in text.split():
            text = f"{text} {shown}".strip()
    return text


def _laid_out(text: str) -> str:
    """The lines as a reader sees them."""
    if not text.isascii() or "\r" in text:
        text = _LINE_BREAK.sub("\n", text).translate(_BLANKS)
    text = "\n".join([line.rstrip() for line in text.strip().split("\n")])
    text = _TWO_BLANKS.sub(" ", text)
    return text if text.isascii() else _DASH.sub("-", text)


def _nfc(text: str) -> str:
    """NFC; long runs of combining marks are cut into pieces first, for they sort quadratically."""
    if _MARK_RUN.search(text):
        text = _stream_safe(text)
    return unicodedata.normalize("NFC", text)


def _stream_safe(text: str) -> str:
    return _MARK_RUN.sub(_in_pieces, text)


def _in_pieces(run: re.Match[str]) -> str:
    """A run of marks with a joiner after every thirty; each mark is decomposed on its own, for a run sorts quadratically."""
    marks = "".join([unicodedata.normalize("NFD", mark) for mark in run[0]])
    return _GRAPHEME_JOINER.join(marks[n : n + _RUN_LIMIT] for n in range(0, len(marks), _RUN_LIMIT))


# --- skeleton ----------------------------------------------------------------------------------

# What a careless eye reads and UTS #39 does not say, beside the signs that stand for a letter.
_LOOSELY = {
    "п": "n", "ц": "u", "ь": "b", "ғ": "f", "ӏ": "l", "β": "b", "ε": "e", "ϵ": "e", "ꞓ": "e", "ɛ": "e", "Ɛ": "e", "μ": "m",
    "ω": "w", "χ": "x", "ζ": "z", "π": "n", "ƅ": "b", "ℓ": "l", "₿": "b", "ⲁ": "a", "ⲓ": "i", "Ⲓ": "i", "ꓲ": "i", "Ꮖ": "i",
    "ϲ": "c", "Ϲ": "c", "ш": "w", "щ": "w", "я": "r", "и": "n", "з": "3",
}  # fmt: skip
_LEET = str.maketrans("013456789@$!", "oieasgtbgasi")
_LEET_L = str.maketrans("1", "l")
_UNIT = r"(?:k|m|mn|mm|b|bn|t|tn|x|h|hr|hrs|d|w|y|yr|yrs|min|mins|s|sec|am|pm|gb|tb|mb|km|kg|cm|btc|eth|sol|usd|usdt|usdc|xrp|eur|gbp|bps|ft|fps|g|pct)"
_AMOUNT = re.compile(
    rf"[\d.,]+{_UNIT}?|\d*(?:1st|2nd|3rd|\dth)|0x[0-9a-f]*|[a-z]{{1,3}}\d+|[@$]\w*|\d+x\d+|(?:19|20)\d\ds|[a-f\d]{{16,}}|\d+[a-z]\d+"
)
_WORD = re.compile(r"[^\s]+")
_SPELLED = re.compile(r"(?<![^\W_])[^\W\d_](?:[\s.\-_*·•|/,~^+]{1,3}[^\W\d_]){3,}(?![^\W_])")
_BROKEN = re.compile(r"(?<![\w@#./:])[^\W\d_]*[^\W\d_A-Z][.*_·•|~^+\\](?!com|org|net|io|gov)[^\W\d_A-Z]+(?![\w/@.])")
_CARRIED = re.compile(r"(?<=\w)-\n(?=\w)")
# The same, nearly, without looking back and in linear time: most texts have none.
_LETTER = r"[A-Za-z\x{80}-\x{10ffff}]"  # every other sign passes for one: Unicode's classes make large automata
_MAY_BE_SPELLED = re2.compile(rf"{_LETTER}(?:[\s.\-_*·•|/,~^+]{{1,3}}{_LETTER}){{3}}(?:[^A-Za-z0-9]|$)")
_MAY_BE_BROKEN = re2.compile(rf"(?:{_LETTER}[.*_·•|~^+\\][a-z\x{{80}}-\x{{10ffff}}](?s:.*)){{4}}")
_BETWEEN = re.compile(r"(?<=\S)\s{2,}(?=\S)")
_SPELLING_MARKS = "\u0900-\u0963\u0966-\u0dff\u0e30-\u0e4e\u0eb0-\u0ece\u1000-\u109f\u1780-\u17d3\u3099\u309a"  # no letters to `re`
_SEPARATORS = re.compile(rf"[^\w%$@{_SPELLING_MARKS}]+|_+")
_BLANKED = "".join(chr(c) if chr(c).isalnum() or chr(c) in "%$@" else " " for c in range(128))  # the same for ASCII
_THRICE = re2.compile("|".join(f"{chr(c)}{{3}}" for c in range(ord("a"), ord("z") + 1)))
_REPEATS = re.compile(r"([^\W\d])\1{2,}")
_SIGNS = frozenset("%$@")  # kept until leetspeak is undone
_NOT_WORDS = re.compile(rf"[^\w{_SPELLING_MARKS}]+|_+")
_GROWTH = 3  # characters one character may become; U+FDFA alone would become eighteen
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u180b\u180c\u180d\u180e")  # beside those of category Cf
# Read as letters although Unicode does not say so: regional indicators, negative circled and squared letters, the
# lunate sigma (no sigma to a reader); and the blank of Braille.
_READ_AS = {chr(first + n): chr(ord("a") + n) for first in (0x1F1E6, 0x1F130, 0x1F150, 0x1F170) for n in range(26)} | {
    "\u2800": " ", "ϲ": "c", "Ϲ": "c",
}  # fmt: skip
_OF_LETTERS = (7, 8, 9)  # combining classes that spell: nukta, kana voicing, virama


class _Table(dict[int, str]):
    """A `str.translate` table that works out each character once; bounded."""

    def __init__(self, fold: Callable[[str], str]) -> None:
        super().__init__()
        self._fold = fold

    def __missing__(self, code: int) -> str:
        if len(self) > 40_000:
            self.clear()
        folded = self[code] = self._fold(chr(code))
        return folded


def _plain(char: str) -> str:
    """One character without form: enclosed, mathematical, wide, marked, invisible. Case is kept."""
    read = _READ_AS.get(char)
    if read is not None:
        return read
    if _is_invisible(char):
        return ""
    if not unicodedata.decomposition(char):
        return char
    if unicodedata.category(char) == "Lo" and unicodedata.normalize("NFKC", char) == char:
        return char  # kana, Devanagari: taking these to pieces would make another word
    return "".join([c for c in unicodedata.normalize("NFKD", char)[:_GROWTH] if not _is_invisible(c)])


def _is_invisible(char: str) -> bool:
    """Marks that adorn and signs nobody sees; not the marks that spell, as in Hindi."""
    category = unicodedata.category(char)
    if category == "Mn":
        joined = unicodedata.combining(char)
        spells = joined in _OF_LETTERS or (joined == 0 and not (0xFE00 <= ord(char) <= 0xFE0F or ord(char) >= 0xE0100))
        return not spells or char in _INVISIBLE
    return category in ("Me", "Cf", "Cs") or char in _INVISIBLE


def _as_latin(char: str) -> str:
    """One plain character as a hasty reader takes it."""
    folded = _ALIKE.get(char) or _ALIKE.get(char.casefold())
    return char if folded is None else _ALIKE.get(folded, folded)  # a twin's twin


_ALIKE = confusables() | _LOOSELY
_PLAIN = _Table(_plain)
_LATIN = _Table(_as_latin)

_ASCII_LETTER = re.compile("[A-Za-z]")
_GREEK = re.compile("[Ͱ-Ͽἀ-῿]")
_CYRILLIC = re.compile("[Ѐ-ӿ]")
_TWINS = re.compile("[Ͱ-Ͽἀ-῿Ѐ-ԯ԰-֏Ꭰ-᏿ꭰ-ꮿⲀ-⳿ꓐ-꓿ɐ-ʯᴀ-ᵿ]")  # scripts with letters drawn like Latin ones
_LOOSE = re.compile("[ησμγωχζπгцвмьушщяиз]")  # alike only to a careless eye: not enough alone


@lru_cache(maxsize=4096)
def _latin(word: str) -> str:
    """Fold look-alikes where a word pretends: scripts mixed, or wholly made of exact look-alikes."""
    if word.isascii():
        return word
    mixed = bool(_ASCII_LETTER.search(word)) or bool(_GREEK.search(word) and _CYRILLIC.search(word))
    if not mixed and not _TWINS.search(word):
        return word
    folded = _translated(word, _LATIN)
    return folded if mixed or (folded.isascii() and not _LOOSE.search(word)) else word


def _unleet(word: str) -> str:
    if word.isalpha() or not any(c.isalpha() for c in word) or _AMOUNT.fullmatch(word):
        return word
    return _letters(word)


def _letters(word: str) -> str:
    """Digits as the letters they stand for; a 1 is an l or an i by what stands beside it."""
    inner = word.translate(_LEET_L) if re.search(r"[bcfgps]1[aeou]|11", word) else word
    return inner.translate(_LEET)


# Scripts of many signs that are no twins of Latin letters and carry no marks, and emoji: passed over for speed.
_PASSED = "\u0000-\u007f\u3041-\u3096\u30a1-\u30fa\u3400-\u9fff\uac00-\ud7a3\U00012000-\U00016aef\U00017000-\U0001bbff\U0001f200-\U0001fbef\U00020000-\U0003fffd"
_OTHERS = re.compile(f"[^{_PASSED}]+")


def _translated(text: str, table: _Table) -> str:
    return text if text.isascii() else _OTHERS.sub(lambda m: m[0].translate(table), text)


def _undo_order(text: str) -> str:
    """What a right-to-left override shows in reverse, as it is read."""
    return re.sub("\u202e([^\u202c\n]{1,400})\u202c?", lambda m: m[1][::-1], text) if "\u202e" in text else text


# Letter by letter, invisible signs inside, two scripts in one word, digits for letters.
DISGUISES = ("spelled", "hidden", "mixed", "leet")


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as rules read it.

    `formless`: the text without mathematical, wide or marked forms and invisible signs, for addresses.
    `plain`: the text with letters as a reader takes them, punctuation and case kept, for patterns.
    `skeleton`: lower-case words, one blank between them, disguise undone. `words`: the same as
    phrases are compared, see `comparable`. `unbroken`: the skeleton without blanks, for words that were taken
    apart ("giv.eaway", "s e n d b t c"); `edges` are the places in it where words begin or end. `disguises`: words written to be read by
    people and missed by filters, at most six of a kind: (kind, as posted), see `DISGUISES`.
    """

    skeleton: str
    formless: str = ""
    plain: str = ""
    words: str = ""
    unbroken: str = ""
    edges: frozenset[int] = frozenset()
    disguises: tuple[tuple[str, str], ...] = ()


def read(text: str) -> Reading:
    """Everything that rules want to know of a text; each character is looked at a few times at most."""
    text = text[:MAX_LENGTH]
    formless = without_form(text)
    spelled = [m[0] for m in itertools.islice(_SPELLED.finditer(formless), 50)] if _MAY_BE_SPELLED.search(formless) else []
    read_out = _read_out(formless)
    leet = list(dict.fromkeys(_LEETED.findall(read_out)))[:50] if _MAY_BE_LEET.search(read_out) else []
    if len(leet) >= _LEET_WORDS:  # then its numbers are letters too: "7h3 533d"
        read_out = _LEET_LIKE.sub(lambda m: _letters(m[0].lower()), read_out)
    folded = _skeleton(read_out)
    found = [("spelled", s) for s in spelled if len(re.sub(r"\W|_", "", s)) >= _SPELLED_OUT][:6]
    if _MAY_BE_BROKEN.search(formless):
        broken = [m[0] for m in itertools.islice(_BROKEN.finditer(formless), 50)]
        found += [("spelled", " ".join(broken))] if len(broken) >= _BROKEN_WORDS else []
    found += [("leet", " ".join(leet))] if len(leet) > _LEET_WORDS else []
    if not text.isascii():
        found += [("hidden", m[0]) for m in itertools.islice(_HIDDEN.finditer(text), 6)]
        found += [("mixed", w) for w in itertools.islice(_MIXED.findall(formless), 2_000) if _pretends(w)][:6]
    disguises = tuple(dict.fromkeys((kind, f[:80]) for kind, f in found))
    parts = folded.split(" ")
    edges = frozenset(itertools.accumulate(map(len, parts), initial=0))
    return Reading(folded, formless, read_out, comparable(folded), "".join(parts), edges, disguises)


def skeleton(text: str) -> str:
    """Lower-case words a reader would read out, one blank between them: disguise undone.

    Look-alike letters (UTS #39), enclosed and mathematical letters, zero-width and combining marks,
    leetspeak, spelled-out words. Output is at most three times as long as the input.
    """
    return _skeleton(_read_out(without_form(text[:MAX_LENGTH])))


def without_form(text: str) -> str:
    """Without form and invisible signs, in the order it is read, words that a hyphen carried over a line whole."""
    text = _translated(_undo_order(text), _PLAIN)
    return _CARRIED.sub("", text) if "-\n" in text else text


def _read_out(text: str) -> str:
    """Spelled-out words together, look-alikes as the letters they are taken for."""
    if _MAY_BE_SPELLED.search(text):
        text = _SPELLED.sub(_together, text)
    return text if text.isascii() else _WORD.sub(lambda m: _latin(m[0]), text)


def _skeleton(text: str) -> str:
    text = text.casefold()
    words = text.translate(_BLANKED) if text.isascii() else _SEPARATORS.sub(" ", text)
    folded = " ".join([w if w.isalpha() else _unleet(w) for w in words.split()])
    if _SIGNS & set(folded):
        folded = " ".join(_NOT_WORDS.sub(" ", folded).split())
    return folded if folded.isascii() and not _THRICE.search(folded) else _REPEATS.sub(r"\1\1", folded)


def _together(spelled: re.Match[str]) -> str:
    """A spelled-out stretch as words: wider gaps, where there are any, are the blanks between them."""
    words = _BETWEEN.split(spelled[0])
    return " ".join(re.sub(r"[^\w]|_", "", w) for w in words)


def comparable(words: str) -> str:
    """A skeleton as phrases are compared: every look-alike folded, each letter of a script that
    writes no blanks a word of its own. Not for reading.
    """
    if words.isascii():
        return words
    words = _translated(words, _LATIN).casefold()
    return " ".join(" ".join(_UNSPACED.split(words)).split()) if _UNSPACED.search(words) else words


_UNSPACED = re.compile("([\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])")
_BROKEN_WORDS = 4
_LEET_WORDS = 1  # is enough to read digits as letters; one more is a finding
_MAY_BE_LEET = re2.compile(r"[A-Za-z][0134578]+[a-z]|[a-z][0134578]{2}")
_LEETED = re.compile(
    r"(?<![\w@#$./])[A-Za-z]+[0134578]+[a-z][A-Za-z0134578]*(?![\w./])|(?<![\w@#$./])[A-Za-z]*[a-z][0134578]{2,}[a-z]?(?![\w./])"
)
_LEET_LIKE = re.compile(r"(?<![\w@#$./])(?=[A-Za-z0-9]*[A-Za-z])(?=[A-Za-z0-9]*\d)[A-Za-z0-9]{2,}(?![\w./])")
_SPELLED_OUT = 6  # letters; "F O M C" and "L F G" are nobody's disguise
_HIDDEN = re.compile("\u202e[^\u202c\n]{3,}|[A-Za-z]+[\u00ad\u034f\u200b\u200c\u2060-\u2064\ufeff\U000e0020-\U000e007f]+[A-Za-z]+")
_MIXED = re.compile(r"[^\W\d_]{4,}")


@lru_cache(maxsize=4096)
def _pretends(word: str) -> bool:
    """Latin letters and their twins from another script in one word that reads as Latin."""
    if word.isascii() or not _ASCII_LETTER.search(word) or not _TWINS.search(word):
        return False
    return _translated(word, _LATIN).isascii()
