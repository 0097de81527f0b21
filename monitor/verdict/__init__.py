"""Judging: a pure function of the post, the queue, the rules and who we are.

Nothing here reads a clock, a file or the network; the same values give the same verdict a year
later.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from functools import lru_cache

from monitor.model import (
    NO_CONTEXT,
    Account,
    Company,
    Context,
    Exact,
    Finding,
    Kind,
    Match,
    Near,
    NoMatch,
    Post,
    ProfileChange,
    Severity,
    Unreadable,
    Verdict,
)
from monitor.verdict import open_ended
from monitor.verdict.addresses import addresses, wallet_names
from monitor.verdict.approved import Queue
from monitor.verdict.contacts import foreign_contacts
from monitor.verdict.forms import excused, pinned, worth
from monitor.verdict.links import Place, hosts, place, sent_on
from monitor.verdict.profile_signs import accusations
from monitor.verdict.rules import Rules, Subject
from monitor.verdict.shown_links import lengthened, reached
from monitor.verdict.shown_parts import other_parts
from monitor.verdict.text import canonical, read


def judge(post: Post, account: Account, company: Company, queue: Queue | None, rules: Rules, context: Context = NO_CONTEXT) -> Verdict:
    """The verdict on a post; without a queue, what the rules alone say."""
    shown = post.original.links if post.original else ()
    subject = examine(readable(post), (*reached(post), *shown), company, rules, context=context)
    findings = rules.accuse(subject, "post")
    match = queue.match(lengthened(post, company), _names(company)) if queue is not None else NoMatch("the queue was left out")
    if queue is not None and isinstance(match, Exact) and match.words:
        unread = queue.unread(match, post)
        loud = rules.accuse(examine(unread, (), company, rules, context=context), "post") if unread else ()
        findings = (*(f for f in findings if _stands(f, rules) and f not in loud), *loud)
    elif isinstance(match, NoMatch) and excused(post, context):
        findings = tuple(f for f in findings if _stands(f, rules))
    elif post.kind in (Kind.REPLY, Kind.DM):
        findings = (*findings, *foreign_links(subject), *(() if isinstance(match, Exact) else _contacts(post, account, company)))
    if isinstance(match, Exact) and not match.words and queue is not None:
        findings = (*findings, *open_ended.findings(post, subject))
        told = open_ended.caveats(queue.registration(match.approved), post, subject)
        match = replace(match, caveats=(*match.caveats, *told))
    if is_canary(post, account):
        match = NoMatch(CANARY)
    unplanned, form = worth(post, account, context, accused=any(not f.shadow for f in findings))
    base = Severity.CLEAR if queue is None or match == NoMatch(CANARY) else _base(unplanned, match, post)
    if isinstance(match, NoMatch) and queue is not None:
        base = max(base, _misplaced(post, match, queue))
    severity = max([base, *(f.severity for f in findings if not f.shadow)])
    foreign = tuple(h for h, p in subject.places if p not in (Place.OURS, Place.PLATFORM))
    reason = _reason(match, findings, queued=queue is not None)
    if severity >= Severity.NOTIFY and context.signals:
        reason = f"{reason}; unusual: {', '.join(why for _, why in context.signals[:2])}"
    if severity is Severity.RECORD and isinstance(match, NoMatch):
        reason = f"{form or f'an unregistered {post.kind}'}: recorded, nobody told"
    elif form and severity >= Severity.NOTIFY and not isinstance(match, Exact):
        reason = f"{reason}; {form}"
    return Verdict(severity, reason, match, findings, foreign)


def judge_change(change: ProfileChange, company: Company, queue: Queue, rules: Rules, context: Context = NO_CONTEXT) -> Verdict:
    """The verdict on one profile field that changed; an unregistered one is at least a notice."""
    subject = examine(change.after, (), company, rules, change.field, context)
    match = queue.match_change(change)
    before = examine(change.before, (), company, rules, change.field, context)
    findings = (*accusations(change, subject, before, rules), *_of_the_pinned(change, company, rules, context))
    base, form = Severity.NOTIFY, ""
    if isinstance(match, Exact):
        findings = tuple(f for f in findings if _stands(f, rules))
        base = Severity.NOTIFY if match.caveats else Severity.CLEAR
    elif change.field == "pinned_post" and change.after:
        base, form = pinned(context.original, accused=any(not f.shadow for f in findings))
    severity = max([base, *(f.severity for f in findings if not f.shadow)])
    foreign = tuple(h for h, p in subject.places if p not in (Place.OURS, Place.PLATFORM))
    reason = _reason(match, findings, queued=True)
    return Verdict(severity, f"{reason}; {form}" if form else reason, match, findings, foreign)


def _of_the_pinned(change: ProfileChange, company: Company, rules: Rules, context: Context) -> tuple[Finding, ...]:
    """What the rules say of the pinned post, where we had to ask for it."""
    shown = change.original
    return rules.accuse(examine(shown.text, shown.links, company, rules, context=context), "post") if shown else ()


def judge_unreadable(item: Unreadable) -> Verdict:
    """What cannot be read pages, with the reason."""
    return Verdict(Severity.PAGE, f"something was posted that could not be read: {item.reason}", NoMatch("unreadable"))


def examine(text: str, links: tuple[str, ...], company: Company, rules: Rules, field: str = "", context: Context = NO_CONTEXT) -> Subject:
    """The text as the rules see it, with everything that occurs in it."""
    if not text.isascii():  # lone surrogates cannot be matched, sent or stored
        text = text.encode("utf-8", "replace").decode("utf-8")
    leads = dict.fromkeys((*hosts(text, links), *sent_on(text, links, company)))
    places = tuple((host, place(host, company)) for host in leads)
    reading = read(text)
    wallets = addresses(text)
    if reading.formless != text:
        wallets = tuple(dict.fromkeys((*wallets, *addresses(reading.formless))))
    subject = Subject(text, reading, places, wallets, wallet_names(reading.formless), company, field, context)
    subject.hits = rules.hits(subject)
    return subject


def readable(post: Post) -> str:
    """Everything a reader can read: the text, what it shows again, then what the pictures are said to show."""
    shown = [post.original.text] if post.original else []
    return "\n".join([post.text, *shown, *(m.alt_text for m in post.media if m.alt_text)])


CANARY = "the canary"


def is_canary(post: Post, account: Account) -> bool:
    """Whether this is the marked post that proves the chain: its text, a number or a time behind it, and nothing else."""
    more = post.links or post.media or post.card or post.poll or post.unread or post.shown or post.referenced_id
    plain = post.kind is Kind.POST and not more and post.version == 1
    text, marker = canonical(post.text), canonical(account.canary)
    return bool(marker) and plain and text.startswith(marker) and _counts(text[len(marker) :], marker)


_COUNT = re.compile("[0-9]{1,12}")
_ISO_TIME = re.compile(r"20\d\d-?\d\d-?\d\d[T ]\d\d(?::?\d\d){1,2}(?:[.,]\d{1,9})?(?:Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII)


def _counts(behind: str, marker: str) -> bool:
    """Whether nothing stands behind the canary's text, or one number of at most twelve digits, or one ISO 8601 time.

    A blank parts them, lest the text run on into a longer number.
    """
    apart = behind.removeprefix(" ")
    if not behind:
        return True
    if apart == behind and marker[-1].isalnum():
        return False
    return bool(_COUNT.fullmatch(apart)) or (bool(_ISO_TIME.fullmatch(apart)) and _is_time(apart))


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=64)
def _names(company: Company) -> frozenset[str]:
    """The words of the company's own names: a slip in one of them, or into one, is another name."""
    labels = [label for name in (company.name, *company.handles, *company.domains) for label in re.split(r"[^\w]+|_", name.lower())]
    return frozenset(labels)


