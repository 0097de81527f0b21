"""What a post that nobody registered is worth by its form.

Whoever has the account chooses the form: a picture in a reply, the repost of that reply, words that look like a repost. So a
form that can be typed by hand lowers nothing, and a post of ours that is shown again is a new post unless it was approved.
"""

from __future__ import annotations

from monitor.model import Account, Context, Kind, Post, Severity, Standing
from monitor.verdict.shown_parts import unregistered

QUIET = (Standing.APPROVED, Standing.OLDER)
SHOWN_AGAIN = {
    Standing.APPROVED: "a post of our own that was approved",
    Standing.OLDER: "a post of our own that is older than our watch",
    Standing.ACCUSED: "a post of our own that is older than our watch and that a rule accuses",
    Standing.UNAPPROVED: "a post of our own that nobody approved",
    Standing.UNREAD: "a post that is said to be ours and that could not be found by its id among those of the watched accounts",
}


def worth(post: Post, account: Account, context: Context, *, accused: bool) -> tuple[Severity, str]:
    """The severity of this post while no registration excuses it, and what of its form made it that."""
    if post.kind is Kind.REPOST and context.original:
        return _shown_again(account, context.original, accused=accused)
    kinds = {post.kind, *post.forms}
    if post.kind is Kind.QUOTE:
        kinds.add(Kind.POST)  # a pasted link makes a quote, so that this costs whoever writes it nothing
    most = max(account.worth(kind) for kind in kinds)
    notes = []
    if post.kind is Kind.REPLY and post.media:
        notes.append(f"a reply with {len(post.media)} picture(s) or video(s)")
    if post.kind is Kind.REPLY:
        parts = dict(unregistered(post))
        most = max(most, account.worth(Kind.POST)) if "poll" in parts else most  # as below a registered post
        notes += [f"a reply {what}" for name, what in parts.items() if name != "community"]
        notes += ["a reply with a link card that leads nobody knows where"] if leads_unknown(post) else []
    if post.unread:
        notes.append(f"the platform does not give {' or '.join(post.unread)}")
    return (max(most, Severity.NOTIFY) if notes else most), "; ".join(notes)


def leads_unknown(post: Post) -> bool:
    """Whether it has a card of which the platform says no address; that of a poll is one of them."""
    return bool(post.card) and not post.card.startswith(("https://", "http://")) and not post.poll


def _shown_again(account: Account, standing: Standing, *, accused: bool) -> tuple[Severity, str]:
    """A repost of our own is a post to everybody who follows, whatever the original was worth where it stood."""
    if standing is Standing.OLDER and accused:
        standing = Standing.ACCUSED
    if standing in QUIET:
        return min(account.worth(Kind.REPOST), Severity.RECORD), f"a repost of {SHOWN_AGAIN[standing]}"
    return max(account.worth(Kind.POST), account.worth(Kind.REPOST)), f"it shows {SHOWN_AGAIN[standing]}"


def pinned(standing: Standing | None, *, accused: bool) -> tuple[Severity, str]:
    """What it is worth that another post was pinned, by the same test."""
    if standing is Standing.OLDER and accused:
        standing = Standing.ACCUSED
    known = standing or Standing.UNREAD
    return (Severity.NOTIFY if known in QUIET else Severity.PAGE), f"the profile now pins {SHOWN_AGAIN[known]}"


def excused(post: Post, context: Context) -> bool:
    """Whether it shows what was approved: then only what accuses approved posts accuses it."""
    return post.kind is Kind.REPOST and context.original is Standing.APPROVED
