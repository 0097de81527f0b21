"""The audit chain: the hash of every act is also of the one before it, so that nothing can be changed unnoticed.

`previous` repeats that hash in rows for earlier versions. It is empty in those of this one: whoever checks knows it from the row before.
All but the newest acts are packed, see `sealed`; who reads the chain here reads it whole.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain as chained
from itertools import islice
from typing import Any

from monitor import record, sealed
from monitor.sealed import Block

log = logging.getLogger("monitor.chain")

FORGOTTEN = "post forgotten"  # the one act after which a row may lack words
_BARE = "redacted"  # in the detail of such a row: when
BLOCK = 500  # rows that are read at once, and acts in a packed row: twice as many would save a tenth, and take twice the time
KEPT = 10_000  # of the newest acts, at least so many are not packed: what somebody looks for is mostly there
_LONG = 512 << 10  # characters, after which it takes no further act
_LOST = "acts lost"  # what stands in for a packed row that is damaged
_OF_INCIDENTS = "subject >= 'INC-' AND subject < 'INC.'"  # word for word as the index says it: else SQLite does not use it


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


@contextmanager
def at_once(sql: sqlite3.Connection) -> Iterator[None]:
    """What is read within is of one moment: the daemon may pack acts while a command reads them."""
    sql.execute("SAVEPOINT at_once")
    try:
        yield
    finally:
        if sql.in_transaction:
            sql.execute("RELEASE at_once")


def seal(sql: sqlite3.Connection, kept: int = KEPT, most: int = BLOCK) -> bool:
    """Pack the `most` oldest acts that are not packed yet into one row; whether there were as many beyond the `kept` newest. In a
    transaction, which takes some milliseconds. The newest act always stays: its number is what the next one counts on from. What does
    not hold is left as it is, for whoever looks at what a `Walk` found.
    """
    last, before = sealed.end(sql)
    (newest,) = sql.execute("SELECT max(id) FROM audit").fetchone()
    if newest is None or newest - last < max(kept, 1) + most:
        return False
    acts, bare, linked, length = list[list[str]](), dict[int, str](), before, 0
    for number, previous, said, *fields in sql.execute(_NEXT, [last, most]).fetchall():
        fits = said == record.link(linked, fields)
        if number != last + len(acts) + 1 or previous not in ("", linked) or not (fits or _is_bare(fields[-1])):
            return False
        if not fits:
            bare[number] = said
        acts.append(fields)
        linked, length = said, length + sum(map(len, fields))
        if length > _LONG:
            break
    block = Block(last + 1, last + len(acts), before, linked, acts, bare)
    if not acts or not sealed.put(sql, block):
        log.warning("acts %d to %d of the audit chain are not packed: they cannot be read again as they are", block.first, block.last)
        return False
    sql.execute("DELETE FROM audit WHERE id BETWEEN ? AND ?", [block.first, block.last])
    return True


def bare(sql: sqlite3.Connection, number: int, left: str, now: datetime) -> list[str]:
    """Take words out of a row's detail, so that its hash does not fit it any more; returns that hash, and the one that fits what is
    left. Only a later act of `FORGOTTEN` that names both excuses it: see `Excuses`. In a transaction.
    """
    detail = json.loads(left)
    said = detail if isinstance(detail, dict) else {"detail": detail}
    text = json.dumps(said | {_BARE: record.stamp(now)}, ensure_ascii=False, sort_keys=True)
    if block := sealed.behind(sql, number - 1):
        hashes, place = block.hashes(), number - block.first
        acts = [*block.acts]
        acts[place] = fields = [*acts[place][:-1], text]
        if not sealed.put(sql, replace(block, acts=acts, bare=block.bare | {number: hashes[number]})):
            raise sqlite3.DataError(f"act {number} cannot be changed: the packed acts around it would be too long")
        return [hashes[number], record.link(hashes.get(number - 1, block.before), [*fields])]
    sql.execute("UPDATE audit SET detail = ? WHERE id = ?", [text, number])
    linked, *fields = sql.execute("SELECT hash, at, actor, action, subject, detail FROM audit WHERE id = ?", [number]).fetchone()
    before = sql.execute("SELECT hash FROM audit WHERE id < ? ORDER BY id DESC LIMIT 1", [number]).fetchone()
    return [linked, record.link(before[0] if before else sealed.end(sql)[1], [*fields])]


def _is_bare(detail: str) -> bool:
    return f'"{_BARE}"' in detail


class Excuses:
    """Rows whose hash does not fit them, until an act that was made later says why."""

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[list[str], str, str]] = {}

    def waits(self, number: int, linked: str, fitting: str, action: str, detail: str) -> bool:
        """Whether this row may be one that words were taken out of; `fitting` is the hash of what stands there now."""
        if not _is_bare(detail):
            return False
        self._waiting[number] = [linked, fitting], action, detail
        return True

    def heard(self, action: str, detail: str) -> None:
        """A row that fits its hash. One that cannot be read excuses nothing: whoever made the chain anew may have written anything.
        One that is excused counts as well: what is left of it may excuse others.
        """
        heard = [(action, detail)]
        while heard:
            action, detail = heard.pop()
            if action == FORGOTTEN:
                said: dict[str, object] = record.remembered(detail, lambda found: dict(found["acts"]), {})
                excused = [number for number, (both, *_) in self._waiting.items() if said.get(str(number)) == both]
                heard += [self._waiting.pop(number)[1:] for number in excused]

    def missing(self) -> int | None:
        """The first row that nothing excuses."""
        return min(self._waiting, default=None)


def acts(sql: sqlite3.Connection, incident: int) -> list[dict[str, str]]:
    """What was done about an incident, in order: at, actor, action, subject, detail. Of acts that cannot be read, a line says so."""
    subject, found = f"{sealed.INCIDENT}{incident}", list[list[str]]()
    query = f"SELECT at, actor, action, subject, detail FROM audit WHERE {_OF_INCIDENTS} AND subject = ? ORDER BY id"  # noqa: S608 - ours
    with at_once(sql):
        for block in sealed.about(sql, subject):
            lost = [] if block.acts else [["", "", _LOST, subject, json.dumps({"why": unreadable(block)})]]
            found += [one for one in block.acts if one[3] == subject] + lost
        found += map(list, sql.execute(query, [subject]))
    return [dict(zip(sealed.FIELDS, one, strict=True)) for one in found]


def count(sql: sqlite3.Connection) -> int:
    """How many acts there are, packed ones among them."""
    return sealed.end(sql)[0] + int(sql.execute("SELECT count(*) FROM audit").fetchone()[0])


def unreadable(block: Block) -> str:
    """Which acts are lost with a damaged row."""
    return f"acts {block.first} to {block.last} of the audit chain cannot be read: their row in the table sealed is damaged"


def details(sql: sqlite3.Connection, since: int = 0, again: Iterable[int] = ()) -> Iterator[tuple[int, str, str | None]]:
    """Of every act behind one its number, subject and detail; of a damaged row of packed ones that of the first, what is lost, and None.
    Those of these numbers come `again`, and with a packed one all of its row.
    """
    before = sorted(number for number in again if number <= since)
    for block in sealed.every(sql, since, before):
        if not block.acts:
            yield block.first, unreadable(block), None
        yield from ((number, fields[3], fields[4]) for number, fields in block.numbered())
    for which, values in (("id IN (SELECT value FROM json_each(?))", json.dumps(before)), ("id > ?", since)):
        yield from sql.execute(f"SELECT id, subject, detail FROM audit WHERE {which} ORDER BY id", [values])  # noqa: S608 - ours


def newest(sql: sqlite3.Connection, limit: int = -1, before: int = 0) -> Iterator[tuple[Any, ...]]:
    """The newest first: number and fields of those before a number, and one more than `limit`. Of a damaged row one line says so."""
    most, top = limit + 1 if limit >= 0 else -1, before or 2**63 - 1
    query = "SELECT id, at, actor, action, subject, detail FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?"
    here = map(tuple, sql.execute(query, [top, most]).fetchall())
    yield from islice(chained(here, _packed_before(sql, top)), most if limit >= 0 else None)


def _packed_before(sql: sqlite3.Connection, top: int) -> Iterator[tuple[Any, ...]]:
    last = sealed.end(sql)[0]
    while last > 0 and (block := sealed.behind(sql, last - 1)):
        if not block.acts and block.first < top:
            yield block.first, "", "", _LOST, "", unreadable(block)
        yield from ((number, *fields) for number, fields in reversed([*block.numbered()]) if number < top)
        last = block.first - 1


def places(sql: sqlite3.Connection, subjects: Iterable[str]) -> set[int]:
    """Numbers of acts, with which `details` comes across all that are about these incidents."""
    among = "subject IN (SELECT value FROM json_each(?1))"
    query = f"SELECT last FROM sealed_incidents WHERE {among} UNION ALL SELECT id FROM audit WHERE {_OF_INCIDENTS} AND {among}"  # noqa: S608 - ours
    return {row[0] for row in sql.execute(query, [json.dumps(sorted(subjects))])}


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
        with at_once(sql):
            while block := sealed.behind(sql, self.mark.id):
                if rows := self._packed(sql, block):
                    return rows
            return self._newest(sql)

    def _packed(self, sql: sqlite3.Connection, block: Block) -> list[Any]:
        """What is left of a packed row. Its acts hold together, or none of them has a hash that anybody could rely on."""
        first, before = self.mark.id + 1, self.mark.hash
        for about, number in block.subjects().items():
            if not sealed.is_listed(sql, about, block.last):
                self._is_wrong(number)
        rows = self._along((n, "", block.bare.get(n), *fields) for n, fields in block.numbered() if n >= first)
        if self.mark != Mark(block.last, block.hash):
            self._is_wrong(first)
            self.mark = Mark(block.last, block.hash)
            hashes = [before, *[""] * (len(rows) - 1), block.hash]
            rows = [(row[0], *hashes[place : place + 2], *row[3:]) for place, row in enumerate(rows)]
        return rows

    def _newest(self, sql: sqlite3.Connection) -> list[Any]:
        """They begin where the packed ones end: an act that stands here and there, or in neither, was brought in or taken out."""
        (last, _), (first,) = sealed.end(sql), sql.execute("SELECT min(id) FROM audit").fetchone()
        if sealed.end(sql, 1) != (0, ""):  # before act 1
            self._is_wrong(1)
        elif first is not None and first <= last:
            self._is_wrong(first)
        elif last and first != last + 1:
            self._is_wrong(last + 1)
        return self._along(sql.execute(_NEXT, [self.mark.id, BLOCK]).fetchall())

    def _along(self, rows: Iterable[Any]) -> list[Any]:
        seen, expected = list[Any](), self.mark.hash
        for number, previous, said, *fields in rows:
            fitting = record.link(expected, fields)
            linked = fitting if said is None else said
            fits = linked == fitting
            holds = previous in ("", expected) and (fits or self._excuses.waits(number, linked, fitting, fields[2], fields[-1]))
            if not holds:
                self._is_wrong(number)
            elif fits:
                self._excuses.heard(fields[2], fields[-1])
            seen.append((number, expected if holds else previous, linked, *fields))
            expected = linked
        if seen:
            self.mark = Mark(seen[-1][0], expected)
        return seen

    def _is_wrong(self, number: int) -> None:
        self.wrong = number if self.wrong is None else self.wrong

    def broken(self) -> int | None:
        """At the end: the first row that does not hold."""
        return self.wrong if self.wrong is not None else self._excuses.missing()


_NEXT = "SELECT id, previous, hash, at, actor, action, subject, detail FROM audit WHERE id > ? ORDER BY id LIMIT ?"


def stands(sql: sqlite3.Connection, mark: Mark) -> bool:
    """Whether the act of a mark is there and has the hash that it had."""
    if mark.id == 0:
        return True
    with at_once(sql):
        if block := sealed.behind(sql, mark.id - 1):
            return block.hashes().get(mark.id) == mark.hash
        row = sql.execute("SELECT hash FROM audit WHERE id = ?", [mark.id]).fetchone()
    return row is not None and row[0] == mark.hash


def broken(sql: sqlite3.Connection, mark: Mark = BEGINNING) -> int | None:
    """The first row behind a mark that was changed or whose predecessor was, or None."""
    if not stands(sql, mark):
        return mark.id
    walk = Walk(mark)
    while walk.wrong is None and walk.next(sql):
        pass
    return walk.broken()
