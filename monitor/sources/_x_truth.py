"""Whether a post can be what it says: whose it is, when it was made, under which id. No I/O.

The id decides what we read next and the time decides which registration fits, so that neither is believed alone.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from monitor.model import Post, Unreadable
from monitor.sources._x_client import listed
from monitor.sources._x_payload import Includes, id_time, is_id, read_post

AHEAD = timedelta(seconds=30)  # of X's clock: its servers differ by less, and X's own time has whole seconds only
APART = timedelta(seconds=2)  # between an id and `created_at`
EDITABLE = timedelta(minutes=65)
_FIRST_WITH_TIME = 30_000_000_000  # ids of before November 2010 were counted one by one
_COUNTED_UNTIL = "2010-11-05"


def is_ahead(identifier: str, theirs: datetime) -> bool:
    """Whether this id cannot have been made yet by X's clock: it must not decide what is read next."""
    return is_id(identifier) and id_time(identifier) - theirs > AHEAD


def true_post(data: Any, account: str, owner: str, more: Includes, theirs: datetime) -> Post | Unreadable:
    """One element of `data`, read. One that lies is Unreadable, with its text; `owner` is X's id of the account, `theirs` X's clock."""
    item = read_post(data, account, more, theirs)
    lie = _lie(data, item, owner, theirs)
    text = item.text if isinstance(item, Post) else ""
    early = isinstance(item, Post) and is_ahead(item.id, theirs)  # where it was judged before, X's clock has changed and not the post
    return Unreadable(account, item.id, lie, theirs, text, item.version if early else 0) if lie else item


def unshown(page: dict[str, Any], account: str, theirs: datetime) -> list[Unreadable]:
    """Posts of a timeline that X names only to say that it does not show them: withheld, say, or for subscribers. Not those
    that ours refer to.
    """
    shown = {str(d.get("id")) for d in listed(page, "data")}
    found = {}
    for error in listed(page, "errors"):
        identifier = str(error.get("resource_id") or error.get("value"))
        beside = "referenced" in str(error.get("parameter"))
        if error.get("resource_type") in ("tweet", "post") and is_id(identifier) and identifier not in shown and not beside:
            found[identifier] = Unreadable(
                account, identifier, "X names it and does not show it (withheld, or for subscribers only?)", theirs, version=1
            )
    return list(found.values())


def _lie(data: Any, item: Post | Unreadable, owner: str, theirs: datetime) -> str:
    """What cannot be true of it, in words that go into the page, or an empty string."""
    author = str(data.get("author_id") or "") if isinstance(data, dict) else ""
    if author not in ("", owner):
        shown = author if is_id(author) else "no number"
        return f"X gave it as a post of ours, and its author is another account (id {shown})"
    if is_ahead(item.id, theirs):
        return f"its id is {_apart(id_time(item.id) - theirs)} ahead of X's own clock"
    if isinstance(item, Post) and item.created_at.tzinfo is None:
        return "its time has no zone"
    if isinstance(item, Post) and not _fits(item):
        return f"its id and its time are {_apart(abs(item.created_at - id_time(item.id)))} apart"
    return ""


def _fits(post: Post) -> bool:
    """Whether a post with this id can have been made then. An edit may carry the time of the first version: X does not say."""
    made = id_time(post.id)
    counted = int(post.id) < _FIRST_WITH_TIME and f"{post.created_at:%Y-%m-%d}" < _COUNTED_UNTIL
    edit = post.version > 1 and is_id(post.root_id) and timedelta() <= made - id_time(post.root_id) <= EDITABLE
    return counted or abs(post.created_at - made) <= APART or (edit and abs(post.created_at - id_time(post.root_id)) <= APART)


def _apart(gap: timedelta) -> str:
    seconds = gap.total_seconds()
    return f"{seconds:,.0f} s" if seconds < 7_200 else f"{seconds / 3600:,.0f} h" if seconds < 200_000 else f"{seconds / 86_400:,.0f} days"
