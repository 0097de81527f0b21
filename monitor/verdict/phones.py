"""Telephone numbers that a reader could call or write to, however they are written.

International numbers are asked of Google's metadata (the `phonenumbers` library). A national number names no country:
it counts when it begins with a trunk 0, when it is written as some large country writes its own, or when words of
calling stand before it. Times, dates, prices and the digits inside wallet addresses are none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

import re2

from monitor.verdict.text import MAX_LENGTH, without_form

TOO_MANY = "more-numbers-than-anybody-calls"
_MOST = 20  # different numbers taken from one text
_TRIES = 60  # stretches of digits weighed in one text; a library call takes 20 to 100 microseconds
_GAP = r"[^0-9A-Za-z,:;%#@+$=&?!]{0,3}"  # of a shadow, see `_shadow`
_RUN = re2.compile(rf"(?:[+(]{_GAP}){{0,2}}[0-9](?:{_GAP}[0-9]){{6,}}")
_MONEY = re.compile("[€£¥₹₽₩₺₿]")
_LETTER = re.compile(r"(?![\x00-\x7f])\w")
_SIGN = re.compile(r"[^\x00-\x7f]")
_GROUP = re.compile(r"[0-9]+")
_DIGIT = re.compile(r"(?![0-9])\d")
_YEARS = re.compile(r"(?:(?:19|20)[0-9]{2}[^0-9]*)+")
_O_FOR_ZERO = re.compile(r"(?<=\d)[-. ()]?[oO]{1,3}(?=[-. ()]?\d)")
_DATE = re2.compile(
    r"(?:\b(?:0?[1-9]|[12][0-9]|3[01])[./-](?:0?[1-9]|[12][0-9]|3[01])[./-](?:19|20)[0-9]{2}\b"
    r"|\b(?:19|20)[0-9]{2}[./-](?:0?[1-9]|1[0-2])[./-](?:0?[1-9]|[12][0-9]|3[01])\b)"
    r"(?:[T ]{1,3}[0-9]{1,2}:[0-9]{2})?"
)
_FRACTION = re.compile(r"[0-9]+\.[0-9]+")
_CALL = re.compile(  # within forty characters before the number
    r"(?:\b(?:call|phone|telephone|tele?f?|tlf|fon|ring|dial|text|sms|mobile|cell|hot ?line|help ?line|whats ?app|wa|viber|signal"
    r"|number|anruf\w*|rufen?|rufnummer|llam\w*|tel[eé]fono|appel\w*|ligue|telefon\w*|chiama\w*|dzwo\w*|bel|ara\w{0,4})"
    r"|звон\w*|тел\w*|номер\w*|電話|电话|전화|फोन|कॉल|هاتف|اتصل|تماس|[☎☏📞📱📲🤙])[^0-9]{0,24}$",
    re.IGNORECASE,
)
_LINKED = re2.compile(r"(?i)(?:wa\.me/|phone=|tel:|sms:|callto:|(?:t|telegram)\.me/\+?|viber://[a-z?=]*|whatsapp:[/a-z?=]*)[+ ]?$")
_ADDRESSED = re2.compile(r"(?:https?://|www\.|[a-z0-9]\.[a-z]{2,}/)[^\s]*$")  # the digits behind it stand in a link
_SHORT_CODE = re2.compile(r"(?i)\b(?:text|sms|send|txt)\b[^0-9\n]{1,40}\bto\s+\(?([0-9]{4,6})\b")
_VANITY = re2.compile(
    r"(?:^|[^0-9A-Za-z])((?:\+?1[-.]8(?:00|22|33|44|55|66|77|88)[-.][0-9A-Za-z]{2,}[-. ]?[0-9A-Za-z]{2,}[-.]?[0-9A-Za-z]{0,10}"
    r"|(?:\+?1[-. ]{0,2}\(?|\(|0|)8(?:00|22|33|44|55|66|77|88)[-.) ]{1,2}[0-9A-Z]{2,}[-. ]?[0-9A-Z]{2,10}))(?:[^0-9A-Za-z]|$)"
)
_BARE = {10: ("US", "IN"), 11: ("US", "CN", "RU")}  # written without a gap, by how many digits they have
_LARGE = ("US", "IN", "CN", "RU", "BR", "MX", "ES", "IT", "PL", "PT", "HK", "SG", "NO", "DK")  # no trunk 0 before their numbers


def phone_numbers(text: str) -> tuple[str, ...]:
    """The telephone numbers in `text` as they are written (digits folded to ASCII), in order, without repeats.

    Beyond twenty numbers, or sixty stretches of digits that could be one, the last one is `TOO_MANY`. Linear in the
    length of the text but for that budget.
    """
    text = _plain(text[:MAX_LENGTH])
    found: dict[str, None] = {}
    for tried, number in _numbers(text):
        if tried > _TRIES or len(found) >= _MOST:
            found[TOO_MANY] = None
            break
        if number:
            found[number.strip(" .-/\n")[:40]] = None
    return tuple(found)


def _plain(text: str) -> str:
    """Every digit an ASCII one, dates out of the way."""
    if not text.isascii():
        text = without_form(text)
        text = _DIGIT.sub(lambda m: str(unicodedata.digit(m[0])), text)
    if "o" in text or "O" in text:
        text = _O_FOR_ZERO.sub(lambda m: m[0].replace("o", "0").replace("O", "0"), text)
    return str(_DATE.sub(" , ", text)) if _DATE.search(text) else text


def _numbers(text: str) -> Iterator[tuple[int, str]]:
    """Pairs of (stretches weighed so far, a number or nothing)."""
    tried = 0
    for match in _SHORT_CODE.finditer(text):
        yield tried, match.group(1)
    for match in _VANITY.finditer(text):
        tried += 1
        yield tried, _vanity(match.group(1))
    shadow = _shadow(text)
    for run in _RUN.finditer(shadow):
        written, before, after = (
            text[run.start() : run.end()],
            text[max(0, run.start() - 40) : run.start()],
            text[run.end() : run.end() + 1],
        )
        linked = bool(_LINKED.search(before))
        if not linked and (_joined(before, written) or (after.isascii() and after.isalpha() and after not in "xX")):
            continue
        for stretch in _stretches(written):
            tried += 1
            number = _number(stretch, before, linked=linked)
            yield tried, number
            if number:
                break


def _shadow(text: str) -> str:
    """The text, sign for sign, in ASCII: every other letter as one letter, every other sign as one sign."""
    return text if text.isascii() else _SIGN.sub("~", _LETTER.sub("a", _MONEY.sub("$", text)))


def _joined(before: str, run: str) -> bool:
    """Whether the digits go on with what stands before them: part of a word, an address, a link or a price."""
    last = before[-1:]
    if run[:1] != "+" and last and ((last.isascii() and last.isalnum()) or last in "$€£¥₿") and not _CALL.search(before):
        return True
    return last in tuple("/=&?#-_") and run.isdigit() and bool(_ADDRESSED.search(before))


def _stretches(run: str) -> Iterator[str]:
    """The whole run where it is no longer than a number; else, and then, what begins and ends at one of its gaps."""
    groups = list(_GROUP.finditer(run))
    starts = [0 if run[:1] in "+(" else groups[0].start(), *(g.start() for g in groups[1:])]
    for first, start in enumerate(starts):
        digits, ends = 0, []
        for group in groups[first:]:
            digits += len(group[0])
            if digits > 15:
                break
            if digits >= 7:
                ends.append(group.end())
        if ends:
            begin = start - (start > 0 and run[start - 1] == "(")
            yield from (run[begin:end] for end in reversed(ends[-1:] if first else ends[-3:]))


def _number(written: str, before: str, *, linked: bool) -> str:
    """The stretch, if it is a telephone number."""
    digits = "".join(_GROUP.findall(written))
    if linked or written[:1] == "+" or digits.startswith("00"):
        international = digits.removeprefix("00") if not written.startswith("+") else digits
        return written if _possible(international) or (linked and len(digits) >= 7) else ""
    if _FRACTION.fullmatch(written) or _YEARS.fullmatch(written) or not set(digits) - {digits[0]}:
        return ""
    if _CALL.search(before):
        return written
    if digits[0] == "0":
        return written if 9 <= len(digits) <= 15 and digits[1] != "0" else ""
    return written if _national(written, digits) else ""


def _possible(international: str) -> bool:
    import phonenumbers

    try:
        number = phonenumbers.parse(f"+{international}", None)
    except phonenumbers.NumberParseException:
        return False
    return bool(phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE)


def _national(written: str, digits: str) -> bool:
    """Whether a large country would write one of its numbers like this."""
    import phonenumbers

    if digits == written:
        return any(_valid(digits, region) for region in _BARE.get(len(digits), ()))
    if not 8 <= len(digits) <= 11:
        return False
    tidy = " ".join(_GROUP.findall(written))
    strict = phonenumbers.Leniency.STRICT_GROUPING
    return any(_valid(digits, r) and phonenumbers.PhoneNumberMatcher(tidy, r, strict).has_next() for r in _LARGE)


def _valid(digits: str, region: str) -> bool:
    import phonenumbers

    try:
        return bool(phonenumbers.is_valid_number(phonenumbers.parse(digits, region)))
    except phonenumbers.NumberParseException:
        return False


def _vanity(written: str) -> str:
    """A free number whose end is a word; "1-800-FLOWERS", and not "800 million"."""
    letters = sum(c.isalpha() for c in written)
    signs = sum(c.isalnum() for c in written)
    named = written[:1] in "+1(0" or "-" in written
    return written if letters >= 3 and 10 <= signs <= 15 and named else ""
