"""Removes what is older than `[retention]` allows, and packs older acts, in slices, while nothing more urgent is to do.

Every duty remembers where it was: it goes through a table in the order in which rows came to be, or along an index of what is
still to go, and never over what it has left behind. What an incident needs, or a verdict that is kept, stays whatever its age.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from monitor import chain, checkpoints, incidents, post_rows, record, redaction
from monitor.pages import UNFINISHED
from monitor.record import Row, stamp
from monitor.retention import REMEMBERED, Days, Plan, plan
from monitor.schema import OF_OURSELVES
from monitor.slices import Slice
from monitor.sources.interface import Clock
from monitor.store import Store

log = logging.getLogger("monitor.pruning")

EVERY = timedelta(hours=1)  # when nothing was left to do
PATIENCE = timedelta(minutes=10)  # with pages that are due
_CHECKPOINT = 8  # slices: after so many their journal is moved into the database, beside the loop
SECONDS = 0.02  # of work in a transaction; its commit takes a part of a slice as well
_ROWS = 100
OLD = "older than {} days"


class Pruning:
    """`distrusted` says why the clock must not be trusted, `rules` is the digest of those in use, `broken` is told when the database
    cannot be written.
    """

    def __init__(
        self, store: Store, days: Callable[[], Days], clock: Clock, distrusted: Callable[[], str], rules: Callable[[], str],
        broken: Callable[[sqlite3.Error], object],
    ) -> None:  # fmt: skip
        self._broken = broken
        self._store, self._days, self._clock, self._distrusted, self._rules = store, days, clock, distrusted, rules
        self._done_at: datetime | None = None
        self._refused = ""
        self._until = 0.0

    async def tick(self) -> None:
        """Whatever is due. Never raises."""
        try:
            await self.run()
        except sqlite3.Error as error:
            self._broken(error)

    async def run(self) -> bool:
        """Whatever is due, as long as no page is; whether nothing is left. Raises sqlite3.Error."""
        now = self._clock()
        if self._done_at is not None and timedelta() <= now - self._done_at < EVERY:
            return True
        with self._store.transaction():  # rules stay for as long as posts are judged by them
            self._store.sql.execute(
                "UPDATE rulebooks SET used_at = ? WHERE digest = ? AND used_at < ?", [stamp(now), self._rules(), stamp(now - EVERY)]
            )
        if (why := self._distrusted()) != self._refused:
            self._refused = why
            log.log(logging.WARNING if why else logging.INFO, "%s", f"nothing is pruned: {why}" if why else "the clock is trusted again")
        if why:
            return False
        days, piece, steps = self._days(), Slice(), 0
        for duty in (
            self._gone, self._posts, self._answers, self._own, self._others, self._registrations, self._rulebooks, self._clicks, self._acts,
        ):  # fmt: skip
            while True:
                if self._is_page_due():
                    return False
                self._until = time.monotonic() + SECONDS
                with self._unhurried():
                    more = duty(plan(days, self._clock()), days)
                steps += 1
                if steps % _CHECKPOINT == 0 or not more:
                    await asyncio.to_thread(checkpoints.move, self._store.path)
                await piece.give_back()
                if not more:
                    break
        self._done_at = now
        return True

    @contextmanager
    def _unhurried(self) -> Iterator[None]:
        """The loop waits for no disk: what is removed reaches it with whatever is written down next, or it is removed once more."""
        self._store.sql.execute("PRAGMA synchronous=NORMAL")
        self._store.sql.execute("PRAGMA wal_autocheckpoint=0")
        try:
            yield
        finally:
            self._store.sql.execute(f"PRAGMA wal_autocheckpoint={checkpoints.PAGES}")
            self._store.sql.execute("PRAGMA synchronous=FULL")

    def _is_page_due(self) -> bool:
        """One that was just written: what a channel does not take for long holds up nothing else."""
        now = self._clock()
        query = f"SELECT 1 FROM pages WHERE state IN {UNFINISHED} AND (state = 'sending' OR next_at <= ?) AND created_at > ? LIMIT 1"  # noqa: S608 - ours
        return self._store.sql.execute(query, [stamp(now), stamp(now - PATIENCE)]).fetchone() is not None

    def _is_over(self) -> bool:
        return time.monotonic() >= self._until

    @contextmanager
    def _taking(self, rows: list[Row]) -> Iterator[Iterator[Row]]:
        """As many of the rows as a slice has time for, at least one."""

        def some() -> Iterator[Row]:
            for number, row in enumerate(rows):
                if number and self._is_over():
                    return
                yield row

        with self._store.transaction():
            yield some()

    def _rows(self, query: str, *args: object) -> list[Row]:
        return self._store.sql.execute(f"{query} LIMIT {_ROWS}", args).fetchall()

    def _audit(self, action: str, subject: str = "retention", **detail: object) -> None:
        self._store.audit(self._clock(), "monitor", action, subject, **detail)

    def _say_posts(self, gone: list[Row], why: str, answers: list[str], action: str = "posts pruned", subject: str = "retention") -> None:
        """Which ones, so that nobody can take a post's content out and call it pruned."""
        ids: dict[str, list[str]] = {}
        for row in gone:
            ids.setdefault(row["account"], []).append(redaction.name(row))
        if gone:
            self._audit(action, subject, posts=len(gone), why=why, ids=ids, answers=[a[: redaction.SHORT] for a in answers])

    # --- posts and answers ---------------------------------------------------------------------------

    def _gone(self, at: Plan, days: Days) -> bool:
        """What the platform no longer shows, with its answer."""
        if at.gone is None:
            return False
        where = "deleted_at IS NOT NULL AND redacted_at IS NULL AND incident IS NULL AND deleted_at < ?"
        rows = self._rows(f"SELECT {post_rows.COLUMNS} FROM posts INDEXED BY posts_gone WHERE {where} ORDER BY deleted_at", stamp(at.gone))  # noqa: S608 - ours
        why, gone, answers = f"deleted on the platform more than {days.gone_days} days ago", list[Row](), list[str]()
        with self._taking(rows) as some:
            for row in some:
                redaction.post(self._store.sql, row, self._clock(), why)
                gone.append(row)
                answers += [row["evidence"]] if redaction.evidence(self._store.sql, row["evidence"]) else []
            self._say_posts(gone, why, answers)
        return bool(rows)

    def _posts(self, at: Plan, days: Days) -> bool:
        """In the order in which they were judged, whatever the clock said then. Those of incidents go with these."""
        if at.posts is None:
            return False
        rows = self._reached("posts", "seen_at", post_rows.COLUMNS, at.posts)
        why, gone, last = OLD.format(days.posts_days), list[Row](), 0
        if not rows:
            return False
        with self._taking(rows) as some:
            for row in some:
                last = row["number"]
                if row["incident"] is None and not row["redacted_at"]:
                    redaction.post(self._store.sql, row, self._clock(), why)
                    gone.append(row)
            self._say_posts(gone, why, [])
            self._remember("posts", last)
        return True

    def _answers(self, at: Plan, days: Days) -> bool:
        if at.answers is None:
            return False
        rows = self._reached("evidence", "received_at", "rowid AS number, sha256", at.answers)
        if not rows:
            return False
        gone, last = list[str](), 0
        with self._taking(rows) as some:
            for row in some:
                last = row["number"]
                gone += [row["sha256"][: redaction.SHORT]] if redaction.evidence(self._store.sql, row["sha256"]) else []
            if gone:
                self._audit("answers pruned", answers=gone, why=OLD.format(days.answers_days))
            self._remember("evidence", last)
        return True

    def _reached(self, table: str, column: str, columns: str, before: datetime) -> list[Row]:
        """The next rows that are older. What came to be before an older row is older, though it was stamped by a clock that was ahead;
        what came after a younger one is not old, though it was stamped by one that was behind.
        """
        after, now = self._position(table), stamp(self._clock()) or ""
        rows, old = self._rows(f"SELECT {columns}, {column} AS stamped FROM {table} WHERE rowid > ? ORDER BY rowid", after), 0  # noqa: S608 - ours
        for count, row in enumerate(rows, 1):
            if (stamp(before) or "") <= row["stamped"] <= now:
                return rows[:old]
            old = count if row["stamped"] <= now else old
        if rows and old < len(rows):  # the rest is of a time that has not come: what follows it says
            where = f"FROM {table} WHERE rowid > ? AND {column} <= ? ORDER BY rowid LIMIT 1"
            later = self._store.sql.execute(f"SELECT {column} {where}", [rows[-1]["number"], now]).fetchone()
            old = len(rows) if later and later[0] < (stamp(before) or "") else old
        return rows[:old]

    def _position(self, name: str) -> int:
        return int(self._store.kept(f"pruned:{name}") or 0)

    def _remember(self, name: str, position: int) -> None:
        self._store.keep(f"pruned:{name}", str(position))

    # --- incidents -----------------------------------------------------------------------------------

    def _own(self, at: Plan, days: Days) -> bool:
        """Those about the monitor itself. The last drill says when the next one is due."""
        drill = "AND NOT (subject = ? AND id = (SELECT max(id) FROM incidents WHERE subject = ?))"
        return self._incidents(
            at.own_incidents, f"{OF_OURSELVES} {drill}", OLD.format(days.own_incidents_days), incidents.DRILL, incidents.DRILL
        )

    def _others(self, at: Plan, days: Days) -> bool:
        return self._incidents(at.incidents, f"NOT {OF_OURSELVES}", OLD.format(days.incidents_days))

    def _incidents(self, before: datetime | None, which: str, why: str, *args: str) -> bool:
        """Whole ones: posts, answers, pages and votes."""
        if before is None:
            return False
        query = (
            f"SELECT id FROM incidents i WHERE state = 'resolved' AND {which} AND resolved_at < ?"  # noqa: S608 - ours
            " AND id NOT IN (SELECT incident FROM holds)"
            f" AND NOT EXISTS (SELECT 1 FROM pages p WHERE p.incident = i.id AND p.state IN {UNFINISHED}) ORDER BY resolved_at"
        )
        rows = self._rows(query, *args, stamp(before))
        with self._taking(rows) as some:
            for row in some:
                self._incident(row["id"], why)
        return bool(rows)

    def _incident(self, number: int, why: str) -> None:
        """As many of its posts as there is time for, or what is left of it when they have gone."""
        sql, gone, answers = self._store.sql, list[Row](), list[str]()
        columns, where = post_rows.COLUMNS, "incident = ? AND redacted_at IS NULL ORDER BY rowid"
        for row in self._rows(f"SELECT {columns} FROM posts WHERE {where}", number):  # noqa: S608 - ours
            redaction.post(sql, row, self._clock(), f"INC-{number} is {why}")
            gone.append(row)
            answers += [row["evidence"]] if redaction.evidence(sql, row["evidence"]) else []
            if self._is_over():
                break
        self._say_posts(gone, why, answers, "posts of an incident pruned", f"INC-{number}")
        if gone:
            return
        counts = {t: sql.execute(f"DELETE FROM {t} WHERE incident = ?", [number]).rowcount for t in ("votes", "pages")}  # noqa: S608 - ours
        sql.execute("DELETE FROM incidents WHERE id = ?", [number])
        self._remember("registrations", 0)  # what it needed of them is needed no more
        posts = sql.execute("SELECT count(*) FROM posts WHERE incident = ?", [number]).fetchone()[0]
        self._audit("incident pruned", f"INC-{number}", why=why, posts=posts, **counts)

    # --- what verdicts rest on -----------------------------------------------------------------------

    def _oldest(self) -> datetime | None:
        """When the oldest post outside incidents that may still have its content was judged; None where nobody can know."""
        row = self._store.sql.execute(
            "SELECT seen_at FROM posts WHERE rowid > ? ORDER BY rowid LIMIT 1", [self._position("posts")]
        ).fetchone()
        oldest = record.moment(row[0]) if row else self._clock()
        return oldest if oldest and oldest <= self._clock() else None

    def _registrations(self, at: Plan, days: Days) -> bool:
        """Those on which no verdict rests that is still kept."""
        oldest = self._oldest()
        if at.registrations is None or oldest is None:
            return False
        day, number = (self._store.kept("pruned:registrations") or "0").rpartition(" ")[::2]
        before = min(at.registrations, oldest - REMEMBERED)
        last = "substr(not_after, 1, 10)"  # as in the index
        which = f"redacted_at IS NULL AND {last} >= ?1 AND ({last}, id) > (?1, ?2) AND {last} <= substr(?3, 1, 10) AND not_after < ?3"
        query = f"SELECT id, not_after, created_at FROM approved WHERE {which} ORDER BY {last}, id"  # noqa: S608 - ours
        rows = self._rows(query, day, int(number), stamp(before))
        if not rows:
            return False
        gone, where = list[int](), ""
        with self._taking(rows) as some:
            for row in some:
                where = f"{row['not_after'][:10]} {row['id']}"
                if not self._is_registration_needed(row):
                    redaction.registration(self._store.sql, row["id"], self._clock())
                    gone.append(row["id"])
            if gone:
                self._audit("registrations pruned", registrations=gone, why=OLD.format(days.registrations_days))
            self._store.keep("pruned:registrations", where)
        return True

    def _is_registration_needed(self, row: Row) -> bool:
        last = (record.moment(row["not_after"]) or self._clock()) + REMEMBERED
        judged = "SELECT 1 FROM posts WHERE incident IS NOT NULL AND redacted_at IS NULL AND seen_at BETWEEN ? AND ? LIMIT 1"
        return self._store.sql.execute(judged, [row["created_at"], stamp(last)]).fetchone() is not None

    def _rulebooks(self, _at: Plan, _days: Days) -> bool:
        oldest = self._oldest()
        if oldest is None:
            return False
        query = f"SELECT digest FROM rulebooks r WHERE used_at < ? AND digest != ? AND NOT {post_rows.JUDGED_BY} ORDER BY used_at"  # noqa: S608 - ours
        rows = self._rows(query, stamp(oldest - 3 * EVERY), self._rules())
        with self._taking(rows) as some:
            gone = [row["digest"] for row in some]
            self._store.sql.executemany("DELETE FROM rulebooks WHERE digest = ?", [(digest,) for digest in gone])
            if gone:
                self._audit("rules pruned", rules=[d[: redaction.SHORT] for d in gone], why="no verdict that is kept was made by them")
        return bool(rows)

    def _clicks(self, at: Plan, days: Days) -> bool:
        """Not the answers below what may still be read: they would be heard once more. Nor what came while an incident was dealt with
        that is held or not over.
        """
        if at.inbox is None:
            return False
        reopened = stamp(self._clock() - 2 * incidents.REOPEN)
        among = " UNION ALL ".join(
            f"SELECT opened_at FROM incidents WHERE state = 'resolved' AND {which} AND resolved_at > :reopened"  # noqa: S608 - ours
            for which in (OF_OURSELVES, f"NOT {OF_OURSELVES}")
        )
        query = f"SELECT coalesce(min(opened_at), :now) FROM (SELECT opened_at FROM incidents WHERE state != 'resolved' UNION ALL {among})"  # noqa: S608 - ours
        read = self._store.sql.execute(query, {"reopened": reopened, "now": stamp(self._clock())}).fetchone()[0]
        needed = (
            "SELECT opened_at, ?1 AS until FROM incidents WHERE state != 'resolved'"
            " UNION ALL SELECT opened_at, coalesce(resolved_at, ?1) FROM incidents WHERE id IN (SELECT incident FROM holds)"
        )
        spans = [list(row) for row in self._store.sql.execute(needed, [stamp(self._clock())])]
        among = "SELECT 1 FROM json_each(?) WHERE received_at BETWEEN json_extract(value, '$[0]') AND json_extract(value, '$[1]')"
        where = f"done_at IS NOT NULL AND done_at < ? AND (kind != 'thread' OR received_at < ?) AND NOT EXISTS ({among}) ORDER BY done_at"
        rows = self._rows(f"SELECT envelope FROM inbox WHERE {where}", stamp(at.inbox), read, json.dumps(spans))  # noqa: S608 - ours
        with self._taking(rows) as some:
            gone = [(row["envelope"],) for row in some]
            self._store.sql.executemany("DELETE FROM inbox WHERE envelope = ?", gone)
            if gone:
                self._audit("clicks pruned", clicks=len(gone), why=OLD.format(days.inbox_days))
        return bool(rows)

    def _acts(self, _at: Plan, _days: Days) -> bool:
        """Nothing of them goes."""
        with self._store.transaction():
            return chain.seal(self._store.sql)
