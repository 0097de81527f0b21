"""What a bio or a location says that it did not say before: numbers, handles and wallets of others, words of alarm."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import re2

from monitor.model import Company, Finding, ProfileChange, Severity
from monitor.verdict.contacts import foreign_contacts
from monitor.verdict.phones import phone_numbers
from monitor.verdict.rules import Rules, Subject
from monitor.verdict.text import without_form

WORDS = ("bio", "location")  # the fields of a profile that are sentences
_HANDLE = re2.compile(r"(?:^|[^0-9A-Za-z_.@/])@ ?([0-9A-Za-z_]{2,30})")
_WHY = "Whoever has the account can send readers elsewhere from its bio without posting anything."
_DO = "Ask who changed it. If nobody did, restore it and treat it as a takeover."


def accusations(change: ProfileChange, after: Subject, before: Subject, rules: Rules) -> tuple[Finding, ...]:
    """What accuses the new value. Of a bio or a location only what came new: what stood there before was told before."""
    said, signs = rules.accuse(after, "profile"), tuple(_signs(change.field, after))
    if change.field not in WORDS:
        return (*said, *signs)
    if not _new_links(change):
        said = _new(said, rules.accuse(before, "profile"))
    return (*said, *_new(signs, _signs(change.field, before)))


def _new(found: Iterable[Finding], before: Iterable[Finding]) -> tuple[Finding, ...]:
    known = {(f.rule, e) for f in before for e in f.evidence}
    return tuple(f for f in found if not f.evidence or any((f.rule, e) not in known for e in f.evidence))


def _new_links(change: ProfileChange) -> bool:
    """Whether a word came new that could be a link: a rule names the host that a link leads to, not the page there."""
    words = {w.strip(".,;:!?()") for w in change.after.split()} - {w.strip(".,;:!?()") for w in change.before.split()}
    return any(not w.isascii() or (re.search(r"[./\[(]", w) and re.search(r"[A-Za-z]", w)) for w in words)


def _signs(field: str, subject: Subject) -> Iterator[Finding]:
    if field not in WORDS:
        return
    if numbers := phone_numbers(subject.text):
        yield _sign("profile-phone-number", f"A telephone number in the {field}", numbers)
    if handles := foreign_handles(subject.text, subject.company):
        yield _sign("profile-foreign-handle", f"A handle or address that is not ours in the {field}", handles)
    ours = {w.lower() for w in subject.company.wallets}
    if names := tuple(n for n in subject.names if n not in ours):
        yield _sign("profile-wallet-name", f"A wallet name in the {field}", names)


def foreign_handles(text: str, company: Company) -> tuple[str, ...]:
    """The handles and addresses that a reader could write to and that are not the company's, each once."""
    ours = {h.lower() for h in company.handles}
    found = (m.group(1) for m in _HANDLE.finditer(without_form(text)))
    named = dict.fromkeys(f"@{h}" for h in found if h.lower() not in ours)
    return tuple(dict.fromkeys((*named, *foreign_contacts(text, (), company))))


def _sign(rule: str, title: str, evidence: tuple[str, ...]) -> Finding:
    return Finding(rule, 1, Severity.PAGE, title, evidence[:6], _WHY, _DO)
