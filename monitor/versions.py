"""Versions of an edited post that nobody has seen: the platform shows the newest one only, and keeps each under an id of its own.

Approved, then a scam for a minute, then approved again: whoever reads only what stands there never sees it. What a history
names and nobody judged is written down together with the post that names it, so that a kill loses none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor import record
from monitor.model import Item, Post, Unreadable
from monitor.record import stamp
from monitor.store import Store

PATIENCE = timedelta(seconds=30)  # for a version that the platform neither gives nor calls gone
MOST = 100  # asked for at once


@dataclass(frozen=True, slots=True)
class Unseen:
    """Version `version` of `versions` of the post that began as `root`."""

    id: str
    version: int
    versions: int
    root: str
    noticed_at: datetime


def notice(store: Store, account: str, items: Iterable[Item], now: datetime) -> bool:
    """Write down the versions that these posts name and nobody judged; whether there are any. Inside a transaction.

    What stands in a history before a version that was there when the watch began is older than the watch.
    """
    found = False
    for post in items:
        if not isinstance(post, Post) or len(post.versions) < 2:
            continue
        for number, identifier in enumerate(post.versions, 1):
            if not store.has(account, identifier) and not _older(store, account, post.versions[number:]):
                store.sql.execute(
                    "INSERT OR IGNORE INTO unseen_versions VALUES(?, ?, ?, ?, ?, ?)",
                    [account, identifier, number, len(post.versions), post.versions[0], stamp(now)],
                )
                found = True
    return found


def _older(store: Store, account: str, later: tuple[str, ...]) -> bool:
    marks = ", ".join("?" * len(later))
    query = f"SELECT 1 FROM posts WHERE account = ? AND id IN ({marks}) AND baseline = 1"  # noqa: S608 - ours
    return bool(later) and store.sql.execute(query, [account, *later]).fetchone() is not None


def unseen(store: Store, account: str) -> list[Unseen]:
    """Those that are still to be judged, the oldest first, at most a hundred."""
    rows = store.sql.execute(
        "SELECT * FROM unseen_versions u WHERE account = ? AND NOT EXISTS (SELECT 1 FROM posts p WHERE p.account = u.account AND p.id = u.id)"
        " ORDER BY noticed_at, root, version LIMIT ?",
        [account, MOST],
    )
    return [Unseen(r["id"], r["version"], r["versions"], r["root"], when) for r in rows if (when := record.moment(r["noticed_at"]))]


def forget(store: Store, account: str) -> None:
    """Those that have been judged."""
    where = "account = ? AND EXISTS (SELECT 1 FROM posts p WHERE p.account = unseen_versions.account AND p.id = unseen_versions.id)"
    with store.transaction():
        store.sql.execute(f"DELETE FROM unseen_versions WHERE {where}", [account])  # noqa: S608 - ours


def given_up(account: str, waiting: Iterable[Unseen], gone: frozenset[str], now: datetime) -> tuple[Unreadable, ...]:
    """Those that cannot be fetched, as what pages; the others may still come."""
    return tuple(_lost(account, one, now, gone=one.id in gone) for one in waiting if one.id in gone or now - one.noticed_at >= PATIENCE)


def _lost(account: str, one: Unseen, now: datetime, *, gone: bool) -> Unreadable:
    why = "the platform no longer shows it" if gone else f"the platform did not give it within {PATIENCE.seconds} s"
    return Unreadable(account, one.id, f"version {one.version} of {one.versions} of the edited post {one.root}: {why}", now)
