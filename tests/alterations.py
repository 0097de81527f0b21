"""What attackers do to a scam, what publishing tools do to a plan, and what turns a plan into another statement.

Used by `make eval` and the tests. Each function takes a text and dice and gives the altered text, or None
where it does not apply.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable

Alteration = Callable[[str, random.Random], str | None]

_CYRILLIC = str.maketrans("aceopxyisjABCEHKMOPTXI", "асеорхуіѕјАВСЕНКМОРТХІ")
_GREEK = str.maketrans("oavuniAEBHIKMNOPTXZ", "οανυηιΑΕΒΗΙΚΜΝΟΡΤΧΖ")
_CHEROKEE = str.maketrans("ABCDEGHJKLMPRSTVWZ", "ᎪᏴᏟᎠᎬᏀᎻᎫᏦᏞᎷᏢᏒᏚᎢᏙᎳᏃ")
_LEET = str.maketrans("aeiost", "431057")
_SMALL = str.maketrans("abcdefghijklmnoprstuvwyz", "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ")
_WORD = re.compile(r"(?<![\w@#$./:])[A-Za-z]{4,}(?![\w./:@])")
_URL = re.compile(r"https?://\S+|\b[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}(?:/\S*)?")


def _shift(first_upper: int, first_lower: int) -> dict[int, int]:
    return {65 + n: first_upper + n for n in range(26)} | {97 + n: first_lower + n for n in range(26)}


def _outside_links(text: str, change: Callable[[str], str]) -> str:
    out, end = [], 0
    for link in _URL.finditer(text):
        out += [change(text[end : link.start()]), link[0]]
        end = link.end()
    return "".join([*out, change(text[end:])])


def _words(change: Callable[[str, random.Random], str], share: float = 1.0) -> Alteration:
    def alter(text: str, dice: random.Random) -> str | None:
        return _WORD.sub(lambda m: change(m[0], dice) if dice.random() < share else m[0], text)

    return alter


def _mapped(table: dict[int, int] | dict[int, str], share: float = 1.0) -> Alteration:
    def alter(text: str, dice: random.Random) -> str | None:
        return _outside_links(text, lambda part: "".join(c.translate(table) if dice.random() < share else c for c in part))

    return alter


def _inside(sign: str) -> Callable[[str, random.Random], str]:
    def change(word: str, dice: random.Random) -> str:
        at = dice.randrange(1, len(word))
        return word[:at] + sign + word[at:]

    return change


def _defanged(text: str, _: random.Random) -> str | None:
    return _URL.sub(lambda m: m[0].replace("http", "hxxp").replace(".", "[.]"), text)


DISGUISES: dict[str, Alteration] = {
    "cyrillic": _mapped(_CYRILLIC),
    "cyrillic, some": _mapped(_CYRILLIC, 0.4),
    "greek": _mapped(_GREEK, 0.6),
    "cherokee capitals": lambda t, d: _mapped(_CHEROKEE)(t.upper(), d),
    "zero-width": _words(_inside("\u200b")),
    "soft hyphen": _words(_inside("\u00ad")),
    "joiner everywhere": lambda t, _: _outside_links(t, "\u2060".join),
    "tag characters": _words(_inside("\U000e0061")),
    "leetspeak": lambda t, _: _outside_links(t, lambda p: re.sub(r"(?<![@$#\w])[A-Za-z]{3,}", lambda m: m[0].lower().translate(_LEET), p)),
    "leetspeak, some": _words(lambda w, d: "".join(c.translate(_LEET) if d.random() < 0.5 else c for c in w.lower())),
    "words spelled out": _words(lambda w, _: " ".join(w)),
    "words dotted": _words(lambda w, _: ".".join(w)),
    "one gap a word": _words(_inside(".")),
    "links defanged": _defanged,
    "a word a line": lambda t, _: "\n".join(t.split()),
    "words broken over lines": _words(_inside("-\n"), 0.6),
    "full width": _mapped(_shift(0xFF21, 0xFF41)),
    "mathematical": _mapped(_shift(0x1D400, 0x1D41A)),
    "struck through": lambda t, _: _outside_links(t, lambda p: re.sub(r"([A-Za-z])", "\\1\u0336", p)),
    "small capitals": lambda t, _: _outside_links(t, lambda p: p.lower().translate(_SMALL)),
}


def _sub(pattern: str, replacement: str, text: str) -> str | None:
    changed = re.sub(pattern, replacement, text, count=1)
    return changed if changed != text else None


def _typo(text: str, dice: random.Random) -> str | None:
    words = list(re.finditer(r"(?<![\w@#$./:'’-])[a-z]{6,}(?![\w./:@'’-])", text))
    if not words:
        return None
    word = dice.choice(words)
    at = dice.randrange(word.start() + 2, word.end() - 1)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :] if text[at] != text[at + 1] else None


def _with_tags(text: str, _: random.Random) -> str | None:
    return _sub(r"(https?://[^\s?#]+\w)(?=\s|$)", r"\1?utm_source=x&utm_medium=social", text)


# What publishing tools, editors and the platform do to a text between its registration and its publication:
# typographic signs while somebody types, entities, tags on links, forms of line feeds, invisible forms of letters and
# emoji. A second blank behind a full stop is what people type. Nothing else is here: where lines break is read.
HARMLESS: dict[str, Alteration] = {
    "curly apostrophes": lambda t, _: _sub("'", "’", t),
    "curly quotes": lambda t, _: _sub('"', "“", t),
    "long dashes": lambda t, _: _sub(" - ", " — ", t),
    "one-sign ellipsis": lambda t, _: _sub(r"\.\.\.", "…", t),
    "double blanks": lambda t, _: re.sub(r"(?<=\S) (?=\S)", "  ", t),
    "no-break blanks": lambda t, _: t.replace(" ", "\u00a0"),
    "blanks at the end": lambda t, _: t + "  \n",
    "blanks at the ends of lines": lambda t, _: t.replace("\n", " \n") if "\n" in t else None,
    "windows lines": lambda t, _: t.replace("\n", "\r\n") if "\n" in t else None,
    "entities": lambda t, _: t.replace("&", "&amp;") if "&" in t and "&amp;" not in t else None,
    "angle entities": lambda t, _: t.replace("<", "&lt;") if "<" in t else None,
    "tracking tags": _with_tags,
    "click id": lambda t, _: _sub(r"(https?://[^\s?#]+\w)(?=\s|$)", r"\1?fbclid=IwAR0abc", t),
    "http for https": lambda t, _: _sub("https://", "http://", t),
    "host in capitals": lambda t, _: _sub(r"https://t\.co/", "https://T.CO/", t),
    "emoji presentation": lambda t, _: re.sub("([❤✅☀⚡⏰])\ufe0f?", "\\1\ufe0f", t) if re.search("[❤✅☀⚡⏰]", t) else None,
    "decomposed letters": lambda t, _: t.replace("é", "e\u0301") if "é" in t else None,
}
# The one difference that lowers a page to a notice, where there is a list of words.
SLIPS: dict[str, Alteration] = {"a slip": _typo}

# Real words one slip apart: either way it is another statement.
REAL_WORDS = [
    ("most", "must"), ("want", "went"), ("send", "sent"), ("start", "smart"), ("raised", "railed"), ("launch", "laugh"), ("price", "pride"),
    ("being", "bring"), ("their", "there"), ("trade", "trace"), ("trust", "truss"), ("public", "pubic"), ("united", "untied"), ("holders", "folders"),
    ("winning", "whining"), ("moving", "mooning"), ("coins", "coons"), ("exciting", "existing"), ("safe", "sage"), ("sell", "cell"),
    ("this", "thus"), ("with", "wish"), ("have", "hate"), ("from", "form"), ("your", "tour"), ("stake", "snake"), ("bond", "bomb"),
    ("that", "than"), ("will", "well"), ("more", "mote"), ("like", "lice"), ("made", "mate"), ("news", "nets"), ("live", "lie"), ("able", "ale"),
]  # fmt: skip
# One sign that turns a statement of a language without a list of words: Japanese, Chinese, Korean, Turkish.
TURNED = [
    ("無料", "有料"), ("可能", "不能"), ("増", "減"), ("買", "売"), ("上", "下"), ("中", "外"), ("新", "旧"), ("最高", "最低"),
    ("买", "卖"), ("多", "少"), ("大", "太"), ("有", "没"), ("开", "关"), ("天", "夭"), ("人", "入"), ("あり", "なし"), ("る", "ぬ"), ("は", "ば"),
    ("있", "없"), ("을", "를"), ("안", "못"), ("이", "아"), ("değil", "değir"), ("var", "yok"), ("iyor", "iyorsa"), ("ecek", "meyecek"), ("lar", "lmaz"),
]  # fmt: skip
_OTHER_EMOJI = {
    "👍": "👎",
    "📈": "📉",
    "🟢": "🔴",
    "✅": "❌",
    "🚀": "🪦",
    "😀": "😡",
    "❤": "💔",
    "🎉": "🚨",
    "👇": "👆",
    "🔥": "🧯",
    "😂": "😭",
}


def swapped(text: str, pairs: Iterable[tuple[str, str]]) -> Iterable[str]:
    """The text with one word put for another, each pair either way, in the case in which it stands there."""
    for one, other in pairs:
        for before, after in ((one, other), (other, one)):
            for cased in (str, str.capitalize, str.upper):
                changed = re.sub(rf"(?<![\w@#$./:'’-]){cased(before)}(?![\w/:@'’-])", cased(after), text, count=1)
                if changed != text:
                    yield changed


def _real_word(text: str, dice: random.Random) -> str | None:
    found = list(swapped(text, REAL_WORDS))
    return dice.choice(found) if found else None


def _turned(text: str, dice: random.Random) -> str | None:
    found = [(a, b) for pair in TURNED for a, b in (pair, pair[::-1]) if a in text]
    if not found or text.isascii():
        return None
    before, after = dice.choice(found)
    return text.replace(before, after, 1)


def _other_emoji(text: str, _: random.Random) -> str | None:
    swaps = _OTHER_EMOJI | {b: a for a, b in _OTHER_EMOJI.items()}
    return next((text.replace(a, b, 1) for a, b in swaps.items() if a in text), f"{text} 🙃")


_DAYS = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday|today|tomorrow"
DANGEROUS: dict[str, Alteration] = {
    "other host": lambda t, _: _sub(r"https?://[^\s/]+", "https://acme-claim.xyz", t),
    "look-alike host": lambda t, _: _sub(r"(https?://[^\s/]*)o", r"\g<1>о", t),
    "suffix added to the host": lambda t, _: _sub(r"(https?://[^\s/]+)", r"\1.evil.io", t),
    "other path": lambda t, _: _sub(r"(https?://[^\s/]+/\w*)\w", r"\1Z9", t),
    "user part": lambda t, _: _sub(r"https?://", "https://x@evil.io/", t),
    "other query": lambda t, _: _sub(r"(https?://\S+\w)(?=\s|$)", r"\1?to=evil", t),
    "link added": lambda t, _: f"{t} https://claim.evil.io/x",
    "bare link added": lambda t, _: f"{t} evil.io/x",
    "address added": lambda t, _: f"{t} bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "scam appended": lambda t, _: f"{t} Send any amount and get it back doubled.",
    "other digit": lambda t, d: _sub(r"(?<!\d)[1-8](?=\d|\b)", str(d.choice("90")), t),
    "ten times": lambda t, _: _sub(r"(\d)(?!\d)", r"\g<1>0", t),
    "other currency": lambda t, _: _sub(r"\$(?=\d)", "€", t) or _sub(r"\bUSD\b", "BTC", t) or _sub(r"\bBTC\b", "ETH", t),
    "other day": lambda t, _: _sub(rf"\b(?:{_DAYS})\b", "Whitsun", t) or _sub(r"\b20\d\d\b", "2031", t),
    "negation in": lambda t, _: _sub(r"\b(is|are|was|will|can|has|have|do)\b", r"\1 not", t),
    "negation out": lambda t, _: _sub(r"\b(?:not|never|no) ", "", t),
    "contracted negation": lambda t, _: _sub(r"\b(is|are|was|has|do)\b", r"\1n't", t) or _sub(r"\b(is|are|was|has|do)n['’]t\b", r"\1", t),
    "other handle": lambda t, _: _sub(r"(?<!\w)@(\w{3,})", r"@\1_", t),
    "other cashtag": lambda t, _: _sub(r"\$([A-Z]{2,5})\b", r"$\1X", t),
    "other hashtag": lambda t, _: _sub(r"(?<!\w)#(\w{3,})", r"#\1s", t),
    "two slips": lambda t, d: (once := _typo(t, d)) and _typo(once, d),
    "another real word": _real_word,
    "a sign that turns it": _turned,
    "case of a word": lambda t, _: re.sub(r"(?<![\w@#$./:'’&;-])[a-z]{2,}(?![\w./:@])", lambda m: m[0].capitalize(), t, count=1),
    "a word in two": lambda t, _: _sub(r"(?<![\w@#$./:'’&;-])([a-z]{2,}?)([a-z]{2,})(?![\w./:@])", r"\1 \2", t),
    "two words in one": lambda t, _: _sub(r"(?<=[a-z]) (?=[a-z])", "", t),
    "lines joined": lambda t, _: " ".join(t.split("\n")) if "\n" in t.strip() else None,
    "lines doubled": lambda t, _: t.strip().replace("\n", "\n\n") if "\n" in t.strip() else None,
    "a line broken": lambda t, _: _sub(r"(?<=\S) (?=\S)", "\n", t),
    "a line indented": lambda t, _: _sub(r"(?<=\S)\n(?=\S)", "\n  ", t),
    "moved by blanks": lambda t, _: _sub(r"(?<=\S) (?=\S)", " " * 30, t),
    "a question": lambda t, _: _sub(r"(?<=\w)[.!](?=\s|$)", "?", t),
    "a comma": lambda t, _: _sub(r"(?<=[a-z]) (?=[a-z])", ", ", t),
    "other decimal sign": lambda t, _: _sub(r"(?<=\d)\.(?=\d)", ",", t) or _sub(r"(?<=\d),(?=\d)", ".", t),
    "other emoji": _other_emoji,
    "struck through": _words(lambda w, _: re.sub("(.)", "\\1\u0336", w), 0.2),
    "invisible signs": _words(_inside("\u200b"), 0.2),
    "presentation of letters": _words(_inside("\ufe0f"), 0.2),
    "backwards": _words(lambda w, _: f"\u202e{w[::-1]}\u202c", 0.2),
    "guillemets": lambda t, _: _sub('"', "«", t),
    "a minus": lambda t, _: _sub(r"-(?=\d)", "−", t),
    "a dash for a hyphen": lambda t, _: _sub(r"(?<=[a-z])-(?=[a-z])", "—", t),
    "a prime": lambda t, _: _sub(r"(?<=\d)'", "′", t),
}


def altered(text: str, alterations: dict[str, Alteration], seed: int = 1) -> Iterable[tuple[str, str]]:
    """(name, text) of every alteration that applies and changes something."""
    for name, alter in alterations.items():
        changed = alter(text, random.Random(f"{seed}{name}{len(text)}"))
        if changed and changed != text:
            yield name, changed
