"""Somebody asks us to forget a post: everything that holds it is found and named, and its content is removed at once.

A post is known by its id: all its versions are meant, and whatever of ours quotes it. What the audit chain says of it are digests;
where an act's own words quote the post, they are taken out, and a later act names the row with the hash that it keeps.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from monitor import answers, backup, chain, holds, kept_rules, numbering, packing, post_rows, record, redaction, registered
from monitor.database import LOOKING
from monitor.desk import DeskError
from monitor.model import Item, Post, ProfileChange, Stored, Unreadable
from monitor.quotations import SHORTEST, Quotations, without_quotes
from monitor.quotations import holds as answer_holds
from monitor.record import Row, stamp
from monitor.sealed import INCIDENT
from monitor.store import Store

log = logging.getLogger("monitor.forget")

WHY = "forgotten on request"
_NAMES, _OWED = ("account", "id", "at", "who", "reason"), "to forget again"  # columns; under which it is kept
_COLUMNS = {  # of text that may quote a post; what is not named here holds ids, times and words of ours alone
    "incidents": ("headline", "reason", "hosts", "skeletons", "cause"),
    "pages": ("reason", "last_error"),
    "votes": ("reason",),
    "inbox": ("body", "outcome"),
    "meta": ("value",),
    "first_sights": ("accused",),
    "silences": ("words", "reason"),
    "accounts": ("last_error", "missed"),
    "oddities": ("what",),
    "announcements": ("last_error",),
    "holds": ("reason",),
}
_POSTS = f"SELECT {post_rows.COLUMNS} FROM posts"  # noqa: S608 - ours
_CALLED = {
    "incidents": "incident(s) quote it", "pages": "page(s) and note(s)", "votes": "vote(s)", "inbox": "click(s) and answer(s) in channels",
    "meta": "thing(s) remembered", "first_sights": "first sight(s)", "silences": "silence(s)", "accounts": "account(s)",
    "oddities": "oddity(s)", "announcements": "announcement(s)", "holds": "hold(s)", "audit": "act(s) in the audit chain",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """Every place that holds a post. `rows` are texts to be changed: (table, column, rowid) and what is left there."""

    posts: list[Row]
    answers: list[str]
    shared: int  # other posts whose answer is gone with it
    registrations: list[int]
    rows: dict[tuple[str, str, int], str]
    messages: list[Row]  # of ours in Slack
    elsewhere: dict[str, int]  # messages by other routes, which nobody can take back
    refused: list[str] = field(default_factory=list)  # why it must not go
    short: bool = False  # too short a text to be searched for
    rules: int = 0  # sets of rules that quote it
    unread: int = 0  # damaged posts, of which nobody can say whether they quote it
    lost: list[str] = field(default_factory=list)  # what cannot be read
    reasons: dict[tuple[str, str], str] = field(default_factory=dict)  # why another post was forgotten, and what is left of that

    def lines(self) -> Iterator[str]:
        """What would be changed, a line a place."""
        for row in self.posts:
            incident = f", INC-{row['incident']}" if row["incident"] else ""
            gone = " (its content is gone already)" if row["redacted_at"] else ""
            words = ", with the words read in its pictures" if row["words"] not in (None, "[]") else ""
            yield f"post {redaction.name(row)} of {row['account']}{incident}{words}{gone}"
        if self.answers:
            yield f"{len(self.answers)} answer(s) of the platform, evidence of {self.shared} other post(s) as well: only their digests stay"
        if self.registrations:
            yield f"registered post(s) {', '.join(f'#{n}' for n in self.registrations[:20])}, which say the same"
        for table, called in _CALLED.items():
            if count := len({(t, n) for t, _, n in self.rows if t == table}):
                yield f"{count} {called}"
        if self.reasons:
            yield f"{len(self.reasons)} reason(s) for which another post was forgotten"
        if self.messages:
            yield f"{len(self.messages)} message(s) in Slack, which the running daemon edits"
        if self.short:
            yield f"its text is shorter than {SHORTEST} characters: it is removed where the post stands and not searched for elsewhere"

    def beyond(self) -> Iterator[str]:
        """What nobody here can reach."""
        yield from (f"{count} message(s) by {route}" for route, count in sorted(self.elsewhere.items()))
        if self.unread:
            yield f"{self.unread} post(s) that are damaged in the database, so that nobody can say whether they quote it"
        if self.rules:
            yield f"{self.rules} set(s) of rules that quote it: they go when no verdict that is kept was made by them; mend your rule's tests"
        yield from self.lost


def find(store: Store, identifier: str, now: datetime) -> Found:
    """Everything that holds this post, of whichever account. Raises DeskError when there is none."""
    posts = _versions(store.sql, identifier)
    if not posts:
        raise DeskError(f"no post {identifier} was judged: give its id as the platform shows it, like 1493446837214187523")
    quotes = _quotes(posts)
    posts, unread = _and_quoting(store.sql, posts, quotes)
    incidents = {row["incident"] for row in posts if row["incident"]}
    gone = _answers(store.sql, posts, quotes)
    registrations = _registrations(store.sql, posts, quotes)
    lost = list[str]()
    rows = dict(_quoting(store.sql, incidents, quotes)) | dict(_acts_quoting(store.sql, incidents, quotes, lost))
    incidents |= set(_of_incidents(store.sql, rows))
    messages, elsewhere = _messages(store.sql, incidents)
    shared = _users(store.sql, gone) - sum(row["evidence"] in gone for row in posts)
    short = any(len(text.strip()) < SHORTEST for row in posts for text in _texts(row) if text)
    rules = _rules(store.sql, quotes)
    found = Found(posts, gone, shared, registrations, rows, messages, elsewhere, short=short, rules=rules, unread=unread, lost=lost)
    said = store.sql.execute("SELECT account, id, reason FROM forgotten").fetchall()
    found.reasons.update({(account, one): left for account, one, why in said if (left := quotes.without(why)) != why})
    incidents |= {number for _, number in _resting(store.sql, registrations)} | set(_sharing(store.sql, gone))
    found.refused.extend(_refused(store, found, incidents, now))
    return found


def forget(store: Store, identifier: str, who: str, reason: str, now: datetime) -> Found:
    """Redact all of it. Raises DeskError when a hold, an open incident or a registration in force needs it."""
    with store.transaction():
        found = find(store, identifier, now)
        if found.refused:
            raise DeskError("; ".join(found.refused))
        if not reason.strip() or _quotes(found.posts).stands_in(reason):
            raise DeskError("--reason: say why, without the words of the post: the reason is kept")
        _redact(store, found, identifier, who, reason, now)
    return found


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
    row = store.sql.execute(f"{_POSTS} WHERE account = ? AND id = ? AND version = ?", [post.account, post.id, post.version]).fetchone()
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


# --- finding ---------------------------------------------------------------------------------------------


def _versions(sql: sqlite3.Connection, identifier: str) -> list[Row]:
    """A post by the id of any of its versions."""
    query = f"{_POSTS} WHERE account IN (SELECT DISTINCT account FROM posts) AND id = ?"  # noqa: S608 - ours
    found = sql.execute(query, [identifier]).fetchall()
    rows: dict[int, Row] = {row["number"]: row for row in found}
    for account, root in {(row["account"], row["root"] or identifier) for row in found} | {(row["account"], identifier) for row in found}:
        rows |= {row["number"]: row for row in sql.execute(f"{_POSTS} WHERE {post_rows.VERSIONS}", [account, root])}
    return [rows[number] for number in sorted(rows)]


def _quotes(posts: list[Row]) -> Quotations:
    return Quotations((text for row in posts for text in _texts(row)), (text for row in posts for text in _beside(row)))


def _texts(row: Row) -> Iterator[str]:
    """What a post says."""
    match _item(row):
        case Post() as post:
            yield post.text
            if post.original and post.original.account == post.account:
                yield post.original.text
        case Unreadable() as odd:
            yield odd.text


def _beside(row: Row) -> Iterator[str]:
    """Whatever else shows words of it. What a profile said before is not of this change."""
    match _item(row):
        case Post() as post:
            yield from (m.alt_text for m in post.media)
            yield from (value for _, value in post.shown)
        case ProfileChange() as change:
            yield change.after
    yield from json.loads(row["words"] or "[]")


def _item(row: Row) -> Stored | None:
    try:
        return record.stored(post_rows.said(row).post)
    except post_rows.DAMAGED:
        return None


def _and_quoting(sql: sqlite3.Connection, posts: list[Row], quotes: Quotations) -> tuple[list[Row], int]:
    """With those that repeat it: reposts and quotes by others of our accounts, the same words said again. And how many cannot be read."""
    rows, unread = {row["number"]: row for row in posts}, 0
    for row in sql.execute(f"SELECT {post_rows.TEXTS} FROM posts") if quotes.needles else ():  # noqa: S608 - ours
        try:
            whole = (*post_rows.texts(row), row["words"] or "")
        except ValueError:
            unread += row["number"] not in rows
            continue
        if any(needle in text for needle in quotes.needles for text in whole) and quotes.is_repeated_in((*_texts(row), *whole)):
            rows[row["number"]] = sql.execute(f"{_POSTS} WHERE rowid = ?", [row["number"]]).fetchone()
    return [rows[number] for number in sorted(rows)], unread


def _answers(sql: sqlite3.Connection, posts: list[Row], quotes: Quotations) -> list[str]:
    """Every answer in which it stands, also where another post was read by it; and every one of which nobody can say that."""
    ids, own = frozenset(row["id"] for row in posts), {row["evidence"] for row in posts}
    found = []
    for digest, stored in sql.execute("SELECT sha256, body FROM evidence ORDER BY rowid"):
        try:
            body = packing.unpack(stored)
        except packing.DamagedError:
            found.append(digest)
            continue
        if (
            digest in own
            or answer_holds(body, ids)
            or (quotes.stands_in(body) and quotes.is_repeated_in([body.decode("utf-8", "replace")]))
        ):
            found.append(digest)
    return found


def _of_incidents(sql: sqlite3.Connection, rows: Iterable[tuple[str, str, int]]) -> Iterator[int]:
    """The incidents that these rows tell of."""
    column = {"incidents": "id", "pages": "incident", "votes": "incident", "holds": "incident"}
    for table, _, number in rows:
        if table in column:
            yield int(sql.execute(f"SELECT {column[table]} FROM {table} WHERE rowid = ?", [number]).fetchone()[0])  # noqa: S608 - ours
        elif table == "audit":
            said = chain.subject(sql, number)
            given = said.removeprefix(INCIDENT)
            if given.isdecimal() and given != said:
                yield int(given)


def _resting(sql: sqlite3.Connection, registrations: list[int]) -> Iterator[tuple[int, int]]:
    """(registration, incident): which of them the verdict of a post of an incident names."""
    for row in sql.execute(f"{_POSTS} WHERE incident IS NOT NULL AND redacted_at IS NULL") if registrations else ():
        with contextlib.suppress(*post_rows.DAMAGED):  # of one that is damaged nobody knows
            match = post_rows.said(row).verdict["match"]
            yield from ((number, row["incident"]) for number in registrations if number in (match.get("approved"), match.get("nearest")))


def _sharing(sql: sqlite3.Connection, digests: list[str]) -> Iterator[int]:
    """The incidents whose evidence would be gone."""
    query = f"SELECT DISTINCT incident FROM posts WHERE incident IS NOT NULL AND {_AMONG}"  # noqa: S608 - ours
    yield from (row[0] for row in sql.execute(query, [json.dumps(digests)]))


def _rules(sql: sqlite3.Connection, quotes: Quotations) -> int:
    return sum(map(quotes.stands_in, kept_rules.every(sql)))


_AMONG = f"{post_rows.EVIDENCE} IN (SELECT value FROM json_each(?))"  # noqa: S608 - ours


def _users(sql: sqlite3.Connection, digests: list[str]) -> int:
    return int(sql.execute(f"SELECT count(*) FROM posts WHERE {_AMONG}", [json.dumps(digests)]).fetchone()[0])  # noqa: S608 - ours


def _registrations(sql: sqlite3.Connection, posts: list[Row], quotes: Quotations) -> list[int]:
    """Those that these posts used, and those that say the same."""
    found = set[int]()
    for row in posts:
        named = f"approved:{row['account']}:{row['id']}:{row['version']}"
        query = "SELECT id FROM approved WHERE redacted_at IS NULL AND ((account = ? AND used_by IN (?, ?)) OR external_id = ?)"
        found |= {one[0] for one in sql.execute(query, [row["account"], row["root"] or row["id"], row["id"], named])}
    for one in sql.execute("SELECT * FROM approved WHERE redacted_at IS NULL") if quotes.needles else ():
        try:
            said = registered.whole(one)
        except registered.UNREADABLE:  # nobody can say that it does not: it approves nothing
            found.add(one["id"])
            continue
        texts = [said[name] for name in ("text", "links", "alt", "shown", "used_by")]
        together = "\n".join(texts)
        if any(needle in together for needle in quotes.needles) and quotes.is_repeated_in(texts):
            found.add(one["id"])
    return sorted(found)


def _quoting(sql: sqlite3.Connection, incidents: set[int], quotes: Quotations) -> Iterator[tuple[tuple[str, str, int], str]]:
    """Every text that quotes it, and what is left of it. In incidents of it whatever stands in quotation marks is taken for its words."""
    about = ", ".join(map(str, sorted(incidents))) or "NULL"
    theirs = {"incidents": f"id IN ({about})", "pages": f"incident IN ({about})"}
    for table, columns in _COLUMNS.items():
        for column in columns:
            own = theirs.get(table, "0")
            where = " OR ".join([own, *(f"instr({column}, ?{n})" for n in range(1, len(quotes.needles) + 1))])
            query = f"SELECT rowid AS number, {column} AS said, {own} AS own FROM {table} WHERE {column} IS NOT NULL AND ({where})"  # noqa: S608 - ours
            for row in sql.execute(query, quotes.needles).fetchall():
                if (left := _left(column, str(row["said"]), quotes, own=bool(row["own"]))) != row["said"]:
                    yield (table, column, row["number"]), left


def _acts_quoting(
    sql: sqlite3.Connection, incidents: set[int], quotes: Quotations, lost: list[str]
) -> Iterator[tuple[tuple[str, str, int], str]]:
    """The same of acts, most of which are packed. What cannot be read is added to `lost`."""
    subjects = {f"{INCIDENT}{number}" for number in incidents}
    for number, subject, detail in chain.details(sql):
        if detail is None:
            lost.append(subject)
        elif (own := subject in subjects) or any(needle in detail for needle in quotes.needles):
            left = _left("detail", detail, quotes, own=own)
            yield from [(("audit", "detail", number), left)] if left != detail else ()


def _left(column: str, said: str, quotes: Quotations, *, own: bool) -> str:
    if own and column in ("hosts", "skeletons"):
        return "[]"
    left = quotes.without(said)
    return without_quotes(left) if own else left


def _messages(sql: sqlite3.Connection, incidents: set[int]) -> tuple[list[Row], dict[str, int]]:
    """(ours in Slack, how many went by each other route)."""
    about = ", ".join(map(str, sorted(incidents))) or "NULL"
    rows = sql.execute(
        f"SELECT id, incident, route, receipt FROM pages WHERE incident IN ({about}) AND state = 'sent' AND kind NOT IN ('redact', 'runbook')"  # noqa: S608 - ours
    ).fetchall()
    slack = {(row["route"], row["receipt"]): row for row in rows if row["route"].split(":")[0] == "slack" and row["receipt"]}
    elsewhere: dict[str, int] = {}
    for row in rows:
        if row["route"].split(":")[0] != "slack":
            elsewhere[row["route"]] = elsewhere.get(row["route"], 0) + 1
    return list(slack.values()), elsewhere


def _refused(store: Store, found: Found, incidents: set[int], now: datetime) -> Iterator[str]:
    """Why it must stay for now."""
    about = sorted(incidents)
    held = holds.every(store)
    for number in about:
        if hold := held.get(number):
            yield f"INC-{number} is {hold}; first `hijack-monitor incidents release {number}`"
        elif any(one.id == number for one in store.unresolved()):
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
    counts = {table: len({n for t, _, n in found.rows if t == table}) for table in _CALLED}
    store.audit(
        now, who, chain.FORGOTTEN, f"post {identifier}", reason=reason, posts=len(found.posts), ids=ids,
        answers=[a[: redaction.SHORT] for a in found.answers], registrations=found.registrations, messages=len(found.messages),
        changed={table: count for table, count in counts.items() if count}, acts=hashes,
    )  # fmt: skip
