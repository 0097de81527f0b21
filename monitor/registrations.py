"""The registrations: what was planned, by whom, and which post used it. Rows of the store.

Every change takes a revision, so that each process takes over only what changed since it last looked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from monitor import announcements, registered
from monitor.damage import Damage
from monitor.model import ApprovedPost
from monitor.post_rows import MATCHED
from monitor.record import stamp
from monitor.retention import REMEMBERED

_NOT_OVER = "substr(not_after, 1, 10) >= substr(?1, 1, 10) AND not_after >= ?1 AND redacted_at IS NULL"  # found by the day, as in the index


def by_handle(handle: str) -> str:
    """What stands for the id of an account until it was looked up: no platform's ids look like it."""
    return f"@{handle.lower()}"


@dataclass(frozen=True, slots=True)
class Past:
    """A registration with all that became of it. `user` is the row of the first post that used it up, or 0."""

    one: ApprovedPost
    user: int

    def changes(self) -> Iterator[datetime]:
        """When it stood otherwise than before, but for its use by a post on record."""
        one = self.one
        yield from filter(None, (one.registered_at, one.withdrawn_at, one.confirmed_at, None if self.user else one.used_at))
        yield one.not_after + REMEMBERED  # then it is forgotten

    def at(self, seen_at: datetime, row: int) -> ApprovedPost | None:
        """As it stood when the post in this row was judged: not yet used by a later post, not yet withdrawn, confirmed only if that
        was before; None before it was made. What makes a verdict recomputable.
        """
        one = self.one
        if one.registered_at and one.registered_at > seen_at:
            return None
        before = self.user < row if self.user else bool(one.used_at and one.used_at < seen_at)
        gone = one.withdrawn_at if one.withdrawn_at and one.withdrawn_at <= seen_at else None
        sure = one.confirmed_at if one.confirmed_at and one.confirmed_at <= seen_at else None
        used = (one.used_by, one.used_near) if before else ("", False)
        return replace(one, withdrawn_at=gone, used_by=used[0], used_near=used[1], confirmed_at=sure)


