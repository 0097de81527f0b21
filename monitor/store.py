"""The one SQLite file. Everything that must survive is here, and every act has its audit row.

Callers group writes with `transaction()`; the methods below it only run statements. Two processes
may have the file open (the daemon and the command line): `BEGIN IMMEDIATE` makes them take turns.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from monitor import answers, chain, kept_rules, numbering, post_rows, record
from monitor.announcements import Announcements
from monitor.connection import OpenFiles, is_busy
from monitor.damage import Damage
from monitor.database import PATIENT, connect
from monitor.hits import Hits
from monitor.model import (
    Incident,
    Item,
    Post,
    Profile,
    Redacted,
    Silence,
    Stored,
    Unreadable,
)
from monitor.pages import Pages
from monitor.post_rows import Kept
from monitor.record import stamp
from monitor.registrations import Registrations
from monitor.verdict.habits import Habits

GAP = timedelta(seconds=60)  # between two reads; longer is told of
OF_THE_DAEMON = 250  # milliseconds that its event loop waits for whoever writes
A_TURN = 0.002  # seconds after each transaction of a command: SQLite has no queue, and the daemon asks every few milliseconds at most
HELD = 500  # milliseconds: nothing of ours writes for so long
IMPATIENT = 50  # milliseconds, for whoever did not let go meanwhile


class Store:
    """The file at `path`, created when absent. Raises sqlite3.Error; a full disk is one of those. A write waits `patience` ms."""

    def __init__(self, path: Path, patience: int = PATIENT) -> None:
        self.path = path
        self.sql = connect(path, patience)
        self.files = OpenFiles(path)
        self._patience = self._waits = patience
        self.install = str(self.sql.execute("SELECT value FROM meta WHERE key = 'install'").fetchone()[0])
        self.damage = Damage()
        self.name_pages()
        self.registrations = Registrations(self.sql, self.damage)
        self.announcements = Announcements(self.sql, self.damage)
        self.hits = Hits(self.sql)

    def name_pages(self) -> None:
        """By the name that is kept now."""
        self.pages = Pages(self.sql, numbering.page_keys(self.sql))

    def close(self) -> None:
        """Close the file; the WAL is folded in by the last one out."""
        self.sql.close()

    def unusable(self) -> str:
        """Why nothing that is written here can be relied on any more, or an empty string."""
        return str(self.sql.fault or "") or self.files.changed()

    def is_held(self) -> bool:
        """Whether another process lets nobody write."""
        try:
            self._wait(min(self._patience, HELD))
            with self.transaction():
                pass
        except sqlite3.Error as error:
            return is_busy(error)
        return False

    def malformed(self, seconds: float) -> str:
        """What a look at every page finds wrong, or an empty string; also when it was not done within so many seconds."""
        until = time.monotonic() + seconds
        self.sql.set_progress_handler(lambda: time.monotonic() > until, 10_000)
        try:
            found = str(self.sql.execute("PRAGMA quick_check(1)").fetchone()[0])
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            return ""
        finally:
            self.sql.set_progress_handler(None, 0)
        return "" if found == "ok" else found

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing. Nested use joins the outer one."""
        if self.sql.in_transaction:
            yield
            return
        self._begin()
        try:
            yield
            self.sql.execute("COMMIT")
            if self._patience > OF_THE_DAEMON:
                time.sleep(A_TURN)
        except BaseException:  # a commit that failed too: the next transaction must not join this one
            if self.sql.in_transaction:
                self.sql.execute("ROLLBACK")
            raise

    def _begin(self) -> None:
        """Whoever holds the database for long is asked often and not waited for: the loop must go on meanwhile."""
        try:
            self.sql.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            if is_busy(error):
                self._wait(IMPATIENT)
            raise
        self._wait(self._patience)

    def _wait(self, milliseconds: int) -> None:
        if milliseconds != self._waits:
            self._waits = milliseconds
            self.sql.execute(f"PRAGMA busy_timeout={milliseconds}")

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

    def read_ok(self, key: str, now: datetime, cursor: str, missed: str = "") -> None:
        """The account was read up to `cursor`; `missed` says what of it is still to come. A gap before it is remembered."""
        self.sql.execute(
            "UPDATE accounts SET gap_from = CASE WHEN failures > 0 OR last_ok IS NULL OR last_ok < ? THEN coalesce(last_ok, known_since)"
            " ELSE gap_from END, gap_to = CASE WHEN failures > 0 OR last_ok IS NULL OR last_ok < ? THEN ? ELSE gap_to END, missed = ?, last_ok = ?, cursor = ?,"
            " first_seen = coalesce(first_seen, ?), failing_since = NULL, failures = 0, good = good + 1, last_error = NULL,"
            " error_kind = NULL WHERE key = ?",
            [stamp(now - GAP), stamp(now - GAP), stamp(now), missed, stamp(now), cursor, stamp(now), key],
        )

    def read_failed(self, key: str, now: datetime, kind: str, error: str, begun: datetime) -> None:
        """The account could not be read; the cursor stays. One that was never read is watched from when its first try began."""
        self.sql.execute(
            "UPDATE accounts SET failures = failures + 1, good = 0, failing_since = coalesce(failing_since, ?), last_error = ?,"
            " error_kind = ?, known_since = CASE WHEN first_seen IS NULL THEN coalesce(known_since, ?) ELSE known_since END WHERE key = ?",
            [stamp(now), error, kind, stamp(begun), key],
        )

    def tried(self, key: str, since: datetime) -> None:
        """We have wanted to read the account since then and could not: what was posted after that was not there before us."""
        where = "key = ? AND first_seen IS NULL AND (known_since IS NULL OR known_since > ?)"
        self.sql.execute(f"UPDATE accounts SET known_since = ? WHERE {where}", [stamp(since), key, stamp(since)])  # noqa: S608 - ours

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
        """An answer of a platform; returns its SHA-256."""
        return answers.keep(self.sql, body, now)

    def evidence(self, digest: str | None) -> bytes | None:
        """It again; None where there is none that can be read."""
        return answers.get(self.sql, digest) if digest else None

    def knows(self, item: Item) -> bool:
        """Whether this version of this post was already judged."""
        key = [item.account, item.id, self._version(item)]
        found = self.sql.execute("SELECT 1 FROM posts WHERE account = ? AND id = ? AND version = ?", key)
        return found.fetchone() is not None

    def keep_post(self, kept: Kept) -> None:
        """Write a judged post down. An id already known raises sqlite3.IntegrityError."""
        assert not isinstance(kept.post, Redacted)
        item, version = kept.post, self._version(kept.post)
        item = replace(item, version=version) if isinstance(item, Unreadable) else item
        said = post_rows.add(self.sql, replace(kept, post=item), version)
        self.hits.count(item.account, kept.verdict, kept.seen_at, baseline=kept.baseline)
        self.audit(kept.seen_at, "monitor", "post judged", f"{item.account}/{item.id}", version=version, sha256=said)

    def _version(self, item: Item) -> int:
        """Its number. An unreadable post says none: where a readable one is known it is another version, until it can be read again."""
        if not isinstance(item, Unreadable) or item.version:
            return getattr(item, "version", 1)
        query = "SELECT version, kind, min(version) OVER () AS least FROM posts WHERE account = ? AND id = ? ORDER BY rowid DESC LIMIT 1"
        newest = self.sql.execute(query, [item.account, item.id]).fetchone()
        if newest is None:
            return 1
        return int(newest["version"]) if newest["kind"] == "unreadable" else min(0, newest["least"]) - 1

    def posts(self, where: str = "1", args: tuple[object, ...] = (), limit: int = 1000) -> list[Kept]:
        """Posts that satisfy a condition of ours (never of a user's), oldest first; a limit of -1 is none.

        The plus keeps SQLite from reading all posts of an account in their order, when the condition finds a few.
        """
        query = f"SELECT {post_rows.COLUMNS} FROM posts WHERE {where} ORDER BY +created_at, length(id), id LIMIT ?"  # noqa: S608 - ours
        return [post_rows.kept(row) for row in self.sql.execute(query, [*args, limit])]

    def ids(self, where: str, args: tuple[object, ...], limit: int = 1000) -> list[str]:
        """Those of such posts, which are not read."""
        query = f"SELECT id FROM posts WHERE {where} ORDER BY +created_at, length(id), id LIMIT ?"  # noqa: S608 - ours
        return [row["id"] for row in self.sql.execute(query, [*args, limit])]

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

    def deleted(self, account: str, identifier: str, now: datetime) -> Kept | None:
        """Note that a post is gone; returns it the first time."""
        row = self.sql.execute(
            f"UPDATE posts SET deleted_at = ? WHERE account = ? AND id = ? AND deleted_at IS NULL RETURNING {post_rows.COLUMNS}",  # noqa: S608 - ours
            [stamp(now), account, identifier],
        ).fetchone()
        return post_rows.kept(row) if row else None

    def has(self, account: str, identifier: str) -> bool:
        """Whether a post with this id was judged, in whichever version."""
        return self.sql.execute("SELECT 1 FROM posts WHERE account = ? AND id = ?", [account, identifier]).fetchone() is not None

    def versions(self, post: Post) -> list[Kept]:
        """What was seen of this post before this version."""
        where = f"{post_rows.VERSIONS} AND version < ?3 AND id != ?4"
        return self.posts(where, (post.account, post.root_id, post.version, post.id), 10) if post.root_id and post.version > 1 else []

    def is_replaced(self, item: Stored) -> bool:
        """Whether a newer version of this post was seen: then it was edited, not deleted."""
        if not isinstance(item, Post | Redacted):
            return False
        query = f"SELECT 1 FROM posts WHERE {post_rows.VERSIONS} AND version > ?3"  # noqa: S608 - ours
        return self.sql.execute(query, [item.account, item.root_id or item.id, item.version]).fetchone() is not None

    def tell_of(self, kept: Kept, incident: int) -> None:
        """An incident is about this post too."""
        self.sql.execute("UPDATE posts SET incident = ? WHERE account = ? AND id = ?", [incident, kept.post.account, kept.post.id])

    # --- habits ----------------------------------------------------------------------------------

    def habits(self, account: str) -> Habits:
        """What the account usually does; empty while nothing was learned."""
        row = self.sql.execute("SELECT habits FROM accounts WHERE key = ?", [account]).fetchone()
        return record.habits(row[0]) if row and row[0] else Habits({})

    def keep_habits(self, account: str, habits: Habits) -> None:
        """Write them down."""
        self.sql.execute("UPDATE accounts SET habits = ? WHERE key = ?", [record.dump_habits(habits), account])

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

    def subjects(self) -> frozenset[str]:
        """The subjects of unresolved incidents that page."""
        return frozenset(r[0] for r in self.sql.execute("SELECT subject FROM incidents WHERE state != 'resolved' AND severity = 3"))

    def last_resolved(self, subject: str) -> Incident | None:
        """The newest resolved incident of a subject. One that cannot be read is as none: it only explains."""
        rows = self.sql.execute(
            "SELECT * FROM incidents WHERE subject = ? AND state = 'resolved' ORDER BY id DESC LIMIT 1", [subject]
        ).fetchall()
        return next(iter(self.damage.readable("incidents", rows, record.incident)), None)

    def open_incident(self, subject: str) -> Incident | None:
        """The unresolved incident of a subject."""
        row = self.sql.execute("SELECT * FROM incidents WHERE subject = ? AND state != 'resolved'", [subject]).fetchone()
        return record.incident(row) if row else None

    def incidents_of(self, subject: str) -> list[Incident]:
        """Every incident of a subject, the newest first."""
        rows = self.sql.execute("SELECT * FROM incidents WHERE subject = ? ORDER BY id DESC LIMIT 100", [subject])
        return [record.incident(r) for r in rows]

    def comes_again(self, incident: Incident, within: timedelta) -> bool:
        """Whether an earlier incident of its subject that paged was resolved less than `within` before it was opened."""
        query = "SELECT 1 FROM incidents WHERE +subject = ? AND resolved_at > ? AND id < ? AND pages > 0"
        return self.sql.execute(query, [incident.subject, stamp(incident.opened_at - within), incident.id]).fetchone() is not None

    def save_incident(self, one: Incident) -> int:
        """Insert (id 0) or update; returns the id, which is never that of one that has left. A second open one per subject is refused
        by the index.
        """
        columns = record.incident_row(one)
        if one.id:
            changes = ", ".join(f"{c} = ?" for c in columns)
            self.sql.execute(f"UPDATE incidents SET {changes} WHERE id = ?", [*columns.values(), one.id])  # noqa: S608
            return one.id
        number = numbering.next_incident(self.sql)
        names, marks = ", ".join(columns), ", ?" * len(columns)
        self.sql.execute(f"INSERT INTO incidents(id, {names}) VALUES(?{marks})", [number, *columns.values()])
        return number

    def note_posts(self, incident: int, page: int) -> list[Kept]:
        """The posts that this NOTE tells of: those no note told yet, now claimed by it."""
        root = self.sql.execute("SELECT min(rowid) FROM posts WHERE incident = ?", [incident]).fetchone()[0]
        told_by_root = "kind = 'profile' AND seen_at = (SELECT opened_at FROM incidents i WHERE i.id = posts.incident)"
        self.sql.execute(
            f"UPDATE posts SET note = ? WHERE incident = ? AND note IS NULL AND rowid != ? AND NOT ({told_by_root})",  # noqa: S608 - ours
            [page, incident, root],
        )
        return self.posts("+incident = ? AND note = ?", (incident, page))

    # --- silences and clicks ------------------------------------------------------------------------

    def silences(self, now: datetime) -> tuple[Silence, ...]:
        """Those in force, and those that wait for a second person."""
        rows = self.sql.execute("SELECT * FROM silences WHERE ended_by = '' AND ends_at > ? ORDER BY +id", [stamp(now)])
        return tuple(self.damage.readable("silences", rows, record.silence))

    def silence(self, number: int) -> Silence | None:
        """By its number, over or not. One that cannot be read is none: it silences nothing."""
        rows = self.sql.execute("SELECT * FROM silences WHERE id = ?", [number]).fetchall()
        return next(iter(self.damage.readable("silences", rows, record.silence)), None)

    def end_silence(self, number: int, who: str) -> None:
        """It is over."""
        self.sql.execute("UPDATE silences SET ended_by = ? WHERE id = ? AND ended_by = ''", [who, number])

    def muted(self, subject: str, since: datetime) -> int:
        """How many posts of an account were covered by silences that began since then, over or not."""
        rows = self.sql.execute("SELECT * FROM silences WHERE starts_at > ?", [stamp(since)])
        return sum(dict(one.told).get(subject, 0) for one in self.damage.readable("silences", rows, record.silence))

    def silenced(self, number: int, subject: str) -> None:
        """It kept one more post of this account from waking anybody."""
        told = dict(found.told) if (found := self.silence(number)) else {}
        told[subject] = told.get(subject, 0) + 1
        self.sql.execute("UPDATE silences SET told = ? WHERE id = ?", [json.dumps(told), number])

    def is_announcement(self, receipt: str) -> bool:
        """Whether a message of ours announces registrations."""
        return self.sql.execute("SELECT 1 FROM announcements WHERE receipt = ? AND receipt != ''", [receipt]).fetchone() is not None

    def receive(self, envelope: str, dedupe: str, kind: str, body: str, now: datetime) -> bool:
        """Write down what somebody did in a channel before it is confirmed; False when it was there already."""
        added = self.sql.execute(
            "INSERT OR IGNORE INTO inbox(envelope, dedupe, received_at, kind, body) VALUES(?, ?, ?, ?, ?)",
            [envelope, dedupe, stamp(now), kind, body],
        )
        return bool(added.rowcount)

    def received(self) -> list[sqlite3.Row]:
        """What was written down and not yet done, in order of arrival."""
        return self.sql.execute("SELECT * FROM inbox WHERE done_at IS NULL ORDER BY received_at, rowid LIMIT 100").fetchall()

    def done(self, envelope: str, now: datetime, outcome: str) -> None:
        """It has been acted on, or refused, as `outcome` says."""
        self.sql.execute("UPDATE inbox SET done_at = ?, outcome = ? WHERE envelope = ?", [stamp(now), outcome[:500], envelope])

    def kept(self, name: str) -> str:
        """A small thing remembered under a name, or an empty string."""
        return numbering.kept(self.sql, name)

    def keep(self, name: str, value: str) -> None:
        """Remember a small thing."""
        numbering.keep(self.sql, name, value)

    def beat(self, now: datetime) -> None:
        """A write that proves that writing works."""
        self.keep("beat", stamp(now) or "")

    # --- rulebooks and audit -----------------------------------------------------------------------

    def keep_rulebook(self, digest: str, context: str, now: datetime) -> None:
        """The rules, company and policy that verdicts from now on refer to."""
        kept_rules.keep(self.sql, digest, context, now)

    def audit(self, at: datetime, actor: str, action: str, subject: str, **detail: object) -> None:
        """Append to the chain: each row carries the hash of the one before it."""
        chain.append(self.sql, at, actor, action, subject, detail)

    def audit_head(self) -> str:
        """The hash of the newest row of the chain: who knows it knows whether anything before it was changed."""
        return chain.head(self.sql)

    def broken_audit(self) -> int | None:
        """The first audit row that was changed or whose predecessor was, or None."""
        return chain.broken(self.sql)
