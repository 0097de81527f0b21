"""The one SQLite file. Everything that must survive is here, and every act has its audit row.

Callers group writes with `transaction()`; the methods below it only run statements. Two processes
may have the file open (the daemon and the command line): `BEGIN IMMEDIATE` makes them take turns.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from monitor import record
from monitor.model import NO_CONTEXT, ApprovedPost, Context, Incident, Item, Kind, Page, PageKind, Post, Profile, ProfileChange, Verdict
from monitor.record import stamp
from monitor.schema import connect
from monitor.verdict.habits import Habits

LAST_RESORT = "stderr"
REMEMBERED = timedelta(days=120)  # of a registration, after its window: longer than it explains pages (see verdict.approved)
UNFINISHED = "('ready', 'sending', 'unknown')"


@dataclass(frozen=True, slots=True)
class Kept:
    """A post as it was written down: what was seen, when, and what was decided."""

    post: Item
    verdict: Verdict
    seen_at: datetime
    incident: int | None
    baseline: bool
    deleted_at: datetime | None
    rulebook: str
    evidence: str | None
    context: Context = NO_CONTEXT


class Store:
    """The file at `path`, created when absent. Raises sqlite3.Error; a full disk is one of those."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sql = connect(path)
        self.install = str(self.sql.execute("SELECT value FROM meta WHERE key = 'install'").fetchone()[0])

    def close(self) -> None:
        """Close the file; the WAL is folded in by the last one out."""
        self.sql.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing. Nested use joins the outer one."""
        if self.sql.in_transaction:
            yield
            return
        self.sql.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self.sql.in_transaction:
                self.sql.execute("ROLLBACK")
            raise
        self.sql.execute("COMMIT")

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part of a transaction that can fail alone."""
        self.sql.execute("SAVEPOINT item")
        try:
            yield
        except BaseException:
            if self.sql.in_transaction:  # a full disk has already rolled everything back
                self.sql.execute("ROLLBACK TO item")
                self.sql.execute("RELEASE item")
            raise
        self.sql.execute("RELEASE item")

    # --- accounts ------------------------------------------------------------------------------

    def account(self, key: str, handle: str) -> sqlite3.Row:
        """The account's row, made when it is new."""
        row: sqlite3.Row | None = self.sql.execute("SELECT * FROM accounts WHERE key = ?", [key]).fetchone()
        if row is not None:
            return row
        self.sql.execute("INSERT INTO accounts(key, handle) VALUES(?, ?)", [key, handle])
        return self.account(key, handle)

    def pinned(self, platform: str, handle: str) -> str | None:
        """The id that a handle was resolved to when it was first watched."""
        row = self.sql.execute("SELECT value FROM meta WHERE key = ?", [f"pin:{platform}:{handle.lower()}"]).fetchone()
        return row[0] if row else None

    def pin(self, platform: str, handle: str, identifier: str) -> None:
        """Remember the id for ever: handles change hands in hijacks."""
        self.sql.execute("INSERT INTO meta VALUES(?, ?)", [f"pin:{platform}:{handle.lower()}", identifier])

    def read_ok(self, key: str, now: datetime, cursor: str) -> None:
        """The account was read up to `cursor`."""
        self.sql.execute(
            "UPDATE accounts SET last_ok = ?, cursor = ?, first_seen = coalesce(first_seen, ?), failing_since = NULL,"
            " failures = 0, last_error = NULL, error_kind = NULL WHERE key = ?",
            [stamp(now), cursor, stamp(now), key],
        )

    def read_failed(self, key: str, now: datetime, kind: str, error: str) -> None:
        """The account could not be read; the cursor stays."""
        self.sql.execute(
            "UPDATE accounts SET failures = failures + 1, failing_since = coalesce(failing_since, ?), last_error = ?,"
            " error_kind = ? WHERE key = ?",
            [stamp(now), error, kind, key],
        )

    def profile(self, key: str) -> Profile | None:
        """The profile last seen."""
        row = self.sql.execute("SELECT profile FROM accounts WHERE key = ?", [key]).fetchone()
        return record.profile(row[0]) if row and row[0] else None

    def keep_profile(self, profile: Profile) -> None:
        """What the account looks like now."""
        self.sql.execute(
            "UPDATE accounts SET profile = ?, handle = ? WHERE key = ?",
            [record.dump(profile), profile.handle, profile.account],
        )

    # --- posts and evidence ----------------------------------------------------------------------

    def keep_evidence(self, body: bytes, now: datetime) -> str:
        """The answer as received; returns its SHA-256."""
        digest = hashlib.sha256(body).hexdigest()
        self.sql.execute("INSERT OR IGNORE INTO evidence VALUES(?, ?, ?)", [digest, stamp(now), body])
        return digest

    def knows(self, item: Item) -> bool:
        """Whether this version of this post was already judged."""
        key = [item.account, item.id, _version(item)]
        found = self.sql.execute("SELECT 1 FROM posts WHERE account = ? AND id = ? AND version = ?", key)
        return found.fetchone() is not None

    def keep_post(self, kept: Kept) -> None:
        """Write a judged post down. An id already known raises sqlite3.IntegrityError."""
        item = kept.post
        kind = item.kind if isinstance(item, Post) else Kind.PROFILE if isinstance(item, ProfileChange) else "unreadable"
        self.sql.execute(
            "INSERT INTO posts(account, id, version, kind, created_at, seen_at, post, severity, verdict, rulebook,"
            " evidence, baseline, incident, context) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [item.account, item.id, _version(item), str(kind), stamp(item.created_at), stamp(kept.seen_at), record.dump(item),
             int(kept.verdict.severity), record.dump_verdict(kept.verdict), kept.rulebook, kept.evidence,
             kept.baseline, kept.incident, record.dump_context(kept.context)],
        )  # fmt: skip

    def posts(self, where: str = "1", args: tuple[object, ...] = (), limit: int = 1000) -> list[Kept]:
        """Posts that satisfy a condition of ours (never of a user's), oldest first."""
        query = f"SELECT * FROM posts WHERE {where} ORDER BY created_at, length(id), id LIMIT ?"  # noqa: S608 - ours
        return [_kept(row) for row in self.sql.execute(query, [*args, limit])]

    def keep_words(self, post: Post, lines: list[str]) -> None:
        """What was read in the pictures of a post; an empty list means that nothing was."""
        words = json.dumps(lines, ensure_ascii=False)
        self.sql.execute(
            "UPDATE posts SET words = ? WHERE account = ? AND id = ? AND version = ?", [words, post.account, post.id, post.version]
        )

    def told(self, incident: int) -> list[Kept]:
        """The posts of an incident that a message can show: the first ten and the newest forty."""
        where = (
            "incident = ? AND rowid IN (SELECT rowid FROM (SELECT rowid FROM posts WHERE incident = ? ORDER BY rowid LIMIT 10)"
            " UNION SELECT rowid FROM (SELECT rowid FROM posts WHERE incident = ? ORDER BY rowid DESC LIMIT 40))"
        )
        return self.posts(where, (incident, incident, incident))

    def deleted(self, account: str, identifier: str, now: datetime) -> int | None:
        """Note that a post is gone; returns its incident the first time."""
        row = self.sql.execute(
            "UPDATE posts SET deleted_at = ? WHERE account = ? AND id = ? AND deleted_at IS NULL RETURNING incident",
            [stamp(now), account, identifier],
        ).fetchone()
        return row[0] if row else None

    # --- habits ----------------------------------------------------------------------------------

    def habits(self, account: str) -> Habits:
        """What the account usually does; empty while nothing was learned."""
        row = self.sql.execute("SELECT habits FROM accounts WHERE key = ?", [account]).fetchone()
        return record.habits(row[0]) if row and row[0] else Habits({})

    def keep_habits(self, account: str, habits: Habits) -> None:
        """Write them down."""
        self.sql.execute("UPDATE accounts SET habits = ? WHERE key = ?", [record.dump_habits(habits), account])

    # --- registrations ---------------------------------------------------------------------------

    def revise(self) -> int:
        """The next revision number; every change of a registration takes one."""
        row = self.sql.execute("UPDATE meta SET value = value + 1 WHERE key = 'revision' RETURNING value").fetchone()
        return int(row[0])

    def approved_since(self, revision: int, now: datetime) -> tuple[list[ApprovedPost], int]:
        """Registrations changed after `revision` whose window is not long over, and the newest revision."""
        query = "SELECT * FROM approved WHERE revision > ? AND not_after >= ? ORDER BY revision"
        rows = self.sql.execute(query, [revision, stamp(now - REMEMBERED)]).fetchall()
        return [record.approved(r) for r in rows], rows[-1]["revision"] if rows else revision

    def queue_as_of(self, kept: Kept) -> list[ApprovedPost]:
        """The registrations as they stood when a post was judged: made before, not yet used by a
        later post, not yet withdrawn. What makes a verdict recomputable.
        """
        row = self.sql.execute(
            "SELECT rowid FROM posts WHERE account = ? AND id = ? AND version = ?",
            [kept.post.account, kept.post.id, _version(kept.post)],
        ).fetchone()
        rows = self.sql.execute(
            "SELECT *, (SELECT min(p.rowid) FROM posts p WHERE p.account = a.account AND p.id = a.used_by) AS user"
            " FROM approved a WHERE created_at <= ? AND not_after >= ?",
            [stamp(kept.seen_at), stamp(kept.seen_at - REMEMBERED)],
        ).fetchall()
        out = []
        for r in rows:
            one = record.approved(r)
            before = r["user"] < row[0] if r["user"] else bool(one.used_at and one.used_at < kept.seen_at)
            gone = one.withdrawn_at if one.withdrawn_at and one.withdrawn_at <= kept.seen_at else None
            out.append(replace(one, withdrawn_at=gone, used_by=one.used_by if before else ""))
        return out

    def consume(self, approved: int, root_id: str, when: datetime) -> None:
        """One approval, one post."""
        self.sql.execute(
            "UPDATE approved SET used_by = ?, used_at = ?, revision = ? WHERE id = ? AND used_by = ''",
            [root_id, stamp(when), self.revise(), approved],
        )

    # --- incidents -------------------------------------------------------------------------------

    def incident(self, identifier: int) -> Incident | None:
        """By number."""
        row = self.sql.execute("SELECT * FROM incidents WHERE id = ?", [identifier]).fetchone()
        return record.incident(row) if row else None

    def unresolved(self) -> tuple[Incident, ...]:
        """Open and acknowledged ones, oldest first."""
        rows = self.sql.execute("SELECT * FROM incidents WHERE state != 'resolved' ORDER BY id").fetchall()
        return tuple(record.incident(r) for r in rows)

    def incidents(self, limit: int = 1000) -> tuple[Incident, ...]:
        """The newest ones first."""
        rows = self.sql.execute("SELECT * FROM incidents ORDER BY id DESC LIMIT ?", [limit]).fetchall()
        return tuple(record.incident(r) for r in rows)

    def last_resolved(self, subject: str) -> Incident | None:
        """The newest resolved incident of a subject."""
        row = self.sql.execute(
            "SELECT * FROM incidents WHERE subject = ? AND state = 'resolved' ORDER BY id DESC LIMIT 1", [subject]
        ).fetchone()
        return record.incident(row) if row else None

    def save_incident(self, one: Incident) -> int:
        """Insert (id 0) or update; returns the id. A second open one per subject is refused by the index."""
        columns = record.incident_row(one)
        if one.id:
            changes = ", ".join(f"{c} = ?" for c in columns)
            self.sql.execute(f"UPDATE incidents SET {changes} WHERE id = ?", [*columns.values(), one.id])  # noqa: S608
            return one.id
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        statement = f"INSERT INTO incidents({names}) VALUES({marks})"
        return int(self.sql.execute(statement, list(columns.values())).lastrowid or 0)

    def last_sent(self, incident: int, kind: PageKind) -> datetime | None:
        """When a page of this kind last reached a channel."""
        row = self.sql.execute("SELECT max(sent_at) FROM pages WHERE incident = ? AND kind = ?", [incident, kind.value]).fetchone()
        return record.moment(row[0])

    # --- pages -----------------------------------------------------------------------------------

    def enqueue(
        self, incident: int, route: str, kind: PageKind, reason: str, now: datetime,
        mentions: tuple[str, ...] = (), next_at: datetime | None = None, fallback_at: datetime | None = None,
        key: str = "",
    ) -> None:  # fmt: skip
        """Write a page down. A waiting NOTE or SYNC that nobody tried yet says the new thing too."""
        if kind in (PageKind.NOTE, PageKind.SYNC) and self._merged(incident, route, kind, reason, next_at or now):
            return
        ignore = "OR IGNORE" if key else ""  # only a fallback is asked for again and again
        number = self.sql.execute("SELECT count(*) FROM pages WHERE incident = ?", [incident]).fetchone()[0]
        key = key or f"{self.install}:inc{incident}:{kind}:{number}:{route}"
        self.sql.execute(
            f"INSERT {ignore} INTO pages(key, incident, route, kind, reason, mentions, created_at, next_at,"
            " fallback_at) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [key, incident, route, kind.value, reason, json.dumps(mentions), stamp(now), stamp(next_at or now),
             stamp(fallback_at)],
        )  # fmt: skip

    def _merged(self, incident: int, route: str, kind: PageKind, reason: str, next_at: datetime) -> bool:
        found = self.sql.execute(
            "UPDATE pages SET reason = CASE WHEN instr(reason, ?) OR length(reason) > 600 THEN reason"
            " ELSE reason || '; ' || ? END, next_at = min(next_at, ?) WHERE incident = ? AND route = ? AND kind = ? AND state = 'ready'"
            " AND attempts = 0 RETURNING id",
            [reason, reason, stamp(next_at), incident, route, kind.value],
        ).fetchone()
        return found is not None

    def lanes(self, now: datetime) -> list[Page]:
        """The page that may go next of every (incident, route), the loudest first.

        One at a time per lane, and nothing before its root: that keeps the order in which people
        read. A note that waits for more posts holds up no page.
        """
        lanes: dict[tuple[int, str], list[Page]] = {}
        for row in self.sql.execute(f"SELECT * FROM pages WHERE state IN {UNFINISHED} ORDER BY id"):  # noqa: S608 - ours
            page = record.page(row)
            lanes.setdefault((page.incident, page.route), []).append(page)
        heads = [head for pages in lanes.values() if (head := _head(pages, now))]
        return sorted(heads, key=lambda p: (_LOUDNESS[p.kind], p.id))

    def undelivered(self) -> list[Page]:
        """Every page that should wake or tell somebody and has not reached its channel."""
        rows = self.sql.execute(f"SELECT * FROM pages WHERE state IN {UNFINISHED} AND kind != 'sync' ORDER BY id")  # noqa: S608
        return [record.page(r) for r in rows]

    def pages_of(self, incident: int) -> list[Page]:
        """All pages of an incident, in order."""
        rows = self.sql.execute("SELECT * FROM pages WHERE incident = ? ORDER BY id", [incident])
        return [record.page(r) for r in rows]

    def receipt(self, incident: int, route: str) -> str:
        """Where the incident's thread is at the channel, or an empty string."""
        row = self.sql.execute(
            "SELECT receipt FROM pages WHERE incident = ? AND route = ? AND kind = 'root' AND state = 'sent' ORDER BY id DESC LIMIT 1",
            [incident, route],
        ).fetchone()
        return row[0] if row else ""

    def set_page(self, page: int, was: tuple[str, ...], state: str, **columns: object) -> bool:
        """Move a page on if it is still where we think; times are stamped. False when it is not."""
        values = {c: stamp(v) if isinstance(v, datetime) else v for c, v in columns.items()}
        changes = "".join(f", {c} = ?" for c in values)
        marks = ", ".join("?" * len(was))
        done = self.sql.execute(
            f"UPDATE pages SET state = ?{changes} WHERE id = ? AND state IN ({marks})",  # noqa: S608 - our own names
            [state, *values.values(), page, *was],
        )
        return done.rowcount == 1

    def cancel_repeats(self, incident: int) -> None:
        """Somebody has it: what would have woken people again and has not been sent is not sent any more."""
        self.sql.execute(
            "UPDATE pages SET state = 'superseded' WHERE incident = ? AND kind = 'repeat' AND state IN ('ready', 'unknown')", [incident]
        )

    def crashed_sends(self, now: datetime) -> int:
        """At start, whatever was being sent has an unknown outcome. Returns how many."""
        done = self.sql.execute(
            "UPDATE pages SET state = 'unknown', looks = 0, next_at = ? WHERE state = 'sending'",
            [stamp(now + timedelta(seconds=1))],
        )
        return done.rowcount

    def note_posts(self, incident: int, page: int) -> list[Kept]:
        """The posts that this NOTE tells of: those no note told yet, now claimed by it."""
        root = self.sql.execute("SELECT min(rowid) FROM posts WHERE incident = ?", [incident]).fetchone()[0]
        told_by_root = "kind = 'profile' AND seen_at = (SELECT opened_at FROM incidents i WHERE i.id = posts.incident)"
        self.sql.execute(
            f"UPDATE posts SET note = ? WHERE incident = ? AND note IS NULL AND rowid != ? AND NOT ({told_by_root})",  # noqa: S608 - ours
            [page, incident, root],
        )
        return self.posts("incident = ? AND note = ?", (incident, page))

    # --- rulebooks and audit -----------------------------------------------------------------------

    def keep_rulebook(self, digest: str, context: str, now: datetime) -> None:
        """The rules, company and policy that verdicts from now on refer to."""
        self.sql.execute("INSERT OR IGNORE INTO rulebooks VALUES(?, ?, ?)", [digest, stamp(now), context])

    def audit(self, at: datetime, actor: str, action: str, subject: str, **detail: object) -> None:
        """Append to the chain: each row carries the hash of the one before it."""
        last = self.sql.execute("SELECT hash FROM audit ORDER BY id DESC LIMIT 1").fetchone()
        row = [stamp(at), actor, action, subject, json.dumps(detail, ensure_ascii=False, default=str, sort_keys=True)]
        previous = last[0] if last else ""
        self.sql.execute(
            "INSERT INTO audit(at, actor, action, subject, detail, previous, hash) VALUES(?, ?, ?, ?, ?, ?, ?)",
            [*row, previous, _link(previous, row)],
        )

    def broken_audit(self) -> int | None:
        """The first audit row that was changed or whose predecessor was, or None."""
        previous = ""
        for row in self.sql.execute("SELECT * FROM audit ORDER BY id"):
            fields = [row[c] for c in ("at", "actor", "action", "subject", "detail")]
            if row["previous"] != previous or row["hash"] != _link(previous, fields):
                return int(row["id"])
            previous = row["hash"]
        return None


