"""Two foldings of untrusted text, both linear in its length.

`canonical` is gentle: it undoes what publishing tools do to a text and nothing a reader would
notice. Only equality after it excuses a post. `skeleton` is hard: it undoes disguise, and only
rules read it.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from monitor.verdict.links import canonical_links

MAX_LENGTH = 100_000  # characters looked at; X allows 25,000

# --- canonical ---------------------------------------------------------------------------------

_ENTITY = re.compile(r"&(?:amp;)*(amp|lt|gt|quot|#39);")
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "#39": "'"}
_FORMS = str.maketrans(
    dict.fromkeys("‘’‚‛′‵ʼ", "'")
    | dict.fromkeys("“”„‟″‶«»", '"')
    | dict.fromkeys("‐‑‒–—―−", "-")
    | {"…": "...", "\ufe0e": None, "\ufe0f": None}  # text and emoji presentation
)
_BLANK = re.compile(r"\s+")
_MARKS = "".join(chr(c) for c in range(0x300, 0x1E94B) if unicodedata.combining(chr(c)))  # every non-starter
_MARK_RUN = re.compile(f"[{re.escape(_MARKS)}]{{10,}}")
_RUN_LIMIT = 30  # UAX #15, Stream-Safe Text Format
_GRAPHEME_JOINER = "\u034f"


def canonical(text: str, links: tuple[str, ...] = ()) -> str:
    """The form in which a post and its registration are compared.

    NFC, one blank for white space, plain quotes, dashes and dots, HTML entities undone, links
    without scheme differences and tracking tags. `links` that the text does not show are
    appended, as publishing tools do. Idempotent.
    """
    text = text[:MAX_LENGTH]
    if not text.isascii():
        text = _nfc(_nfc(text).translate(_FORMS))  # without presentation signs, letter and mark may meet
    if "&" in text:
        text = _ENTITY.sub(lambda m: _ENTITIES[m[1]], text)
        text = text if text.isascii() else _nfc(text)
    text = canonical_links(_BLANK.sub(" ", text).strip())
    for link in links:
        shown = canonical_links(link.strip())
        if shown and shown not in text.split(" "):
            text = f"{text} {shown}".strip()
    return text


def _nfc(text: str) -> str:
    """NFC; long runs of combining marks are cut into pieces first, for they sort quadratically."""
    if _MARK_RUN.search(text):
        text = _stream_safe(text)
    return unicodedata.normalize("NFC", text)


def _stream_safe(text: str) -> str:
    out: list[str] = []
    run = 0
    for char in "".join(unicodedata.normalize("NFD", c) for c in text):
        run = run + 1 if unicodedata.combining(char) else 0
        if run > _RUN_LIMIT:
            out.append(_GRAPHEME_JOINER)
            run = 1
        out.append(char)
    return "".join(out)


# --- skeleton ----------------------------------------------------------------------------------

# Letters drawn like Latin ones: those seen in attacks, not the whole of Unicode TR39.
_LOOK_ALIKES = {
    "а": "a", "в": "b", "с": "c", "ԁ": "d", "е": "e", "ё": "e", "һ": "h", "н": "h", "і": "i",
    "ї": "i", "ј": "j", "к": "k", "ӏ": "l", "м": "m", "п": "n", "о": "o", "р": "p", "ԛ": "q",
    "ѕ": "s", "т": "t", "ц": "u", "ѵ": "v", "ԝ": "w", "х": "x", "у": "y", "ү": "y", "ғ": "f",
    "ѡ": "w", "ь": "b", "г": "r", "α": "a", "β": "b", "ϲ": "c", "ε": "e", "ϵ": "e", "η": "n",
    "ι": "i", "κ": "k", "μ": "m", "ν": "v", "ο": "o", "ρ": "p", "σ": "o", "τ": "t", "υ": "u",
    "ω": "w", "χ": "x", "γ": "y", "ζ": "z", "օ": "o", "ս": "u", "հ": "h", "ց": "g", "զ": "q",
    "ո": "n", "ա": "w", "ɑ": "a", "ɡ": "g", "ɢ": "g", "ɩ": "i", "ı": "i", "ʀ": "r", "ʟ": "l",
    "ᴀ": "a", "ʙ": "b", "ᴄ": "c", "ᴅ": "d", "ᴇ": "e", "ꜰ": "f", "ʜ": "h", "ɪ": "i", "ᴊ": "j",
    "ᴋ": "k", "ᴍ": "m", "ɴ": "n", "ᴏ": "o", "ᴘ": "p", "ꜱ": "s", "ᴛ": "t", "ᴜ": "u", "ᴠ": "v",
    "ᴡ": "w", "ʏ": "y", "ᴢ": "z", "ɛ": "e", "ℓ": "l", "₿": "b", "ø": "o", "ł": "l", "đ": "d",
    "ħ": "h", "ŧ": "t", "ⲥ": "c", "ⲟ": "o", "ⲁ": "a", "ⲣ": "p", "ⲓ": "i", "ꓚ": "c", "ꓡ": "l",
    "ꓮ": "a", "ꓲ": "i", "ꓟ": "m", "ꓰ": "e", "ꓳ": "o", "ꓑ": "p", "ꓣ": "r", "ꓢ": "s", "ꓔ": "t",
    "ꓬ": "y", "ꓐ": "b", "ꓓ": "d", "ꓖ": "g", "ꓧ": "h", "ꓙ": "j", "ꓗ": "k", "ꓠ": "n", "ꓴ": "u",
    "ꓦ": "v", "ꓪ": "w", "ꓫ": "x", "ꓜ": "z", "Ꭺ": "a", "Ᏼ": "b", "Ꮯ": "c", "Ꭰ": "d", "Ꭼ": "e",
    "Ꮐ": "g", "Ꮋ": "h", "Ꭵ": "i", "Ꮖ": "i", "Ꭻ": "j", "Ꮶ": "k", "Ꮮ": "l", "Ꮇ": "m", "Ꮲ": "p",
    "Ꮢ": "r", "Ꮪ": "s", "Ꭲ": "t", "Ꮩ": "v", "Ꮃ": "w", "Ꮓ": "z",
}  # fmt: skip
_LEET = str.maketrans("013457@$!", "oieastasi")
_LEET_L = str.maketrans("1", "l")
_AMOUNT = re.compile(r"[\d.,]+[a-z]{0,4}|0x[0-9a-f]*|[a-z]{1,3}\d+|[@$]\w*|\d\w*\d")
_WORD = re.compile(r"[^\s]+")
_SPELLED = re.compile(r"(?<![^\W_])[^\W\d_](?:[ .\-_*·•|/]{1,2}[^\W\d_]){3,}(?![^\W_])")
_SEPARATORS = re.compile(r"[^\w%$@]+|_+")
_REPEATS = re.compile(r"([^\W\d])\1{2,}")
_SIGNS = frozenset("%$@")  # kept until leetspeak is undone
_NOT_WORDS = re.compile(r"[^\w]+|_+")


_GROWTH = 3  # characters one character may become; U+FDFA alone would become eighteen


class _Fold(dict[int, str]):
    """A `str.translate` table that works out each character once; bounded."""

    def __missing__(self, code: int) -> str:
        if len(self) > 20_000:
            self.clear()
        folded = self[code] = _fold(chr(code))
        return folded


@lru_cache(maxsize=4096)
def _fold(char: str) -> str:
    code = ord(char)
    if 0x1F1E6 <= code <= 0x1F1FF:  # regional indicators
        return chr(ord("a") + code - 0x1F1E6)
    for first in (0x1F130, 0x1F150, 0x1F170):  # squared and negative letters
        if first <= code < first + 26:
            return chr(ord("a") + code - first)
    if unicodedata.category(char) in ("Mn", "Me", "Cf", "Cs"):
        return ""
    if char in "ϲϹ":  # lunate sigma: casefolding would make it a sigma
        return "c"
    plain = (c for c in unicodedata.normalize("NFKD", char)[:_GROWTH] if not unicodedata.combining(c))
    return "".join(plain).casefold()


_FOLD = _Fold()
_LATIN = str.maketrans({k.casefold(): v for k, v in _LOOK_ALIKES.items()} | _LOOK_ALIKES)


_ASCII_LETTER = re.compile("[a-z]")
_GREEK = re.compile("[α-ω]")
_CYRILLIC = re.compile("[а-я]")
_LOOSE = re.compile("[ησμγωχζпгцвмьу]")  # alike only to a careless eye: not enough alone


def _latin(word: str) -> str:
    """Fold look-alikes where a word pretends: scripts mixed, or wholly made of exact look-alikes."""
    if word.isascii():
        return word
    folded = word.translate(_LATIN)
    mixed = bool(_ASCII_LETTER.search(word)) or bool(_GREEK.search(word) and _CYRILLIC.search(word))
    return folded if mixed or (folded.isascii() and not _LOOSE.search(word)) else word


def _unleet(word: str) -> str:
    if word.isalpha() or not any(c.isalpha() for c in word) or _AMOUNT.fullmatch(word):
        return word
    inner = word.translate(_LEET_L) if re.search(r"[bcfgp]1[aeou]", word) else word
    return inner.translate(_LEET)


def skeleton(text: str) -> str:
    """Lower-case words a reader would read out, one blank between them: disguise undone.

    Look-alike letters, enclosed and mathematical letters, zero-width and combining marks,
    leetspeak, spelled-out words. Output is at most three times as long as the input.
    """
    text = text[:MAX_LENGTH]
    if "\u202e" in text:
        text = re.sub("\u202e([^\u202c\n]{1,400})\u202c?", lambda m: m[1][::-1], text)
    text = text.lower() if text.isascii() else text.translate(_FOLD)
    text = _SPELLED.sub(lambda m: re.sub(r"[^\w]|_", "", m[0]), text)
    if not text.isascii():
        text = _WORD.sub(lambda m: _latin(m[0]), text)
    folded = " ".join([w if w.isalpha() else _unleet(w) for w in _SEPARATORS.sub(" ", text).split()])
    if _SIGNS & set(folded):
        folded = " ".join(_NOT_WORDS.sub(" ", folded).split())
    return _REPEATS.sub(r"\1\1", folded)
