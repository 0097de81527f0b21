"""Every other part of a post that a reader sees, compared with those that its registration names.

Names: `quotes`, `answers` and `reposts` are the id of another post, `community` the platform's id of one, `poll` how
many choices (the choices themselves are lines of the text), `replies` who may reply, `place`, `paid` (a paid label),
`audience` (who sees it), `attached` (anything else). Nothing is excused that the registration does not name.
"""

from __future__ import annotations

from collections.abc import Iterator

from monitor.model import ApprovedPost, Kind, Post

REFERENCES = {"quotes": "quotes", "answers": "answers", "reposts": "reposts"}
MINOR = ("place", "replies", "paid", "audience")  # what a company's own tool may add; the rest is how posts are hijacked
UNREAD = "unread"  # a poll whose choices the platform leaves out
IN_EVERY_PART = ("community", "replies", "paid", "audience")  # of a thread; the rest belongs to its first part
_ALARMING = {"community": "in a community", "poll": "with a poll", "attached": "with an attachment"}
_UNUSUAL = {
    "place": "it shows a place", "replies": "it limits who may reply", "paid": "it has a paid label", "audience": "it is not shown to everybody",
}  # fmt: skip


def parts(post: Post) -> dict[str, str]:
    """Every part of this post, by its name."""
    found = dict(post.shown)
    if post.poll:
        found.setdefault("poll", UNREAD)
    if post.reply_settings not in ("", "everyone"):
        found["replies"] = post.reply_settings
    if post.kind is Kind.QUOTE:
        found["quotes"] = post.referenced_id
    elif post.kind is Kind.REPOST:
        found["reposts"] = post.referenced_id
    below = post.answers if post.kind in (Kind.QUOTE, Kind.REPOST) else post.referenced_id
    above = post.conversation if post.conversation not in (post.id, post.root_id) else ""
    if below or above or post.kind is Kind.REPLY:
        found["answers"] = below or above
    return found


def other_parts(one: ApprovedPost, post: Post) -> tuple[int, str] | None:
    """Why a post with these words is not the registered one, by its other parts: (rank, words), or None."""
    there, named, words = parts(post), dict(one.shown), f"the words of registered post #{one.id}, but"
    for name, verb in REFERENCES.items():
        if name in named and there.get(name) != named[name]:
            what = f"it {verb} {_post(there[name])}" if name in there else f"it {verb} none"
            return 1, f"{words} {what}, and {_post(named[name])} was registered"
    for name, what in _ALARMING.items():
        if name in there and there[name] != named.get(name):
            unread = " whose choices the platform does not give" if there[name] == UNREAD else ""
            other = unread or (" that is not the registered one" if name in named else " that nobody registered")
            return 1, f"{words} {what}{other}"
    return None


def part_caveats(one: ApprovedPost, post: Post, expected: tuple[str, ...]) -> Iterator[str]:
    """What the registration does not name. `expected` are the references that the thread it is a part of, or another
    registration, allows.
    """
    there, named = parts(post), dict(one.shown)
    for name, verb in REFERENCES.items():
        if name in there and name not in (*named, *expected):
            yield f"it {verb} {_post(there[name])}, which the registration does not name (--{name})"
    for name in MINOR:
        if name in there and there[name] != named.get(name):
            yield f"{_UNUSUAL[name]} ({_plain(there[name])}), and {'another is' if name in named else 'none is'} registered"
    for name in ("community", "audience"):
        if name in named and name not in there:
            yield f"it was registered for {'a community' if name == 'community' else 'a limited audience'}, and is for everybody"


def unregistered(post: Post) -> tuple[tuple[str, str], ...]:
    """The alarming parts of a post that is registered without its words: (name, what it has in words)."""
    there = parts(post)
    return tuple((name, what) for name, what in _ALARMING.items() if name in there)


def _post(identifier: str) -> str:
    """Another post, by its id where that is one."""
    return f"post {identifier}" if identifier.isascii() and identifier.isalnum() and len(identifier) <= 40 else "another post"


def _plain(value: str) -> str:
    """A value of the platform's, as far as it is plain."""
    return "".join(c for c in value if c.isascii() and (c.isalnum() or c in " ,.-_"))[:40]
