"""The audit chain: the hash of every act is also of the one before it, so that nothing can be changed unnoticed.

`previous` repeats that hash in rows for earlier versions. It is empty in those of this one: whoever checks knows it from the row before.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor import record

FORGOTTEN = "post forgotten"  # the one act after which a row may lack words
_BARE = "redacted"  # in the detail of such a row: when
BLOCK = 500  # rows that are read at once


def append(
    sql: sqlite3.Connection, at: datetime, actor: str, action: str, subject: str, detail: dict[str, object], *, repeating: bool = False
) -> None:  # fmt: skip
    """One more act. Inside a transaction. See `repeats`."""
    row = [record.stamp(at), actor, action, subject, json.dumps(detail, ensure_ascii=False, default=str, sort_keys=True)]
    previous = head(sql)
    sql.execute(
        "INSERT INTO audit(at, actor, action, subject, detail, previous, hash) VALUES(?, ?, ?, ?, ?, ?, ?)",
        [*row, previous if repeating else "", record.link(previous, row)],
    )


def repeats(sql: sqlite3.Connection) -> bool:
    """Whether an earlier version may go on with this database: to it a row that does not repeat the hash before it is a broken chain."""
    return sql.execute("SELECT 1 FROM _sqlite_migrations WHERE name = '0024_lean'").fetchone() is None


def head(sql: sqlite3.Connection) -> str:
    """The hash of the newest row: who knows it knows whether anything before it was changed."""
    row = sql.execute("SELECT hash FROM audit ORDER BY id DESC LIMIT 1").fetchone()
    return str(row[0]) if row else ""


def bare(sql: sqlite3.Connection, number: int, left: str, now: datetime) -> list[str]:
    """Take words out of a row's detail, so that its hash does not fit it any more; returns that hash, and the one that fits what is
    left. Only a later act of `FORGOTTEN` that names both excuses it: see `Excuses`.
    """
    detail = json.loads(left)
    said = detail if isinstance(detail, dict) else {"detail": detail}
    text = json.dumps(said | {_BARE: record.stamp(now)}, ensure_ascii=False, sort_keys=True)
    sql.execute("UPDATE audit SET detail = ? WHERE id = ?", [text, number])
    linked, *fields = sql.execute("SELECT hash, at, actor, action, subject, detail FROM audit WHERE id = ?", [number]).fetchone()
    before = sql.execute("SELECT hash FROM audit WHERE id < ? ORDER BY id DESC LIMIT 1", [number]).fetchone()
    return [linked, record.link(before[0] if before else "", fields)]


class Excuses:
    """Rows whose hash does not fit them, until an act that was made later says why."""

    def __init__(self) -> None:
        self._waiting: dict[int, list[str]] = {}

    def waits(self, number: int, linked: str, fitting: str, detail: str) -> bool:
        """Whether this row may be one that words were taken out of; `fitting` is the hash of what stands there now."""
        if f'"{_BARE}"' not in detail:
            return False
        self._waiting[number] = [linked, fitting]
        return True

    def heard(self, action: str, detail: str) -> None:
        """A row that fits its hash. One that cannot be read excuses nothing: whoever made the chain anew may have written anything."""
        if action == FORGOTTEN:
            said: dict[str, object] = record.remembered(detail, lambda found: dict(found["acts"]), {})
            for number in [one for one, both in self._waiting.items() if said.get(str(one)) == both]:
                del self._waiting[number]

    def missing(self) -> int | None:
        """The first row that nothing excuses."""
        return min(self._waiting, default=None)


def acts(sql: sqlite3.Connection, incident: int) -> list[sqlite3.Row]:
    """What was done about an incident, in order."""
    within = "subject >= 'INC-' AND subject < 'INC.'"  # word for word as the index says it: else SQLite does not use it
    query = f"SELECT at, actor, action, subject, detail FROM audit WHERE {within} AND subject = ? ORDER BY id"  # noqa: S608 - ours
    return sql.execute(query, [f"INC-{incident}"]).fetchall()


@dataclass(frozen=True, slots=True)
class Mark:
    """Up to where a chain was verified: the number of a row and its hash; before the first one 0 and nothing."""

    id: int = 0
    hash: str = ""


BEGINNING = Mark()


class Walk:
    """Goes along a chain from a mark on. `wrong` is the first row that was changed or whose predecessor was, or None so far."""

    def __init__(self, mark: Mark = BEGINNING) -> None:
        self.mark = mark
        self.wrong: int | None = None
        self._excuses = Excuses()

    def next(self, sql: sqlite3.Connection) -> list[Any]:
        """The next rows, gone along, each as (id, previous, hash, at, actor, action, subject, detail); none at the end. Where a row
        does not say the hash before it and its own is of that one, it is put in.
        """
        query = "SELECT id, previous, hash, at, actor, action, subject, detail FROM audit WHERE id > ? ORDER BY id LIMIT ?"
        rows, seen = sql.execute(query, [self.mark.id, BLOCK]).fetchall(), list[Any]()
        expected = self.mark.hash
        for number, previous, linked, *fields in rows:
            fits = linked == (fitting := record.link(expected, fields))
            holds = previous in ("", expected) and (fits or self._excuses.waits(number, linked, fitting, fields[-1]))
            if not holds:
                self.wrong = number if self.wrong is None else self.wrong
            elif fits:
                self._excuses.heard(fields[2], fields[-1])
            seen.append((number, expected if holds else previous, linked, *fields))
            expected = linked
        if rows:
            self.mark = Mark(rows[-1][0], rows[-1][2])
        return seen

    def broken(self) -> int | None:
        """At the end: the first row that does not hold."""
        return self.wrong if self.wrong is not None else self._excuses.missing()


def stands(sql: sqlite3.Connection, mark: Mark) -> bool:
    """Whether the row of a mark is there and has the hash that it had."""
    row = sql.execute("SELECT hash FROM audit WHERE id = ?", [mark.id]).fetchone()
    return mark.id == 0 or (row is not None and row[0] == mark.hash)


def broken(sql: sqlite3.Connection, mark: Mark = BEGINNING) -> int | None:
    """The first row behind a mark that was changed or whose predecessor was, or None."""
    if not stands(sql, mark):
        return mark.id
    walk = Walk(mark)
    while walk.wrong is None and walk.next(sql):
        pass
    return walk.broken()