_LOUDNESS = {PageKind.ROOT: 0, PageKind.REPEAT: 1, PageKind.NOTE: 2, PageKind.SYNC: 3}


def _head(pages: list[Page], now: datetime) -> Page | None:
    """Of one lane's unfinished pages, in order of writing: the one to move on now, if any."""
    busy = next((p for p in pages if p.state != "ready"), None)
    root = next((p for p in pages if p.kind is PageKind.ROOT), None)
    if busy or root:
        first = busy or root
        return first if first and (first.next_at is None or first.next_at <= now) else None
    due = [p for p in pages if p.next_at is None or p.next_at <= now]
    return min(due, key=lambda p: (p.kind is not PageKind.REPEAT, p.id), default=None)


def _version(item: Item) -> int:
    return item.version if isinstance(item, Post) else 1


def _link(previous: str, fields: list[str | None]) -> str:
    return hashlib.sha256(json.dumps([previous, *fields], ensure_ascii=False).encode()).hexdigest()


def _kept(row: sqlite3.Row) -> Kept:
    seen = record.moment(row["seen_at"])
    assert seen is not None  # NOT NULL in the schema
    return Kept(
        record.item(row["post"]), record.verdict(row["verdict"]), seen, row["incident"], bool(row["baseline"]),
        record.moment(row["deleted_at"]), row["rulebook"], row["evidence"], record.context(row["context"]),
    )  # fmt: skip
