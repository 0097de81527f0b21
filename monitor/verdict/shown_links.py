"""The links of a post that a registration does not name: hidden behind words, in a card, behind a shortener."""

from __future__ import annotations

from monitor.model import ApprovedPost, Post
from monitor.verdict.links import canonical_links, host_of, is_shortener
from monitor.verdict.text import canonical


def other_links(one: ApprovedPost, post: Post) -> tuple[int, str] | None:
    """Why the links of a post with these words are not the registered ones: (rank, words), or None."""
    shown = {host_of(link) for link in (*post.links, *one.links)}
    card = host_of(post.card) if "://" in post.card and post.card.startswith("http") else ""
    if card and card not in shown:
        return 1, f"the words of registered post #{one.id}, but with a link card to a page nobody registered"
    if _hidden_link(one, post):
        return 1, f"the words of registered post #{one.id}, but with a link that they do not show"
    return None


def _hidden_link(one: ApprovedPost, post: Post) -> bool:
    """A link one tap away that neither the text nor the registration names; a shortener of a link that is shown is none."""
    if not post.links:
        return False
    words = canonical(post.text).split(" ")
    known = {host_of(link) for link in one.links} | {host_of(w) for w in words if "://" in w}
    hidden = [host for link in post.links if canonical_links(link) not in words and (host := host_of(link)) not in known]
    return any(not (is_shortener(host) and known) for host in hidden)
