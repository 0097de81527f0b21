"""Older acts of the audit chain, some hundred to a packed row. `chain` moves them here, and reads them for everybody.

Rows follow each other without a gap from act 1 on, and the table of the newest acts begins where they end. The hash of an act is not
kept, for it is computed along the chain; that of the last one is, and those of acts that words were taken out of. Whoever can write
the file can write anything here: what cannot be read is a row without acts.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from monitor import bounded_json, packing, record

FIELDS = ("at", "actor", "action", "subject", "detail")  # of an act, in the order of its hash
INCIDENT = "INC-"  # how the subject of an incident's act begins
TABLES = """
CREATE TABLE sealed(last INTEGER PRIMARY KEY, hash TEXT NOT NULL, acts BLOB NOT NULL) STRICT;
CREATE TABLE sealed_incidents(subject TEXT NOT NULL, last INT NOT NULL, PRIMARY KEY(subject, last)) STRICT, WITHOUT ROWID;
"""
_MOST = (1 << 63) - 1  # the greatest number that SQLite has

Act = list[str]  # its fields


@dataclass(frozen=True, slots=True)
class Block:
    """The acts of one row: `before` is the hash of the act before the first, `hash` that of the last, `bare` has those of acts that
    do not fit theirs, by number. Without acts where the row cannot be read.
    """

    first: int
    last: int
    before: str
    hash: str
    acts: list[Act]
    bare: dict[int, str]

    def numbered(self) -> Iterator[tuple[int, Act]]:
        """Each act with its number."""
        return enumerate(self.acts, self.first)

    def hashes(self) -> dict[int, str]:
        """By number, computed along the chain."""
        found, linked = dict[int, str](), self.before
        for number, fields in self.numbered():
            linked = self.bare.get(number) or record.link(linked, [*fields])
            found[number] = linked
        return found

    def subjects(self) -> dict[str, int]:
        """Of the acts about incidents, each with the first of its acts."""
        found = dict[str, int]()
        for number, fields in self.numbered():
            if fields[3].startswith(INCIDENT):
                found.setdefault(fields[3], number)
        return found

    def packed(self) -> bytes | None:
        """As the row has it; None for more than can be unpacked again, or what would read otherwise."""
        columns: dict[str, Any] = dict(zip(FIELDS, zip(*self.acts, strict=True), strict=True))
        body = json.dumps(columns | {"bare": self.bare}, ensure_ascii=False, separators=(",", ":")).encode()
        if len(body) > packing.MOST:
            return None
        made = packing.pack(body)
        return made if _read(made, len(self.acts)) == (self.acts, self.bare) else None


def end(sql: sqlite3.Connection, before: int = _MOST) -> tuple[int, str]:
    """The number and the hash of the last act here, of rows that end before this one; 0 and nothing where there is none."""
    if not _is_there(sql):
        return 0, ""
    row = sql.execute("SELECT last, hash FROM sealed WHERE rowid < ? ORDER BY rowid DESC LIMIT 1", [before]).fetchone()
    return (row[0], row[1]) if row else (0, "")


def behind(sql: sqlite3.Connection, number: int) -> Block | None:
    """The row that has the act behind this one; None where none has."""
    if not _is_there(sql):
        return None
    row = sql.execute("SELECT last, hash, acts FROM sealed WHERE rowid > ? ORDER BY rowid LIMIT 1", [number]).fetchone()
    if row is None:
        return None
    before, linked = end(sql, row[0])
    try:
        acts, bare = _read(row[2], row[0] - before)
    except (ValueError, LookupError, TypeError, AttributeError):
        acts, bare = [], {}
    return Block(before + 1, row[0], linked, row[1], acts, bare)


def _is_there(sql: sqlite3.Connection) -> bool:
    """Not in the copies of earlier versions, which are verified as well."""
    return sql.execute("SELECT 1 FROM sqlite_master WHERE name = 'sealed'").fetchone() is not None


def _read(stored: bytes, count: int) -> tuple[list[Act], dict[int, str]]:
    """So many acts, and the hashes of some. Raises ValueError, and what any other shape leads to."""
    said = bounded_json.read(packing.unpack(stored))
    columns = [said[name] for name in FIELDS]
    acts = [list(one) for one in zip(*columns, strict=True)]
    bare = {int(number): linked for number, linked in said["bare"].items()}
    if len(acts) != count or {type(value) for column in (*columns, bare.values()) for value in column} - {str}:
        raise ValueError(f"not {count} acts")
    return acts, bare


def every(sql: sqlite3.Connection, since: int = 0, again: Iterable[int] = ()) -> Iterator[Block]:
    """All rows that have acts behind one, and before them those with these acts, in order."""
    last = 0
    for number in again:
        if number > last and (block := behind(sql, number - 1)):
            yield block
            last = block.last
    last = max(last, since)
    while block := behind(sql, last):
        yield block
        last = block.last


def about(sql: sqlite3.Connection, subject: str) -> Iterator[Block]:
    """The rows that have acts of an incident, in order."""
    for (last,) in sql.execute("SELECT last FROM sealed_incidents WHERE subject = ? ORDER BY last", [subject]).fetchall():
        if (block := behind(sql, last - 1)) and block.last == last:
            yield block


def is_listed(sql: sqlite3.Connection, subject: str, last: int) -> bool:
    """Whether `about` finds this row."""
    return sql.execute("SELECT 1 FROM sealed_incidents WHERE subject = ? AND last = ?", [subject, last]).fetchone() is not None


def put(sql: sqlite3.Connection, block: Block) -> bool:
    """Write a row, or write it anew; whether it can be written. In a transaction."""
    packed = block.packed()
    if packed is None:
        return False
    sql.execute("INSERT OR REPLACE INTO sealed VALUES(?, ?, ?)", [block.last, block.hash, packed])
    sql.executemany("INSERT OR IGNORE INTO sealed_incidents VALUES(?, ?)", [(subject, block.last) for subject in block.subjects()])
    return True
