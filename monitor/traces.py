"""Every trace of a post, for whoever has to remove it: its versions, what repeats it, answers, registrations, acts, quotations in our own words.

To go through all of them takes seconds after five years, in which the daemon has to be able to write. So whoever removes them searches
twice: first through everything, and then, with nobody else writing, through what has come or changed since and what was found before.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from monitor import chain, kept_rules, packing, post_rows, record, redaction, registered
from monitor.model import Post, ProfileChange, Stored, Unreadable
from monitor.quotations import SHORTEST, Quotations, without_quotes
from monitor.quotations import holds as answer_holds
from monitor.record import Row
from monitor.sealed import INCIDENT

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
POSTS = f"SELECT {post_rows.COLUMNS} FROM posts"  # noqa: S608 - ours
CALLED = {
    "incidents": "incident(s) quote it", "pages": "page(s) and note(s)", "votes": "vote(s)", "inbox": "click(s) and answer(s) in channels",
    "meta": "thing(s) remembered", "first_sights": "first sight(s)", "silences": "silence(s)", "accounts": "account(s)",
    "oddities": "oddity(s)", "announcements": "announcement(s)", "holds": "hold(s)", "audit": "act(s) in the audit chain",
}  # fmt: skip


class Mark(NamedTuple):
    """Up to where the tables were searched that are too large to be searched while nobody else may write."""

    layout: int  # of the file: rows may have other numbers after a VACUUM
    post: int
    answer: int
    digest: str  # of that answer: the numbers of those that were removed are given again
    revision: int  # of registrations
    act: int


@dataclass(frozen=True, slots=True)
class Found:
    """Every place that holds a post. `rows` are texts to be changed: (table, column, rowid) and what is left there."""

    mark: Mark
    quotes: Quotations
    posts: list[Row]
    answers: list[str]
    users: int  # posts whose answer is gone with it
    registrations: list[int]
    rows: dict[tuple[str, str, int], str]
    messages: list[Row]  # of ours in Slack
    elsewhere: dict[str, int]  # messages by other routes, which nobody can take back
    rules: int  # sets of rules that quote it
    damaged: list[int]  # posts, of which nobody can say whether they quote it
    worded: list[int]  # posts with words read in their pictures, which are read later than the post
    lost: dict[int, str]  # what cannot be read, by the first of its acts
    reasons: dict[tuple[str, str], str]  # why another post was forgotten, and what is left of that
    named: list[tuple[int, int]]  # (registration, post of an incident whose verdict names it)
    incidents: set[int]  # that it stands in, or that rest on something of it
    refused: list[str] = field(default_factory=list)  # why it must not go

    @property
    def short(self) -> bool:
        """Whether a text is too short to be searched for."""
        return any(len(text.strip()) < SHORTEST for row in self.posts for text in _texts(row) if text)

    def lines(self) -> Iterator[str]:
        """What would be changed, a line a place."""
        for row in self.posts:
            incident = f", INC-{row['incident']}" if row["incident"] else ""
            gone = " (its content is gone already)" if row["redacted_at"] else ""
            words = ", with the words read in its pictures" if row["words"] not in (None, "[]") else ""
            yield f"post {redaction.name(row)} of {row['account']}{incident}{words}{gone}"
        if self.answers:
            others = max(0, self.users - sum(row["evidence"] in self.answers for row in self.posts))
            yield f"{len(self.answers)} answer(s) of the platform, evidence of {others} other post(s) as well: only their digests stay"
        if self.registrations:
            yield f"registered post(s) {', '.join(f'#{n}' for n in self.registrations[:20])}, which say the same"
        for table, called in CALLED.items():
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
        if self.damaged:
            yield f"{len(self.damaged)} post(s) that are damaged in the database, so that nobody can say whether they quote it"
        if self.rules:
            yield f"{self.rules} set(s) of rules that quote it: they go when no verdict that is kept was made by them; mend your rule's tests"
        yield from self.lost.values()


def find(sql: sqlite3.Connection, identifier: str, before: Found | None = None) -> Found | None:
    """Everything that holds this post, of whichever account; None when no post has this id. What was found `before` is searched again,
    and what came since. Then `is_overtaken` was asked, in the same transaction.
    """
    with chain.at_once(sql):
        posts = _versions(sql, identifier)
        return _found(sql, posts, before.quotes if before else _quotations(posts), before) if posts else None


def is_overtaken(sql: sqlite3.Connection, identifier: str, before: Found) -> bool:
    """Whether the post says more than was searched for, or rows have other numbers than then: then all has to be searched anew."""
    mark, now = before.mark, _mark(sql)
    there = sql.execute("SELECT sha256 FROM evidence WHERE rowid = ?", [mark.answer]).fetchone()
    moved = mark.layout != now.layout or (mark.answer and (there is None or there[0] != mark.digest))
    return bool(moved) or not _quotations(_versions(sql, identifier)).texts <= before.quotes.texts


def _found(sql: sqlite3.Connection, posts: list[Row], quotes: Quotations, before: Found | None) -> Found:
    mark, damaged, worded, lost, subjects = _mark(sql), list[int](), list[int](), dict[int, str](), set[str]()
    posts = _and_quoting(sql, posts, quotes, before, damaged, worded)
    incidents = {row["incident"] for row in posts if row["incident"]}
    gone = _answers(sql, posts, quotes, before)
    registrations = _registrations(sql, posts, quotes, before)
    rows = dict(_quoting(sql, incidents, quotes)) | dict(_acts_quoting(sql, incidents, quotes, before, lost, subjects))
    incidents |= set(_of_incidents(sql, rows)) | set(_numbers(subjects))
    messages, elsewhere = _messages(sql, incidents)
    named = _named(sql, before)
    incidents |= set(_resting(sql, registrations, named)) | set(_sharing(sql, gone))
    rules = before.rules if before else sum(map(quotes.stands_in, kept_rules.every(sql)))
    return Found(
        mark, quotes, posts, gone, _users(sql, gone, before), registrations, rows, messages, elsewhere, rules, damaged, worded, lost,
        dict(_reasons(sql, quotes)), named, incidents,
    )  # fmt: skip


def _mark(sql: sqlite3.Connection) -> Mark:
    layout = sql.execute("PRAGMA schema_version").fetchone()[0]
    post, act = (sql.execute(f"SELECT coalesce(max(rowid), 0) FROM {table}").fetchone()[0] for table in ("posts", "audit"))  # noqa: S608 - ours
    answer, digest = sql.execute("SELECT rowid, sha256 FROM evidence ORDER BY rowid DESC LIMIT 1").fetchone() or (0, "")
    revision = int(sql.execute("SELECT value FROM meta WHERE key = 'revision'").fetchone()[0])
    return Mark(layout, post, answer, digest, revision, act)


_ACCOUNTS = (  # each by one look into an index; DISTINCT would go through all of it
    "WITH RECURSIVE accounts_of_posts(account) AS (SELECT min(account) FROM posts UNION ALL"
    " SELECT (SELECT min(account) FROM posts p WHERE p.account > a.account) FROM accounts_of_posts a WHERE a.account IS NOT NULL)"
)


def _versions(sql: sqlite3.Connection, identifier: str) -> list[Row]:
    """A post by the id of any of its versions."""
    query = f"{_ACCOUNTS} {POSTS} WHERE account IN (SELECT account FROM accounts_of_posts) AND id = ?"  # noqa: S608 - ours
    found = sql.execute(query, [identifier]).fetchall()
    rows: dict[int, Row] = {row["number"]: row for row in found}
    for account, root in {(row["account"], row["root"] or identifier) for row in found} | {(row["account"], identifier) for row in found}:
        rows |= {row["number"]: row for row in sql.execute(f"{POSTS} WHERE {post_rows.VERSIONS}", [account, root])}
    return [rows[number] for number in sorted(rows)]


def _quotations(posts: list[Row]) -> Quotations:
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


def _and_quoting(
    sql: sqlite3.Connection, posts: list[Row], quotes: Quotations, before: Found | None, damaged: list[int], worded: list[int]
) -> list[Row]:
    """With those that repeat it: reposts and quotes by others of our accounts, the same words said again. Those that cannot be read are
    added to `damaged`, and to `worded` those with words.
    """
    rows, where, changed = {row["number"]: row for row in posts}, "", list[object]()
    if before:
        where = f"WHERE rowid IN ({_CHANGED})"
        changed = [before.mark.post, json.dumps(before.damaged), json.dumps(before.worded)]
        for row in before.posts:
            rows[row["number"]] = _post(sql, row["number"])
    for row in sql.execute(f"SELECT {post_rows.TEXTS} FROM posts {where}", changed) if quotes.needles else ():  # noqa: S608 - ours
        number, words = row["number"], row["words"] or "[]"
        worded += [number] if words != "[]" else []
        try:
            whole = (*post_rows.texts(row), words)
        except ValueError:
            damaged += [number] if number not in rows else []
            continue
        if any(needle in text for needle in quotes.needles for text in whole) and quotes.is_repeated_in((*_texts(row), *whole)):
            rows[number] = _post(sql, number)
    return [rows[number] for number in sorted(rows)]


def _post(sql: sqlite3.Connection, number: int) -> Row:
    row: Row = sql.execute(f"{POSTS} WHERE rowid = ?", [number]).fetchone()
    return row


_CHANGED = (  # posts that came since, those that could not be read, and those whose pictures were read since
    "SELECT rowid FROM posts WHERE rowid > ?1 UNION ALL SELECT value FROM json_each(?2) UNION ALL"
    " SELECT rowid FROM posts WHERE incident IS NOT NULL AND words != '[]' AND rowid NOT IN (SELECT value FROM json_each(?3))"
)


def _answers(sql: sqlite3.Connection, posts: list[Row], quotes: Quotations, before: Found | None) -> list[str]:
    """Every answer in which it stands, also where another post was read by it; and every one of which nobody can say that."""
    ids, known = frozenset(row["id"] for row in posts), {row["evidence"] for row in posts}
    where, changed, found = "", list[object](), list[str]()
    if before:
        those = "SELECT rowid FROM evidence WHERE rowid > ? UNION ALL SELECT rowid FROM evidence WHERE sha256 IN (SELECT value FROM json_each(?))"
        known.update(before.answers)  # by the digest of what it says: it says the same still
        where, changed = f"WHERE rowid IN ({those})", [before.mark.answer, json.dumps([*known])]
    for digest, stored in sql.execute(f"SELECT sha256, body FROM evidence {where} ORDER BY rowid", changed):  # noqa: S608 - ours
        if digest in known or _holds(stored, ids, quotes):
            found.append(digest)
    return found


def _holds(stored: bytes, ids: frozenset[str], quotes: Quotations) -> bool:
    try:
        body = packing.unpack(stored)
    except packing.DamagedError:
        return True
    return answer_holds(body, ids) or (quotes.stands_in(body) and quotes.is_repeated_in([body.decode("utf-8", "replace")]))


def _of_incidents(sql: sqlite3.Connection, rows: Iterable[tuple[str, str, int]]) -> Iterator[int]:
    """The incidents that these rows tell of; not of acts, see `_numbers`."""
    column = {"incidents": "id", "pages": "incident", "votes": "incident", "holds": "incident"}
    for table, _, number in rows:
        if table in column:
            yield int(sql.execute(f"SELECT {column[table]} FROM {table} WHERE rowid = ?", [number]).fetchone()[0])  # noqa: S608 - ours


def _numbers(subjects: Iterable[str]) -> Iterator[int]:
    """The incidents among what acts are about."""
    for said in subjects:
        given = said.removeprefix(INCIDENT)
        if given.isdecimal() and given != said:
            yield int(given)


def _named(sql: sqlite3.Connection, before: Found | None) -> list[tuple[int, int]]:
    """(registration, post): which of them the verdict of a post of an incident names."""
    named, where = (before.named[:], f"AND rowid > {before.mark.post}") if before else ([], "")
    query = f"SELECT {post_rows.TEXTS} FROM posts WHERE incident IS NOT NULL AND redacted_at IS NULL {where}"  # noqa: S608 - ours
    for row in sql.execute(query):
        with contextlib.suppress(*post_rows.DAMAGED):  # of one that is damaged nobody knows
            match = post_rows.said(row).verdict["match"]
            named += [(number, row["number"]) for number in (match.get("approved"), match.get("nearest")) if number]
    return named


def _resting(sql: sqlite3.Connection, registrations: list[int], named: list[tuple[int, int]]) -> Iterator[int]:
    """The incidents with a verdict that names one of them."""
    posts = [post for number, post in named if number in registrations]
    query = "SELECT DISTINCT incident FROM posts WHERE rowid IN (SELECT value FROM json_each(?)) AND incident IS NOT NULL AND redacted_at IS NULL"
    yield from (row[0] for row in sql.execute(query, [json.dumps(posts)]))


def _sharing(sql: sqlite3.Connection, digests: list[str]) -> Iterator[int]:
    """The incidents whose evidence would be gone."""
    query = "SELECT incident FROM posts WHERE {} = ? AND incident IS NOT NULL AND redacted_at IS NULL"
    for digest in digests:
        for column, value in (("answer", post_rows.raw(digest)), ("evidence", digest)):
            yield from (row[0] for row in sql.execute(query.format(column), [value]))


_AMONG = f"{post_rows.EVIDENCE} IN (SELECT value FROM json_each(?))"  # noqa: S608 - ours


def _users(sql: sqlite3.Connection, digests: list[str], before: Found | None) -> int:
    known, since = (before.users, before.mark.post) if before else (0, 0)
    query = f"SELECT count(*) FROM posts WHERE rowid > ? AND {_AMONG}"  # noqa: S608 - ours
    return known + int(sql.execute(query, [since, json.dumps(digests)]).fetchone()[0])


def _registrations(sql: sqlite3.Connection, posts: list[Row], quotes: Quotations, before: Found | None) -> list[int]:
    """Those that these posts used, and those that say the same."""
    where, changed, found = "redacted_at IS NULL", list[object](), set[int]()
    if before:
        where += " AND id IN (SELECT id FROM approved WHERE revision > ? UNION ALL SELECT value FROM json_each(?))"
        changed = [before.mark.revision, json.dumps(before.registrations)]
    users = {(row["account"], one) for row in posts for one in (row["root"] or row["id"], row["id"])}
    named = {f"approved:{row['account']}:{row['id']}:{row['version']}" for row in posts}
    needles = registered.escaped(quotes.needles)
    for one in sql.execute(f"SELECT * FROM approved WHERE {where}", changed):  # noqa: S608 - ours
        if (one["account"], one["used_by"]) in users or one["external_id"] in named:
            found.add(one["id"])
            continue
        try:
            if quotes.needles and registered.may_say(one, needles) and quotes.is_repeated_in(_planned(one)):
                found.add(one["id"])
        except registered.UNREADABLE:  # nobody can say that it does not: it approves nothing
            found.add(one["id"])
    return sorted(found)


def _planned(row: Row) -> list[str]:
    said = registered.whole(row)
    return [said[name] for name in ("text", "links", "alt", "shown", "used_by")]


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
    sql: sqlite3.Connection, incidents: set[int], quotes: Quotations, before: Found | None, lost: dict[int, str], subjects: set[str]
) -> Iterator[tuple[tuple[str, str, int], str]]:
    """The same of acts, most of which are packed. What cannot be read is added to `lost`, and what they are about to `subjects`."""
    about = {f"{INCIDENT}{number}" for number in incidents}
    again = {number for table, _, number in before.rows if table == "audit"} | before.lost.keys() if before else set()
    acts = chain.details(sql, before.mark.act, again | chain.places(sql, about)) if before else chain.details(sql)
    for number, subject, detail in acts:
        if detail is None:
            lost[number] = subject
            continue
        own = subject in about
        left = _left("detail", detail, quotes, own=own) if own or any(needle in detail for needle in quotes.needles) else detail
        if left != detail:
            subjects.add(subject)
            yield ("audit", "detail", number), left


def _reasons(sql: sqlite3.Connection, quotes: Quotations) -> Iterator[tuple[tuple[str, str], str]]:
    for account, identifier, why in sql.execute("SELECT account, id, reason FROM forgotten"):
        if (left := quotes.without(why)) != why:
            yield (account, identifier), left


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
