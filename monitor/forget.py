"""Somebody asks us to forget a post: everything that holds it is found and named, and its content is removed at once.

A post is known by its id: all its versions are meant, and whatever of ours quotes it. What the audit chain says of it are digests;
where an act's own words quote the post, they are taken out, and a later act names the row with the hash that it keeps.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import datetime

from monitor import answers, backup, chain, holds, numbering, record, redaction, traces
from monitor.database import LOOKING
from monitor.desk import DeskError
from monitor.model import Item, Post
from monitor.record import Row, stamp
from monitor.store import Store
from monitor.traces import CALLED, POSTS, Found

log = logging.getLogger("monitor.forget")

WHY = "forgotten on request"
_NAMES, _OWED = ("account", "id", "at", "who", "reason"), "to forget again"  # columns; under which it is kept
_TRIES = 5  # as often as a post can be edited


def find(store: Store, identifier: str, now: datetime, before: Found | None = None) -> Found:
    """Everything that holds this post, of whichever account, and why it must stay for now; `before` as in `traces.find`. Raises DeskError
    when there is none.
    """
    found = traces.find(store.sql, identifier, before)
    if found is None:
        raise DeskError(f"no post {identifier} was judged: give its id as the platform shows it, like 1493446837214187523")
    found.refused.extend(_refused(store, found, now))
    return found


def forget(store: Store, identifier: str, who: str, reason: str, now: datetime, before: Found | None = None) -> Found:
    """Redact all of it. What was found `before` is searched for here, where nobody gave it: others write meanwhile. Raises DeskError when a
    hold, an open incident or a registration in force needs it.
    """
    for _ in range(_TRIES):
        before = before or find(store, identifier, now)
        _let(before, reason)
        with store.transaction():
            if not traces.is_overtaken(store.sql, identifier, before):
                found = find(store, identifier, now, before)
                _let(found, reason)
                _redact(store, found, identifier, who, reason, now)
                return found
        before = None
    raise DeskError(f"post {identifier} changed whenever it was searched for: give the same command again")


def _let(found: Found, reason: str) -> None:
    if found.refused:
        raise DeskError("; ".join(found.refused))
    if not reason.strip() or found.quotes.stands_in(reason):
        raise DeskError("--reason: say why, without the words of the post: the reason is kept")


def listed(sql: sqlite3.Connection) -> list[dict[str, str]]:
    """What was forgotten, by account and id: `repeat` does it again on an older copy. Holds nothing of what the posts said."""
    return [dict(row) for row in sql.execute("SELECT account, id, at, who, reason FROM forgotten ORDER BY at, account, id")]


def repeat(store: Store, forgotten: Iterable[dict[str, str]], now: datetime) -> int:
    """Forget again what a copy from before still holds, whatever was held or open then; how many posts. `wipe` has to follow."""
    known, count = {(one["account"], one["id"]) for one in listed(store.sql)}, 0
    with store.transaction():
        for one in forgotten:
            place = one["account"], one["id"]
            if place not in known and store.has(*place):
                _redact(store, find(store, one["id"], now), one["id"], one["who"], one["reason"], now)
                count += 1
            values = [*place, one["at"], one["who"], one["reason"]]  # for the next restore, which may be of a copy that has it
            store.sql.execute("INSERT OR IGNORE INTO forgotten VALUES(?, ?, ?, ?, ?)", values)
    return count


def asked(sql: sqlite3.Connection, item: Item) -> Row | None:
    """Who asked us to forget this post, and why; None for what is not on the list. What may say something new under a known id is not:
    an edit that keeps it, what cannot be read, what is younger than the wish.
    """
    if not isinstance(item, Post) or (item.version > 1 and item.id == item.root_id):
        return None
    query = "SELECT who, reason FROM forgotten WHERE account = ? AND id = ? AND at >= ?"
    return sql.execute(query, [item.account, item.id, stamp(item.created_at)]).fetchone()


def again(store: Store, post: Post, wish: Row, registration: int | None, now: datetime) -> None:
    """A post on the list that was read again and has just been written down, for the copy that was restored never had it: forget it, and
    the registration that it used up. Inside the same transaction, so that its content reaches no disk.
    """
    row = store.sql.execute(f"{POSTS} WHERE account = ? AND id = ? AND version = ?", [post.account, post.id, post.version]).fetchone()
    redaction.post(store.sql, row, now, WHY)
    used = [registration] if registration else []
    for number in used:
        redaction.registration(store.sql, number, now)
    ids = {post.account: [redaction.name(row)]}
    store.audit(
        now, wish["who"], chain.FORGOTTEN, f"post {post.id}", reason=wish["reason"], posts=1, ids=ids, registrations=used,
        via="read again after a restore",
    )  # fmt: skip


def owed_by(sql: sqlite3.Connection) -> list[dict[str, str]]:
    """What a database that an older copy takes the place of has forgotten, or owes itself. Raises sqlite3.Error."""
    there = sql.execute("SELECT 1 FROM sqlite_master WHERE name = 'forgotten'").fetchone()
    rows = sql.execute("SELECT account, id, at, who, reason FROM forgotten ORDER BY at, account, id").fetchall() if there else []
    return _owed(numbering.kept(sql, _OWED)) + [dict(zip(_NAMES, row, strict=True)) for row in rows]


def owe(copy: sqlite3.Connection, owed: list[dict[str, str]]) -> None:
    """That copy has to forget it too; `settle` does it. Raises sqlite3.Error."""
    if owed:
        numbering.keep(copy, _OWED, json.dumps(owed))


def settle(store: Store, now: datetime) -> int:
    """At the start: forget what is owed, before anything else is done with it; how many posts. Never raises for what can be tried again
    at the next start.
    """
    owed = _owed(store.kept(_OWED))
    if not owed:
        return 0
    try:
        count = repeat(store, owed, now)
        wipe(store.sql)
        store.keep(_OWED, "")
    except Exception:  # a row that somebody damaged must not keep the daemon from watching
        log.exception("%d post(s) that were forgotten before the restore are not all forgotten again", len(owed))
        return 0
    log.warning("%d post(s) that were forgotten before the restore are forgotten again", count)
    return count


def _owed(text: str) -> list[dict[str, str]]:
    return record.remembered(text, lambda found: [{name: str(one[name]) for name in _NAMES} for one in found], [])


def wipe(sql: sqlite3.Connection) -> None:
    """Nothing of what was removed is left in free pages, or in the journal. Takes seconds, in which nobody else writes, and as much free
    disk as the database is large. Raises sqlite3.Error.
    """
    sql.execute("VACUUM")
    for place in ("posts", "evidence"):  # rows may have other numbers now
        sql.execute("UPDATE meta SET value = '0' WHERE key = ?", [f"pruned:{place}"])
    sql.execute("UPDATE meta SET value = '0' WHERE key = ? AND value != ?", [answers.PLACE, answers.DONE])
    busy = sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if busy:
        raise sqlite3.OperationalError("another process reads the database, so that its journal could not be emptied: end it (`fuser -v`)")


def copies(store: Store) -> Iterator[str]:
    """What else may hold it, as far as we know of it."""
    yield "earlier exports of incidents, wherever they went"
    beside = (*store.path.parent.glob(f"{store.path.name}.before-*"), *store.path.parent.glob(f"{LOOKING}*"))
    yield from (f"the copy {path}" for path in sorted(beside))
    last = backup.last(store)
    yield f"backups, the last one of {last[0]:%Y-%m-%d} ({last[1]})" if last else "backups, if there are any"


# --- what keeps it ----------------------------------------------------------------------------------------


def _refused(store: Store, found: Found, now: datetime) -> Iterator[str]:
    """Why it must stay for now."""
    held, unresolved = holds.every(store), {one.id for one in store.unresolved()}
    for number in sorted(found.incidents):
        if hold := held.get(number):
            yield f"INC-{number} is {hold}; first `hijack-monitor incidents release {number}`"
        elif number in unresolved:
            yield f"INC-{number} is not resolved: whoever deals with it needs what it says; resolve it first"
    for number in found.registrations:
        in_force = "SELECT 1 FROM approved WHERE id = ? AND used_by = '' AND withdrawn_at IS NULL AND not_after >= ?"
        if store.sql.execute(in_force, [number, stamp(now)]).fetchone():
            yield f"registered post #{number} has its words and may still be posted; first `hijack-monitor posts withdraw {number}`"
    waiting = [n for t, _, n in found.rows if t == "inbox" and not _is_done(store.sql, n)]
    if waiting:
        yield "a click that shows it waits for the daemon: once more in a minute"


def _is_done(sql: sqlite3.Connection, number: int) -> bool:
    return bool(sql.execute("SELECT 1 FROM inbox WHERE rowid = ? AND done_at IS NOT NULL", [number]).fetchone())


# --- redacting -------------------------------------------------------------------------------------------


def _redact(store: Store, found: Found, identifier: str, who: str, reason: str, now: datetime) -> None:
    sql, ids = store.sql, dict[str, list[str]]()
    for row in found.posts:
        ids.setdefault(row["account"], []).append(redaction.name(row))
        redaction.post(sql, row, now, WHY)
    sql.executemany("DELETE FROM evidence WHERE sha256 = ?", [(digest,) for digest in found.answers])
    for number in found.registrations:
        redaction.registration(sql, number, now)
        sql.execute(
            "UPDATE announcements SET stale = 1, next_at = ? WHERE receipt != '' AND id = (SELECT announcement FROM approved WHERE id = ?)",
            [stamp(now), number],
        )
    acts = {number: left for (table, _, number), left in found.rows.items() if table == "audit"}
    for (table, column, number), left in found.rows.items():
        if table != "audit":
            sql.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", [left, number])  # noqa: S608 - ours
    for place, left in found.reasons.items():
        sql.execute("UPDATE forgotten SET reason = ? WHERE account = ? AND id = ?", [left, *place])
    hashes = {str(number): chain.bare(sql, number, left, now) for number, left in acts.items()}
    for row in found.messages:
        store.pages.redact(row["incident"], row["route"], row["receipt"], f"what this message quoted was removed ({WHY})", now)
    for row in found.posts:
        sql.execute("INSERT OR IGNORE INTO forgotten VALUES(?, ?, ?, ?, ?)", [row["account"], row["id"], stamp(now), who, reason])
    counts = {table: len({n for t, _, n in found.rows if t == table}) for table in CALLED}
    store.audit(
        now, who, chain.FORGOTTEN, f"post {identifier}", reason=reason, posts=len(found.posts), ids=ids,
        answers=[a[: redaction.SHORT] for a in found.answers], registrations=found.registrations, messages=len(found.messages),
        changed={table: count for table, count in counts.items() if count}, acts=hashes,
    )  # fmt: skip
