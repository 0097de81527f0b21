"""Posts of ours that are shown again, by a repost or as the pinned post: which they are, by their ids, and what we made of them."""

from __future__ import annotations

import logging

from monitor import post_rows, record
from monitor.model import Account, Company, Exact, Item, Kind, Original, Post, ProfileChange, Redacted, Severity, Standing, Unreadable
from monitor.post_rows import Kept
from monitor.store import Store

log = logging.getLogger("monitor.shown_again")

_WORST_LAST = (Standing.APPROVED, Standing.OLDER, Standing.ACCUSED, Standing.UNAPPROVED)


def standing(store: Store, account: Account, item: Item, company: Company) -> Standing | None:
    """What we made of the post that this shows again; None when it shows nothing of ours.

    A handle may be anybody's by now: it makes a repost suspicious, and never quiet.
    """
    identifier = _shown(item)
    if identifier is None:
        return None
    try:
        versions = _versions(store, account, identifier)
    except post_rows.DAMAGED:
        log.exception("what %s shows again is damaged in the database", item.id)
        return Standing.UNAPPROVED
    if versions:
        return max((_of(store, kept) for kept in versions), key=_WORST_LAST.index)
    original = item.original if isinstance(item, Post | ProfileChange) else None
    if original and original.account:
        return Standing.OLDER if is_older(store, original) else Standing.UNAPPROVED
    return Standing.UNREAD if isinstance(item, ProfileChange) or _claims_to_be_ours(item, account, company) else None


def to_ask_for(store: Store, account: Account, item: Item, company: Company) -> str:
    """The id of a post of ours, by what the repost says of its author, of which nothing is on record; else an empty string."""
    known = item.original is not None if isinstance(item, Post | ProfileChange) else True
    identifier = _shown(item) if not known else None
    if not identifier or (isinstance(item, Post) and not _claims_to_be_ours(item, account, company)):
        return ""
    return "" if store.ids(*_named(account, identifier)) else identifier


def original(post: Post) -> Original:
    """A post that was asked for, as what another one shows."""
    return Original(post.account, post.created_at, post.text, post.links)


def _shown(item: Item) -> str | None:
    if isinstance(item, ProfileChange):
        return item.after if item.field == "pinned_post" and item.after else None
    return item.referenced_id if isinstance(item, Post) and item.kind is Kind.REPOST else None


def _versions(store: Store, account: Account, identifier: str) -> list[Kept]:
    """Every version on record of the post with this id, of whichever of our accounts on this platform."""
    found = store.posts(*_named(account, identifier), 10)
    roots = {(k.post.account, k.post.root_id) for k in found if isinstance(k.post, Post | Redacted) and k.post.root_id}
    more = [k for key, root in roots for k in store.posts(post_rows.VERSIONS, (key, root), 100)]
    return [*found, *more]


def _named(account: Account, identifier: str) -> tuple[str, tuple[object, ...]]:
    """The condition that finds those with this id."""
    where = f"{account.platform}:{account.realm}:"
    return f"{post_rows.OURS} AND substr(account, 1, ?) = ? AND kind != 'profile'", (identifier, len(where), where)


def _of(store: Store, kept: Kept) -> Standing:
    post, verdict = kept.post, kept.verdict
    if isinstance(post, Unreadable | ProfileChange) or (isinstance(post, Redacted) and post.kind in ("unreadable", "profile")):
        return Standing.UNAPPROVED
    planned = isinstance(verdict.match, Exact) and verdict.match.words and verdict.severity is not Severity.PAGE
    if planned or store.registrations.knows(f"approved:{post.account}:{post.id}:{post.version}"):
        return Standing.APPROVED
    if kept.baseline:
        return Standing.ACCUSED if verdict.accusations else Standing.OLDER
    return Standing.UNAPPROVED


def is_older(store: Store, shown: Original) -> bool:
    """Whether it was published before we first saw the account that wrote it."""
    row = store.sql.execute("SELECT first_seen FROM accounts WHERE key = ?", [shown.account]).fetchone()
    since = record.moment(row["first_seen"]) if row else None
    return since is not None and shown.created_at < since


def _claims_to_be_ours(item: Item, account: Account, company: Company) -> bool:
    handles = {h.lower() for h in (*company.handles, account.handle)}
    return isinstance(item, Post) and item.referenced_author.lower() in handles