def _stands(finding: Finding, rules: Rules) -> bool:
    """Whether a finding also accuses an approved post. A crashed rule always does."""
    return any(r.id == finding.rule and r.even_if_approved for r in rules.rules) or any(
        e.startswith("the rule crashed") for e in finding.evidence
    )


def foreign_links(subject: Subject) -> tuple[Finding, ...]:
    """What accuses a reply that leads away from us."""
    foreign = tuple(h for h, p in subject.places if p not in (Place.OURS, Place.PLATFORM))
    if not foreign:
        return ()
    why = "Replies are not registered one by one, but a reply that leads away from us is how followers are phished."
    return (Finding("foreign-link-in-reply", 1, Severity.PAGE, "Reply links to a foreign page", foreign[:3], why),)


def _contacts(post: Post, account: Account, company: Company) -> tuple[Finding, ...]:
    """Whom a reply tells its reader to write to, instead of a link."""
    found = foreign_contacts(post.text, post.links, company, account.id, account.handle)
    why = "Followers are phished in private, too: by another account, or by mail."
    return (
        (Finding("foreign-contact-in-reply", 1, Severity.NOTIFY, "Reply names a contact that is not ours", found[:3], why),)
        if found
        else ()
    )


def _base(unplanned: Severity, match: Match, post: Post) -> Severity:
    """What the match alone is worth."""
    if isinstance(match, Exact):
        quiet = Severity.RECORD if not match.words and post.kind is Kind.REPLY else Severity.CLEAR
        return Severity.NOTIFY if match.caveats else quiet
    return min(unplanned, Severity.NOTIFY) if isinstance(match, Near) else unplanned


def _misplaced(post: Post, match: NoMatch, queue: Queue) -> Severity:
    """What it is worth that a registered text stands where nobody registered it, whatever such a post is worth otherwise."""
    if match.nearest is None or match.similarity < 100 or post.kind not in (Kind.POST, Kind.REPLY, Kind.QUOTE):
        return Severity.CLEAR
    return Severity.PAGE if other_parts(queue.registration(match.nearest), post) else Severity.NOTIFY


_TOLD = 3  # rules named in one line, the worst ones; the others stand in the findings


def _reason(match: Match, findings: tuple[Finding, ...], *, queued: bool) -> str:
    """One line in our own words; the evidence, which is untrusted, travels in the findings."""
    titles = list(dict.fromkeys(f.title for f in findings if not f.shadow))
    said = "; ".join(titles[:_TOLD]) + (f" and {len(titles) - _TOLD} more" if len(titles) > _TOLD else "")
    if not queued:
        return said or "no rule accuses it"
    if isinstance(match, Exact):
        approved = f"registered post #{match.approved}" + (f" ({match.note})" if match.note else "")
        approved += "".join(f"; {caveat}" for caveat in match.caveats)
        return f"{said}, although it is {approved}" if said else approved
    if isinstance(match, Near):
        words = f"one slip away from registered post #{match.approved}, which it used up: the corrected post needs a new registration"
        return f"{said}; {words}" if said else words
    return f"{said}; {match.reason}" if said else match.reason
