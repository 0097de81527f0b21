"""What a registration does not excuse that names a conversation or an author instead of words: nobody has read them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from monitor.model import ApprovedPost, Finding, Kind, Post, Severity
from monitor.verdict.contacts import foreign_contacts
from monitor.verdict.forms import leads_unknown
from monitor.verdict.links import Place
from monitor.verdict.phones import phone_numbers
from monitor.verdict.rules import Subject
from monitor.verdict.shown_parts import unregistered
from monitor.verdict.text import canonical, without_form

MOST_ANSWERS = 50  # below one post; --most of the registration
_HANDLE = re.compile(r"(?<![\w@＠])[@＠]([A-Za-z0-9_]{1,30})")
_WHY = "Only the quoted account is registered: nobody has read what was put beside the quote, and followers are led away like this."


def most_answers(one: ApprovedPost) -> int:
    """How many answers go by without a notice."""
    return one.most or MOST_ANSWERS


def findings(post: Post, subject: Subject) -> tuple[Finding, ...]:
    """What pages beside the quote of a registered author, and a poll or a community anywhere."""
    quote = [*_quote(post, subject)] if post.kind is Kind.QUOTE else []
    parts = [(part, title, (title,)) for part, title in unregistered(post) if part == "poll" or post.kind is not Kind.REPLY]
    return tuple(
        Finding(f"{name}-not-registered", 1, Severity.PAGE, f"{str(post.kind).capitalize()} {title}", evidence[:3], _WHY)
        for name, title, evidence in (*quote, *parts)
    )


def _quote(post: Post, subject: Subject) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(name, title, evidence) of each way to lead away."""
    foreign = tuple(h for h, p in subject.places if p not in (Place.OURS, Place.PLATFORM))
    ours = {w.lower() for w in subject.company.wallets}
    wallets = tuple(w for w in (*(a.value for a in subject.addresses), *subject.names) if w.lower() not in ours)
    if foreign:
        yield "link", "links to a foreign page", foreign
    if leads_unknown(post):
        yield "card", "has a link card that leads nobody knows where", (post.card,)
    if post.media:
        yield "media", "has a picture or video", tuple(m.type for m in post.media)
    if numbers := phone_numbers(subject.text):
        yield "phone", "names a phone number", numbers
    if wallets:
        yield "wallet", "names a wallet that is not ours", wallets


def caveats(one: ApprovedPost, post: Post, subject: Subject) -> tuple[str, ...]:
    """What somebody is told of, although the registration lets it pass."""
    return tuple(_reply(one, post, subject) if post.kind is Kind.REPLY else _beside(post))


def _beside(post: Post) -> Iterator[str]:
    if post.kind is Kind.QUOTE and canonical(post.text):
        yield "nobody registered the words beside the quote"
    if any(part == "attached" for part, _ in unregistered(post)):
        yield "it has an attachment of a kind that nobody compares"


def _reply(one: ApprovedPost, post: Post, subject: Subject) -> Iterator[str]:
    if leads_unknown(post):
        yield "it has a link card that leads nobody knows where"
    if post.media:
        yield f"with {len(post.media)} picture(s) or video(s) that nobody registered"
    if any(part == "attached" for part, _ in unregistered(post)):
        yield "it has an attachment of a kind that nobody compares"
    if phone_numbers(subject.text):
        yield "it names a phone number"
    if foreign_handles(post, subject):
        yield "it names an account or an address that is not ours"
    most = most_answers(one)
    if subject.context.answered == most:
        yield f"answer number {most + 1} below this post, and {most} were expected: from here on they are only recorded"


def foreign_handles(post: Post, subject: Subject) -> tuple[str, ...]:
    """The accounts and addresses that a reply names, but for ours and for those that the platform itself put before it."""
    ours = {h.lower() for h in subject.company.handles}
    named = _HANDLE.findall(without_form(post.text[post.automatic :]))
    contacts = foreign_contacts(post.text, post.links, subject.company, post.account.rpartition(":")[2])
    return (*(h for h in dict.fromkeys(named) if h.lower() not in ours), *contacts)
