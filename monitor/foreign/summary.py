"""Whom the summary of a shift names. An allow-list: what is not of this form names nobody, and the group is woken."""

from __future__ import annotations

import re
import unicodedata

ADDRESS = r"[\w.+'-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"
USER = re.compile(r"\b[UW](?=[A-Z]*\d)[A-Z0-9]{6,20}\b")  # with a digit: UPDATE and WEEKEND are words
_NAME = re.compile(rf"(?:mailto:)?(?P<name>{ADDRESS})|<?@?(?P<user>{USER.pattern})>?")
_DUTY = re.compile(
    r"\bon[- ]?call\b|\b(?:on )?duty\b|\bshifts?\b|\brota(?:tion)?s?\b|\brosters?\b|\bschedules?\b|\bprimary\b|\bsecondary\b|\bback-?up\b"
    r"|\boverrides?\b|\b(?:l|level|layer|tier) ?\d\b|\bstand-?by\b|\bswap(?:s|ped)?\b|\bcover(?:s|ing|age)?\b|\bpager\b|\b\w*bereitschaft\w*"
    r"|\bdienst\b|\bpikett?\b|\bastreinte\b|\bgarde\b|\bguardia\b|\bturno\b|\breperibilit\w+|\bplant[aã]o\b|\bvakt\b|\bdy[zż]ur\b|当番",
    re.IGNORECASE,
)
_CALLED_OFF = re.compile(  # in the languages of `plan_status`; a title that holds one names nobody, whoever was invited
    r"\b(?:cancel\w*|cancl\w*|cxl\w*|call(?:ed|s)? off|declin\w*|delet\w*|reject\w*|withdrawn|revoked|removed|voided|obsolete|expired|postpon\w*"
    r"|reschedul\w*|no longer|drafts?|sick|vacation|pto|ooo|out of office|vacant|unassigned|uncovered|abgesagt\w*|absage|abgelehnt\w*|stornier\w*"
    r"|entfällt|entfallen|ausgefallen|fällt aus|gelöscht\w*|verschoben|entwurf|krank\w*|urlaub|ann?ul\w*|supprim\w*|refus\w*|reportée?s?"
    r"|brouillon|rechazad\w*|suspendid\w*|aplazad\w*|eliminad\w*|borrador|vacaciones|rifiutat\w*|rinviat\w*|bozza|recusad\w*|rejeitad\w*|adiad[ao]"
    r"|rascunho|geannuleerd\w*|afge(?:zegd|last|wezen)|geweigerd|vervallen|inställ[dt]\w*|avbok\w*|avböj\w*|avlyst|aflyst|afvist|utkast|udkast"
    r"|kladde|avslått|peru(?:t|ut|nut)\w*|hylätty|luonnos|odwołan\w*|odrzucon\w*|szkic|zrušen\w*|zamítnut\w*|koncept|iptal\w*|reddedil\w*|taslak"
    r"|отмен\w*|отклон\w*|черновик\w*|скасован\w*|відхилен\w*|чернетк\w*)\b|キャンセル|中止|取り?消|辞退|却下|下書き|草稿|拒绝|谢绝|驳回|作废|취소|거절|초안"
    r"|[❌🚫⛔✖✗✘]",
    re.IGNORECASE,
)
_OTHERWISE = re.compile(  # no list of these is whole: each only keeps a person from being named without the group
    r"\b(?:not?|off|out|away|sick|ill|leave|holidays?|vacation|pto|ooo|questions?|ask|contact|info|escalat\w*|manager|lead|owner|cc|until|before"
    r"|after|formerly|was|to|ping|e-?mail|mail|notify|tell|if|with|from|needs?|needed"
    r"|wanted|request\w*|who|open|hand-?(?:over|off)s?|train\w*|shadow\w*|retro\w*|review\w*|meetings?|1:1|plan(?:ning|s)?"
    r"|interview\w*|lunch|dinner|party|birthday|appointments?|sync|stand-?up|workshop|onboarding|demo|kick-?off|post-?mortem"
    r"|frei|cong[eé]s?|absent\w*|ferien?|feiertag\w*|doctor|dentist)\b|\?",
    re.IGNORECASE,
)
_NOT_ON = re.compile(  # whoever was invited to that is away, or still looked for
    r"\b(?:not?(?!\.)|off(?![- ]hours)|out(?![- ]of[- ]hours)|away|absen\w+|(?:on|parental|maternity|annual|sick) leave|can(?:no|[’']?)t|(?:is|wo|does)n[’']?t"
    r"|needs?|needed|wanted|open|offered|tb[adc]|frei|elternzeit|offen|gesucht|cong[eé]s?)\b|[-=–—]>|[→➜➔⇒⟶]",
    re.IGNORECASE,
)
_PLAIN = re.compile(  # says when, or which team
    r"\b(?:by|at|the|this|is|days?|daytime|nights?|weekends?|weeks?|mornings?|evenings?|(?:mon|tue|wed|thu|fri|sat|sun)(?:[a-z]{0,4}day)?"
    r"|\d+(?:am|pm|h)?|social|media|comms|communications?|community|teams?|emea|apac|amer|uk|us|eu)\b|[\W_]+",
    re.IGNORECASE,
)
_DISPLAYED = r"[\w.'-]{1,40}(?:\s[\w.'-]{1,40}){0,3}\s*[<(]\s*"  # Alice Smith <
_BETWEEN = re.compile(
    rf"(?!\s*[-=–—]+\s*>|\s+>|\s*>{{2}})[\s,;&+/|)>–—-]*(?:\band\b)?\s*(?:(?:primary|secondary|back-?up)\s*:?\s*)?(?:{_DISPLAYED})?[\s(<]*",
    re.IGNORECASE,
)
_INSTEAD = re.compile(r"\b(?:for|instead of|replac(?:es|ing)|covers|from|was)\s*[<(]?\s*$", re.IGNORECASE)


