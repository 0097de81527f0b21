"""The registrations: what was planned, by whom, and which post used it. Rows of the store.

Every change takes a revision, so that each process takes over only what changed since it last looked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from monitor import record
from monitor.model import ApprovedPost
from monitor.record import stamp

if TYPE_CHECKING:
    from monitor.store import Kept

REMEMBERED = timedelta(days=120)  # after its window: longer than it explains pages (see verdict.approved)


class Registrations:
    """The table `approved`. Callers hold the transaction; see `Store`."""

    def __init__(self, sql: sqlite3.Connection) -> None:
        self._sql = sql

    def revise(self) -> int:
        """The next revision number; every change of a registration takes one."""
        row = self._sql.execute("UPDATE meta SET value = value + 1 WHERE key = 'revision' RETURNING value").fetchone()
        return int(row[0])

    def add(self, columns: Mapping[str, object]) -> int | None:
        """A new row; its number, or None when its `external_id` is there already."""
        values = {**columns, "revision": self.revise()}
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        statement = f"INSERT OR IGNORE INTO approved({names}) VALUES({marks})"
        added = self._sql.execute(statement, list(values.values()))
        return int(added.lastrowid or 0) if added.rowcount else None

    def get(self, number: int) -> ApprovedPost | None:
        """By number."""
        row = self._sql.execute("SELECT * FROM approved WHERE id = ?", [number]).fetchone()
        return record.approved(row) if row else None

    def knows(self, external_id: str) -> bool:
        """Whether this row of a plan, or this judged post, is registered already."""
        return self._sql.execute("SELECT 1 FROM approved WHERE external_id = ?", [external_id]).fetchone() is not None

    def newest(self, limit: int) -> list[ApprovedPost]:
        """Newest window first."""
        rows = self._sql.execute("SELECT * FROM approved ORDER BY not_before DESC, id DESC LIMIT ?", [limit])
        return [record.approved(r) for r in rows]

    def since(self, revision: int, now: datetime) -> tuple[list[ApprovedPost], int]:
        """Those changed after `revision` whose window is not long over, and the newest revision."""
        query = "SELECT * FROM approved WHERE revision > ? AND not_after >= ? ORDER BY revision"
        rows = self._sql.execute(query, [revision, stamp(now - REMEMBERED)]).fetchall()
        return [record.approved(r) for r in rows], rows[-1]["revision"] if rows else revision

    def as_of(self, kept: Kept) -> list[ApprovedPost]:
        """As they stood when a post was judged: made before, not yet used by a later post, not yet
        withdrawn, confirmed only if that was before. What makes a verdict recomputable.
        """
        version = getattr(kept.post, "version", 1)
        row = self._sql.execute(
            "SELECT rowid FROM posts WHERE account = ? AND id = ? AND version = ?", [kept.post.account, kept.post.id, version]
        ).fetchone()
        rows = self._sql.execute(
            "SELECT *, (SELECT min(p.rowid) FROM posts p WHERE p.account = a.account AND json_extract(p.post, '$.root_id') = a.used_by"
            " AND json_extract(p.verdict, '$.match.approved') = a.id) AS user"  # whichever of its versions was judged first
            " FROM approved a WHERE created_at <= ? AND not_after >= ?",
            [stamp(kept.seen_at), stamp(kept.seen_at - REMEMBERED)],
        ).fetchall()
        out = []
        for r in rows:
            one = record.approved(r)
            before = r["user"] < row[0] if r["user"] else bool(one.used_at and one.used_at < kept.seen_at)
            gone = one.withdrawn_at if one.withdrawn_at and one.withdrawn_at <= kept.seen_at else None
            sure = one.confirmed_at if one.confirmed_at and one.confirmed_at <= kept.seen_at else None
            used = (one.used_by, one.used_near) if before else ("", False)
            out.append(replace(one, withdrawn_at=gone, used_by=used[0], used_near=used[1], confirmed_at=sure))
        return out

    def consume(self, number: int, root_id: str, when: datetime, *, near: bool = False) -> None:
        """One approval, one post, even if that is only `near`."""
        self._sql.execute(
            "UPDATE approved SET used_by = ?, used_at = ?, used_near = ?, revision = ? WHERE id = ? AND used_by = ''",
            [root_id, stamp(when), near, self.revise(), number],
        )

    def act_of(self, one: ApprovedPost) -> list[ApprovedPost]:
        """Everything registered in the same act, itself included."""
        if not one.batch:  # of an earlier version
            return [one]
        return [record.approved(r) for r in self._sql.execute("SELECT * FROM approved WHERE batch = ? ORDER BY id", [one.batch])]

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