class Registrations:
    """The table `approved`. Callers hold the transaction; see `Store`."""

    def __init__(self, sql: sqlite3.Connection, damage: Damage) -> None:
        self._sql, self._damage = sql, damage

    def _read(self, rows: Iterable[sqlite3.Row]) -> list[ApprovedPost]:
        """Those that can be read: another one approves nothing."""
        return self._damage.readable("approved", rows, registered.read)

    def revise(self) -> int:
        """The next revision number; every change of a registration takes one."""
        row = self._sql.execute("UPDATE meta SET value = value + 1 WHERE key = 'revision' RETURNING value").fetchone()
        return int(row[0])

    def add(self, said: Mapping[str, object]) -> int | None:
        """A new row, see `registered.whole`; its number, or None when its `external_id` is in force already, for this plan and account."""
        if self._is_in_force(said["external_id"], said["source"], said["account"]):
            return None
        values = registered.columns(said) | {"revision": self.revise()}
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        added = self._sql.execute(f"INSERT OR IGNORE INTO approved({names}) VALUES({marks})", list(values.values()))
        return int(added.lastrowid or 0) if added.rowcount else None

    def _is_in_force(self, external_id: object, source: object, account: object) -> bool:
        """An index holds those apart that are not used yet; of what was used only this knows."""
        query = "SELECT 1 FROM approved WHERE external_id = ? AND source = ? AND account = ? AND withdrawn_at IS NULL AND after = 0"
        return self._sql.execute(query, [external_id, source, account]).fetchone() is not None

    def change(self, number: int, values: Mapping[str, object]) -> None:
        """Columns of it."""
        values = {**values, "revision": self.revise()}
        changes = ", ".join(f"{name} = ?" for name in values)
        self._sql.execute(f"UPDATE approved SET {changes} WHERE id = ?", [*values.values(), number])  # noqa: S608 - ours

    def get(self, number: int) -> ApprovedPost | None:
        """By number."""
        row = self._sql.execute("SELECT * FROM approved WHERE id = ?", [number]).fetchone()
        return registered.read(row) if row else None

    def knows(self, external_id: str) -> bool:
        """Whether this judged post, or this draft, was ever registered."""
        return self._sql.execute("SELECT 1 FROM approved WHERE external_id = ?", [external_id]).fetchone() is not None

    def named(self, *external_ids: str) -> list[ApprovedPost]:
        """What is in force under any of a row's ids, of every plan; of a thread its first part."""
        if not external_ids:
            return []
        among = ", ".join("?" * len(external_ids))
        query = f"SELECT * FROM approved WHERE external_id IN ({among}) AND withdrawn_at IS NULL AND after = 0 ORDER BY source, id"  # noqa: S608 - ours
        return self._read(self._sql.execute(query, external_ids))

    def withdrawn(self, external_id: str, account: str) -> int:
        """The last registration of a row for this account that was taken back, or 0."""
        query = "SELECT max(id) FROM approved WHERE external_id = ? AND account = ? AND withdrawn_at IS NOT NULL AND after = 0"
        return int(self._sql.execute(query, [external_id, account]).fetchone()[0] or 0)

    def thread(self, first: ApprovedPost) -> list[ApprovedPost]:
        """A registration with the parts that come after it, in order: each is registered after the one before it."""
        parts = [first]
        while found := self._read(
            self._sql.execute("SELECT * FROM approved WHERE after = ?1 AND after != 0 AND +id > ?1 ORDER BY id", [parts[-1].id])
        ):
            parts.append(found[0])
        return parts

    def first(self, part: ApprovedPost) -> ApprovedPost:
        """The registration that a thread begins with, as far as it can be read; of anything else itself."""
        while part.after and (
            before := self._read(self._sql.execute("SELECT * FROM approved WHERE id = ? AND id < ?", [part.after, part.id]))
        ):
            part = before[0]
        return part

    def next(self, now: datetime, limit: int) -> tuple[list[ApprovedPost], int]:
        """What may still be posted, the soonest first, and how much of it there is."""
        where = f"FROM approved WHERE withdrawn_at IS NULL AND used_by = '' AND {_NOT_OVER}"
        count = self._sql.execute(f"SELECT count(*) {where}", [stamp(now)]).fetchone()[0]
        rows = self._sql.execute(f"SELECT * {where} ORDER BY {registered.SOONEST}, id LIMIT ?2", [stamp(now), limit])
        return self._read(rows), count

    def to_come(self, now: datetime) -> list[ApprovedPost]:
        """What is in force and may still be posted."""
        query = f"SELECT * FROM approved WHERE withdrawn_at IS NULL AND used_by = '' AND {_NOT_OVER} ORDER BY +id"  # noqa: S608 - ours
        return self._read(self._sql.execute(query, [stamp(now)]))

    def sources(self) -> list[str]:
        """The names of all plans that anything was registered from."""
        return [row[0] for row in self._sql.execute("SELECT DISTINCT source FROM approved WHERE source != '' ORDER BY source")]

    def resolve(self, by_handle: str, key: str) -> int:
        """What was registered for an account by its handle is registered by its id from now on; returns how many."""
        those = "account = ? AND instr(account, ':@') > 0"  # as in the index: they are few
        query = f"SELECT id, external_id, source, withdrawn_at IS NULL AND after = 0 AS counts FROM approved WHERE {those}"  # noqa: S608 - ours
        rows = self._sql.execute(query, [by_handle]).fetchall()
        free = [row["id"] for row in rows if not (row["counts"] and self._is_in_force(row["external_id"], row["source"], key))]
        if not free:
            return 0
        revision = self.revise()
        changes = [(key, revision, number) for number in free]
        return self._sql.executemany("UPDATE OR IGNORE approved SET account = ?, revision = ? WHERE id = ?", changes).rowcount

    def belongs(self, number: int, source: str) -> None:
        """It is a row of this plan from now on, with all of its thread."""
        chain = (
            "WITH RECURSIVE parts(id) AS (SELECT ? UNION ALL SELECT a.id FROM approved a JOIN parts ON a.after = parts.id AND a.after != 0)"
        )
        self._sql.execute(f"{chain} UPDATE approved SET source = ? WHERE id IN parts", [number, source])  # noqa: S608 - ours

    def newest(self, limit: int = -1, before: int = 0) -> Iterator[ApprovedPost]:
        """The last registered first, while they are read: those before a number, and one more than `limit`."""
        query = "SELECT * FROM approved WHERE id < ? ORDER BY id DESC LIMIT ?"
        for row in self._sql.execute(query, [before or 2**63 - 1, limit + 1 if limit >= 0 else -1]):
            yield from self._read([row])

    def count(self) -> int:
        """How many there are."""
        return int(self._sql.execute("SELECT count(*) FROM approved").fetchone()[0])

    def since(self, revision: int, now: datetime) -> tuple[list[ApprovedPost], int]:
        """Those changed after `revision` whose window is not long over, and the newest revision."""
        newest = int(self._sql.execute("SELECT value FROM meta WHERE key = 'revision'").fetchone()[0])
        if newest == revision:  # looked at first: what changes meanwhile is read again
            return [], revision
        which = "revision > ?2 AND +not_after >= ?1 AND redacted_at IS NULL" if revision else f"{_NOT_OVER} AND +revision > ?2"
        query = f"SELECT * FROM approved WHERE {which} ORDER BY {'revision' if revision else '+revision'}"  # noqa: S608 - ours
        return self._read(self._sql.execute(query, [stamp(now - REMEMBERED), revision])), newest

    def past(self, since: datetime, until: datetime) -> list[Past]:
        """Everything that posts judged in this time may have been compared with."""
        user = (  # whichever of its versions was judged first; without the + a column's affinity keeps the index from being used
            "SELECT min(rowid) FROM posts WHERE rowid IN (SELECT rowid FROM posts WHERE account = a.account AND root = +a.used_by"  # noqa: S608 - ours
            f" UNION ALL SELECT rowid FROM posts WHERE account = a.account AND id = +a.used_by) AND {MATCHED} = a.id"
        )
        query = f"SELECT *, CASE WHEN used_by != '' THEN ({user}) END AS user FROM approved a WHERE created_at <= ?2 AND {_NOT_OVER} ORDER BY id"  # noqa: S608 - ours
        rows = self._sql.execute(query, [stamp(since - REMEMBERED), stamp(until)])
        return [Past(one, row["user"] or 0) for row in rows for one in self._read([row])]

    def consume(self, number: int, root_id: str, when: datetime, *, near: bool = False) -> None:
        """One approval, one post, even if that is only `near`."""
        self._sql.execute(
            "UPDATE approved SET used_by = ?, used = ?, used_near = ?, revision = ? WHERE id = ? AND used_by = ''",
            [root_id, registered.number(when), near, self.revise(), number],
        )

    def act_of(self, one: ApprovedPost) -> list[ApprovedPost]:
        """Everything registered in the same act, itself included."""
        act = announcements.act(self._sql, one.id)
        if not act:  # of an earlier version
            return [one]
        told = "SELECT a.* FROM announcements n JOIN approved a ON a.announcement = n.id WHERE n.batch = ?1 AND n.batch != ''"
        query = f"{told} UNION ALL SELECT * FROM approved WHERE announcement IS NULL AND batch = ?1"  # noqa: S608 - ours
        return sorted(self._read(self._sql.execute(query, [act])), key=lambda one: one.id)

    def confirm(self, numbers: tuple[int, ...], who: str, when: datetime) -> None:
        """A second person stands for these."""
        revision = self.revise()
        self._sql.executemany(
            "UPDATE approved SET confirmed_by = ?, confirmed_at = ?, revision = ? WHERE id = ? AND confirmed_at IS NULL",
            [(who, stamp(when), revision, number) for number in numbers],
        )

    def withdraw(self, number: int, who: str, when: datetime) -> None:
        """It excuses nothing from now on."""
        self._sql.execute(
            "UPDATE approved SET withdrawn_by = ?, withdrawn_at = ?, revision = ? WHERE id = ?", [who, stamp(when), self.revise(), number]
        )