def called_off(text: str) -> str:
    """The word of a summary that says that the shift does not take place, or not with who is written there; else an empty string."""
    found = _CALLED_OFF.search(unicodedata.normalize("NFKC", text))
    return found[0] if found else ""


def not_on_shift(text: str) -> str:
    """The word of an invitation that says that whoever was asked is not on shift by it, or that it is no shift; else an empty string."""
    found = _NOT_ON.search(text) or (None if _DUTY.search(text) else _OTHERWISE.search(text))
    return found[0] if found else ""


def named(text: str) -> list[str]:
    """Whom a summary names, addresses in small letters and Slack ids: `words about the duty: name, name words about the duty`, or names alone.

    Prose that happens to hold an address names nobody.
    """
    names = list(_NAME.finditer(text))
    if not names or called_off(text):
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
    return [(one["name"] or "").lower() or one["user"] for one in found] if _on_duty(before, after, found) else []


def _on_duty(before: str, after: str, names: list[re.Match[str]]) -> bool:
    """Whether the words on both sides of names say that these are on duty, or say nothing."""
    before, after = before.replace("_", " "), after.replace("_", " ")
    if _OTHERWISE.search(before) or _OTHERWISE.search(after) or _INSTEAD.search(before):
        return False
    before, after = _without_own(before, names), _without_own(after, names)
    beside = re.split(rf"{_DUTY.pattern}|[:=|–—]|\s-\s", before, flags=re.IGNORECASE)[-1]
    if _PLAIN.sub("", beside) and not re.fullmatch(rf"\s*{_DISPLAYED}", beside):
        return False
    silent = not _PLAIN.sub("", after) and (not _PLAIN.sub("", before) or beside == before)
    return silent or bool(_DUTY.search(before) or _DUTY.search(after))


def _without_own(words: str, names: list[re.Match[str]]) -> str:
    """Words without people's own names: one that stands in the address, and up to two after it (Alice Example alice@acme.example)."""
    own = [part for one in names for part in re.findall(r"[^\W\d_]{3,}", (one["name"] or "").partition("@")[0])]
    if not own:
        return words
    parts = "|".join(map(re.escape, own[:20]))
    return re.sub(rf"\b(?:{parts})\b(?: (?!{_DUTY.pattern})[^\W\d_]{{1,40}}){{0,2}}(?=\W|$)", " ", words, flags=re.IGNORECASE)
