"""Everything of a post beside its words, compared with the registration that has the same words.

A doubt keeps the registration from excusing the post; a caveat excuses it and still tells somebody.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from monitor.model import ApprovedPost, Kind, Post
from monitor.verdict.resemblance import used_up
from monitor.verdict.shown_links import other_links
from monitor.verdict.shown_parts import other_parts, part_caveats
from monitor.verdict.shown_pictures import other_pictures, picture_caveats

Doubt = tuple[int, str]  # (rank, words): of several doubts the one with the lowest rank is told


def doubt(one: ApprovedPost, post: Post) -> Doubt | None:
    """Why a post with the words of this registration is not the registered post, or None."""
    without_words = other_pictures(one, post) if not one.text.strip() else None  # then the pictures say which post it is
    parts = without_words or _another_post(one, post) or other_parts(one, post)
    return parts or other_pictures(one, post) or other_links(one, post)


def caveats(one: ApprovedPost, post: Post, expected: tuple[str, ...] = ()) -> tuple[str, ...]:
    """What nobody compared of a post that its registration excuses: each is worth a notice, in words for the reader.

    `expected`: references that another registration allows.
    """
    return tuple(_caveats(one, post, expected))


def _caveats(one: ApprovedPost, post: Post, expected: tuple[str, ...]) -> Iterator[str]:
    yield from part_caveats(one, post, (*expected, "answers") if one.after else expected)
    yield from picture_caveats(one, post)
    yield from unread_caveats(post)


def unread_caveats(post: Post) -> Iterator[str]:
    """What a reader sees of this post and the platform does not give."""
    return (f"{part} was not compared: the platform does not give it" for part in post.unread)


def _another_post(one: ApprovedPost, post: Post) -> Doubt | None:
    if one.account != post.account:
        return 5, f"registered post #{one.id} has these words, but for another account"
    if one.kind is not post.kind and not _answers_alike(one, post):
        return 4, f"registered post #{one.id} has these words, but as a {one.kind}, and this is a {post.kind}"
    if one.withdrawn_at:
        return 3, f"registered post #{one.id} was withdrawn at {_time(one.withdrawn_at)}"
    if one.used_by and one.used_by != (post.root_id or post.id):
        return 0, f"registered post #{one.id} was {used_up(one)}"
    if not one.not_before <= post.created_at <= one.not_after:
        side = "before" if post.created_at < one.not_before else "after"
        window = f"{_time(one.not_before)} to {_time(one.not_after)}"
        return 2, f"registered post #{one.id} matches, but was posted {side} its window ({window})"
    return None


def _answers_alike(one: ApprovedPost, post: Post) -> bool:
    """An answer is a post below one of our own and a reply below everybody else's: the post that it names decides."""
    return {one.kind, post.kind} == {Kind.POST, Kind.REPLY} and "answers" in dict(one.shown)


def _time(when: datetime | None) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if when else "an unknown time"
