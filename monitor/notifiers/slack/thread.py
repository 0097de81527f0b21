"""What a reply in an incident's thread means. Pure; an allow-list: what it does not know does nothing.

To acknowledge is light: it ends by itself. To resolve ends the paging, so that only the exact words do it.
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from monitor.model import CAUSES

MOST = 80  # characters of an acknowledgement: a longer one tells a story, and a story may say the opposite
_READ = 3_000  # characters; what is longer does nothing
_ACTS = 300  # characters of a reply that can do anything, blanks and marks around the words included: in more, patterns take their time
WORDS = "write only `ack` (or `on it`) to acknowledge; `resolve:` and one of " + ", ".join(f"`{c}`" for c in CAUSES) + " to resolve"

_APOSTROPHES = str.maketrans("’‘ʼ´′", "'''''")
_EMOJI = r":[\w+'-]{1,60}:(?::skin-tone-\d:)?"
_MENTION = r"<@[UW][A-Z0-9]{1,20}(?:\|[^>]{0,80})?>"
_MARKS = r"[*_`]"
_BEFORE = re.compile(rf"(?:\s|{_MARKS}|(?:{_MENTION}|\bok(?:ay)?\b)(?:[,.!:](?=\s))?)*", re.IGNORECASE)
_EYES = r"(?::eyes:(?::skin-tone-\d:)?|👀)"
_END = r"(?![^\W_]|')"
_WORDS = rf"(?:ack(?:ed|ing|'d|nowledg(?:e|ed|ing))?|on\s+it|i\s+have\s+it){_END}"
_ACK = re.compile(rf"(?:{_WORDS}|{_EYES})(?:(?:\s|{_MARKS}|[,.!-])*{_WORDS})*{_MARKS}*", re.IGNORECASE)
_HOLD = re.compile(rf"still\s+on\s+it{_END}{_MARKS}*", re.IGNORECASE)
_RESOLVE = re.compile(r"resolve\s*:\s*(" + "|".join(CAUSES).replace(" ", r"\s+") + ")", re.IGNORECASE)
_QUESTION = re.compile(r"\s+(?:who|what|where|which|when|why|how)\b\S*\s+\S.*\?\W*", re.IGNORECASE | re.DOTALL)
_CLOSED = re.compile(rf"{_EMOJI}|[,，、–—]|[.!?;:)…。！？；：-]++(?=$|\s|[^\w'\"/@#])")
_PICTURES = ("So", "Sk", "Mn", "Me")  # categories of emoji and of the signs that vary them
_ASKED_ALL = re.compile(r"\W*(?:any|some)\s*(?:one|body)(?:\s+(?:here|there|else|please))?\W*", re.IGNORECASE)
# A negation anywhere makes it something else, in the languages that on-call people write; an answer costs nothing.
_NO = re.compile(
    r"\b(?:no|nope|nah|nay|not|never|none|nobody|no\s*-?\s*one|nothing|nowhere|neither|nor|cannot"
    r"|un-?ack\w*|nack\w*|[a-z]+n['`]t|(?:do|does|did|is|are|was|were|has|have|had|ca|could|wo|would|should|must|need)n['`]?t"
    r"|nein|nej|nee|nicht|nichts|kein\w*|niemand|nie|niemals|pas|jamais|personne|aucune?|rien|non|nadie|nunca|jam[aá]s|ning[uú]n\w*|nada"
    r"|nessuno|niente|n[aã]o|ningu[eé]m|nenhum\w*|niet|niets|geen|nooit|ingen|inte|ikke|ei|nikt|nigdy|nem|nu|de[gğ]il|yok|kimse|hay[ıi]r"
    r"|не|нет|никто|никогда|ні|ніхто|لا|لم|ليس)\b"
    r"|[不没沒未無无非勿]|ない|ません|なし|いいえ|아니|없|않|못|नहीं|ไม่"
    r"|:(?:x|-1|thumbsdown|no_entry\w*|no_good\w*|negative_squared\w*|heavy_multiplication_x)(?::|\b)|[❌✖❎👎🚫⛔🙅🛑]",
    re.IGNORECASE,
)
_TRIES = re.compile(
    r"\b(?:n?ack\w*|un-?ack\w*|acknowl\w*|resol\w*|on\s+it|ha(?:ve|s)\s+it|got\s+(?:it|this))\b" + f"|{_EYES}", re.IGNORECASE
)
_SHORT = 40  # in so few characters these are meant for the monitor, in more they are talk
_TRIES_SHORT = re.compile(r"\b(?:taking|mine|clos(?:e|ed)|done|fixed|stop|over|" + "|".join(CAUSES) + r")\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reading:
    """`verb` is acknowledge, hold or resolve; empty for anything else, and then whether it looks like a try."""

    verb: str = ""
    cause: str = ""
    tries: bool = False


def read(text: str) -> Reading:
    """A reply as Slack gives it: escaped, with mentions and emoji by name. Threads are read again and again, and each message
    in them is whatever a member likes to write: it takes a millisecond at most.
    """
    return _read(text[: _READ + 1])


@lru_cache(maxsize=1024)
def _read(text: str) -> Reading:
    said = _plain(text[:_READ])
    if len(text) > _READ or len(said) > _ACTS:
        return Reading(tries=bool(_TRIES.search(said)))
    before = _BEFORE.match(said)
    bare = said[before.end() :] if before else said
    if found := _RESOLVE.fullmatch(_unmarked(said)):
        return Reading("resolve", " ".join(found[1].lower().split()))
    if len(said) <= MOST and not _NO.search(said):
        for verb, form in (("hold", _HOLD), ("acknowledge", _ACK)):
            if (begun := form.match(bare)) and _ends_well(bare[begun.end() :]):
                return Reading(verb)
    return Reading(tries=bool(_TRIES.search(said) or (len(said) <= _SHORT and _TRIES_SHORT.search(said))))


def _plain(text: str) -> str:
    """Entities undone, full-width letters narrow, one kind of apostrophe, nothing invisible."""
    shown = unicodedata.normalize("NFKC", html.unescape(text).translate(_APOSTROPHES))[:_READ]  # one sign may become eighteen
    return "".join(c for c in shown if unicodedata.category(c) not in ("Cf", "Cc") or c.isspace()).strip()


def _unmarked(said: str) -> str:
    """Without a mention before it and Slack's marks around it."""
    return re.sub(rf"^(?:\s|{_MENTION}|{_MARKS})+|(?:\s|{_MARKS})+$", "", said)


def _ends_well(rest: str) -> bool:
    """Whether what follows the words leaves them what they are.

    Nothing, punctuation, an emoji; or one of them and then more words. Not a word: "ack is not what I mean".
    """
    if _ASKED_ALL.fullmatch(rest):  # "ack? anybody?" asks for one
        return False
    after = rest.lstrip()
    return not after or bool(_QUESTION.fullmatch(rest) or _CLOSED.match(after)) or unicodedata.category(after[0]) in _PICTURES
