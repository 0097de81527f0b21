"""The links of a post that a registration does not name: hidden behind words, in a card, behind a short link."""

from __future__ import annotations

import re
from dataclasses import replace

from monitor.model import ApprovedPost, Company, Post
from monitor.verdict.links import canonical_links, host_of, links_in
from monitor.verdict.text import canonical


def lengthened(post: Post, company: Company) -> Post:
    """The post with short links of the company's own shorteners as what they led to. Every other one counts as itself."""
    ours = [(short, led) for short, led in post.unwound if host_of(short).removeprefix("www.") in company.shorteners]
    if not ours:
        return post
    leads = dict(ours)
    longest_first = "|".join(re.escape(short) for short in sorted(leads, key=len, reverse=True))
    text = re.sub(rf"(?:{longest_first})(?![\w/?#&=%-])", lambda m: leads[m[0]], post.text)
    return replace(post, text=text, links=tuple(leads.get(link, link) for link in post.links), card=leads.get(post.card, post.card))


def reached(post: Post) -> tuple[str, ...]:
    """Everything one tap away from a post: its links, what they led to, its card."""
    return tuple(dict.fromkeys((*post.links, *(led for _, led in post.unwound), *((post.card,) if "://" in post.card else ()))))


def other_links(one: ApprovedPost, post: Post) -> tuple[int, str] | None:
    """Why the links of a post with these words are not the registered ones: (rank, words), or None.

    Links are compared whole: another path on our own host, or on one that many share, is another page.
    """
    if not (post.links or post.card):
        return None
    known = {canonical_links(link.strip()) for link in one.links} | links_in(canonical(post.text))
    poll = post.poll and post.card.startswith("card://")  # its choices are compared as words
    if post.card and not poll and canonical_links(post.card) not in known:
        return 1, f"the words of registered post #{one.id}, but with a link card that nobody registered"
    if any(canonical_links(link) not in known for link in post.links):
        return 1, f"the words of registered post #{one.id}, but with a link that they do not show"
    return None
