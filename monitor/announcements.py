"""What has to be said of registrations: that they were made, and what became of them. Rows of the store.

A registration is born unannounced, in the transaction that writes it: whoever made it, from wherever, cannot keep it quiet.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor import registered
from monitor.damage import Damage
from monitor.model import ApprovedPost
from monitor.record import stamp

TOGETHER = 5  # registrations of one act that have a message each; more of them share one
LISTED = 50  # of those that share one, as many are read from the table for it
FAR = timedelta(minutes=30)  # nothing is put off for longer: a later time is from before the clock was set back


@dataclass(frozen=True, slots=True)
class Announcement:
    """One message about one registration, or about all of a large act. `receipt` says where it is, once it is."""

    id: int
    attempts: int
    plain: bool
    channel: str
    receipt: str
    registrations: tuple[ApprovedPost, ...]  # the first of them
    count: int
    revision: int  # the newest of its registrations: what the message knows
    replacing: int = 0  # registrations of it that others were withdrawn for


def act(sql: sqlite3.Connection, number: int) -> str:
    """The name of the act that this registration was made in, which its announcement has, and its own row until there is one; empty for
    one that needs none.
    """
    query = (
        "SELECT coalesce(nullif(n.batch, ''), a.batch) FROM approved a LEFT JOIN announcements n ON n.id = a.announcement WHERE a.id = ?"
    )
    row = sql.execute(query, [number]).fetchone()
    return str(row[0]) if row else ""


class Announcements:
    """The table `announcements`. Callers hold the transaction; see `Store`."""

    def __init__(self, sql: sqlite3.Connection, damage: Damage) -> None:
        self._sql, self._damage = sql, damage

    def unannounced(self) -> dict[str, int]:
        """How many registrations of each act nobody was told of."""
        rows = self._sql.execute("SELECT batch, count(*) FROM approved WHERE announcement IS NULL GROUP BY batch ORDER BY min(id)")
        return {row[0]: row[1] for row in rows}

    def write(self, batch: str, now: datetime) -> None:
        """Give every registration of an act its announcement."""
        found = self._sql.execute("SELECT id FROM approved WHERE announcement IS NULL AND batch = ? ORDER BY id", [batch])
        numbers = [row[0] for row in found]
        groups = [[n] for n in numbers] if len(numbers) <= TOGETHER else [numbers]
        for group in groups:
            times = [stamp(now), stamp(now)]
            made = self._sql.execute("INSERT INTO announcements(created_at, next_at, batch) VALUES(?, ?, ?)", [*times, batch]).lastrowid
            self._sql.executemany("UPDATE approved SET announcement = ?, batch = '' WHERE id = ?", [(made, number) for number in group])

    def changed_since(self, revision: int, now: datetime) -> int:
        """Messages that say old things are edited; returns the newest revision."""
        newest = self._sql.execute("SELECT value FROM meta WHERE key = 'revision'").fetchone()
        if int(newest[0]) > revision:
            self._sql.execute(
                "UPDATE announcements SET stale = 1, next_at = ? WHERE stale = 0 AND receipt != '' AND id IN (SELECT n.id FROM"
                " approved a JOIN announcements n ON n.id = a.announcement WHERE a.revision > ? AND a.revision > n.revision)",
                [stamp(now), revision],
            )
        return int(newest[0])

    def due(self, now: datetime) -> Announcement | None:
        """The oldest one that has to be sent or edited now."""
        row = self._sql.execute(
            "SELECT * FROM announcements WHERE stale = 1 AND (next_at <= ? OR next_at > ?) ORDER BY receipt != '', id LIMIT 1",
            [stamp(now), stamp(now + FAR)],
        ).fetchone()
        if row is None:
            return None
        rows = self._sql.execute("SELECT * FROM approved WHERE announcement = ? ORDER BY id LIMIT ?", [row["id"], LISTED]).fetchall()
        count, revision, replacing = self._sql.execute(
            "SELECT count(*), coalesce(max(revision), 0), total(replaces != 0) FROM approved WHERE announcement = ?", [row["id"]]
        ).fetchone()
        return Announcement(
            row["id"],
            row["attempts"],
            bool(row["plain"]),
            row["channel"],
            row["receipt"],
            tuple(self._damage.readable("approved", rows, registered.read)),
            count,
            revision,
            int(replacing),
        )

    def members(self, number: int) -> list[ApprovedPost]:
        """All registrations of an announcement."""
        rows = self._sql.execute("SELECT * FROM approved WHERE announcement = ? ORDER BY id", [number])
        return self._damage.readable("approved", rows, registered.read)

    def tells_of(self, receipt: str, number: int) -> bool:
        """Whether the message there is the announcement of this registration."""
        query = (
            "SELECT 1 FROM announcements n JOIN approved a ON a.announcement = n.id WHERE n.receipt = ? AND n.receipt != '' AND a.id = ?"
        )
        return self._sql.execute(query, [receipt, number]).fetchone() is not None

    def untold(self, number: int) -> bool:
        """Whether a part of the act that this registration was made in stands in no message yet."""
        query = (
            "SELECT 1 FROM approved WHERE announcement IS NULL AND batch = ?1 AND batch != ''"
            " UNION ALL SELECT 1 FROM announcements WHERE batch = ?1 AND batch != '' AND receipt = ''"
        )
        return self._sql.execute(query, [act(self._sql, number)]).fetchone() is not None

    def told(self, one: Announcement, channel: str, receipt: str) -> None:
        """It is where it should be, as far as `one` knows."""
        self._sql.execute(
            "UPDATE announcements SET channel = ?, receipt = ?, revision = ?, attempts = 0, last_error = '', stale = EXISTS"
            " (SELECT 1 FROM approved WHERE announcement = ? AND revision > ?) WHERE id = ?",
            [channel, receipt, one.revision, one.id, one.revision, one.id],
        )

    def again(self, one: Announcement, when: datetime, error: str, *, plain: bool) -> None:
        """It was not accepted: not before `when`."""
        self._sql.execute(
            "UPDATE announcements SET attempts = attempts + 1, next_at = ?, last_error = ?, plain = ? WHERE id = ?",
            [stamp(when), error, plain, one.id],
        )

    def late(self, since: datetime) -> int:
        """How many registrations made before then nobody was told of."""
        query = (
            "SELECT (SELECT count(*) FROM approved WHERE announcement IS NULL AND created_at < ?) + (SELECT count(*) FROM approved a"
            " JOIN announcements n ON n.id = a.announcement WHERE n.receipt = '' AND a.created_at < ?)"
        )
        return int(self._sql.execute(query, [stamp(since), stamp(since)]).fetchone()[0])
