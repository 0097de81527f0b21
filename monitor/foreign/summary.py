"""Whom the summary of a shift names. An allow-list: what is not of this form names nobody, and the group is woken."""

from __future__ import annotations

import re

ADDRESS = r"[\w.+'-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"
USER = re.compile(r"\b[UW](?=[A-Z]*\d)[A-Z0-9]{6,20}\b")  # with a digit: UPDATE and WEEKEND are words
_NAME = re.compile(rf"(?:mailto:)?(?P<name>{ADDRESS})|<?@?(?P<user>{USER.pattern})>?")
_DUTY = re.compile(
    r"\bon[- ]?call\b|\b(?:on )?duty\b|\bshifts?\b|\brota\b|\broster\b|\bprimary\b|\bsecondary\b|\bstand-?by\b|\bswap(?:s|ped)?\b"
    r"|\bcover(?:s|ing|age)?\b|\bpager\b|\bbereitschaft\b|\bastreinte\b|\bguardia\b",
    re.IGNORECASE,
)
_OTHERWISE = re.compile(  # no list of these is whole: each only keeps a person from being named without the group
    r"\b(?:not?|off|out|away|sick|ill|leave|holidays?|vacation|pto|ooo|questions?|ask|contact|info|escalat\w*|manager|lead|owner|cc|until|before"
    r"|after|formerly|was|to|ping|e-?mail|mail|notify|tell|if|with|from)\b",
    re.IGNORECASE,
)
_BY_TIME = re.compile(r"\b(?:by|at|the|this|days?|nights?|weekends?|weeks?|mornings?|evenings?|\d+(?:am|pm|h)?)\b|[\W_]+", re.IGNORECASE)
_DISPLAYED = r"[\w.'-]{1,40}(?:\s[\w.'-]{1,40}){0,3}\s*[<(]\s*"  # Alice Smith <
_BETWEEN = re.compile(rf"[\s,;&+/|)>]*(?:\band\b)?\s*(?:(?:primary|secondary)\s*:?\s*)?(?:{_DISPLAYED})?[\s(<]*", re.IGNORECASE)
_INSTEAD = re.compile(r"\b(?:for|instead of|replaces|replacing)\s*[<(]?\s*$", re.IGNORECASE)
_TIME = re.compile(r"\b(?:by|at|the|this|day|night|weekend|week|morning|evening|daytime|\d+)\b|[\W_]+", re.IGNORECASE)


def named(text: str) -> list[str]:
    """Whom a summary names, addresses in small letters and Slack ids: `words about the duty: name, name words about the duty`, or names alone.

    Prose that happens to hold an address names nobody.
    """
    names = list(_NAME.finditer(text))
    if not names:
        return []
    found, end = [names[0]], names[0].end()
    for one in names[1:]:
        if not _BETWEEN.fullmatch(text[end : one.start()]):
            break
        found.append(one)
        end = one.end()
    before, after = text[: names[0].start()], text[end:]
    if more := names[len(found) :]:
        words = text[end : more[0].start()]
        if len(more) > 1 or not _INSTEAD.search(words):  # bob covers for alice
            return []
        after = _INSTEAD.sub("", words) + text[more[0].end() :]
    return [(one["name"] or "").lower() or one["user"] for one in found] if _on_duty(before, after) else []


def _on_duty(before: str, after: str) -> bool:
    """Whether the words on both sides of names say that these are on duty, or say nothing."""
    if _OTHERWISE.search(before) or _OTHERWISE.search(after) or _INSTEAD.search(before):
        return False
    beside = re.split(rf"{_DUTY.pattern}|[:=|–—]|\s-\s", before, flags=re.IGNORECASE)[-1]
    if _BY_TIME.sub("", beside) and not re.fullmatch(rf"\s*{_DISPLAYED}", beside):
        return False
    silent = not _BY_TIME.sub("", after) and (not _BY_TIME.sub("", before) or beside == before)
    return silent or bool(_DUTY.search(before) or _DUTY.search(after))
