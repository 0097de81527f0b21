"""Names and numbers that are given once: of incidents, and of pages, which carry them into every channel. On a bare connection, so
that it works in a copy of an older version too.
"""

from __future__ import annotations

import secrets
import sqlite3
from datetime import datetime, timedelta

from monitor import record

SKIPPED = 1_000  # incident numbers in a copy, and one a minute since it was made: a message may be gone, or on a route that shows none
_KEYS, _LAST = "page keys", "last incident"  # under which they are kept
_MOST = 10**12


def keep(sql: sqlite3.Connection, name: str, value: str) -> None:
    """Remember a small thing."""
    sql.execute("INSERT INTO meta VALUES(?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value", [name, value])


def kept(sql: sqlite3.Connection, name: str) -> str:
    """A small thing remembered under a name, or an empty string."""
    row = sql.execute("SELECT value FROM meta WHERE key = ?", [name]).fetchone()
    return str(row[0]) if row else ""


def page_keys(sql: sqlite3.Connection) -> str:
    """How the keys of pages begin."""
    return kept(sql, _KEYS) or kept(sql, "install")


def install_of(key: str) -> str:
    """The installation whose page has this key, before whichever restore it was named."""
    return key.partition(":")[0].partition("-")[0]


def last_incident(sql: sqlite3.Connection) -> int:
    """The highest number that an incident has had."""
    noted = record.remembered(kept(sql, _LAST), lambda number: min(int(number), _MOST), 0)
    return max(noted, int(sql.execute("SELECT coalesce(max(id), 0) FROM incidents").fetchone()[0]))


def next_incident(sql: sqlite3.Connection) -> int:
    """A number that none has had."""
    number = last_incident(sql) + 1
    used_up_to(sql, number)
    return number


def used_up_to(sql: sqlite3.Connection, number: int) -> None:
    """The next incident has a higher number."""
    keep(sql, _LAST, str(max(number, last_incident(sql))))


def start_anew(sql: sqlite3.Connection, since: datetime, now: datetime) -> None:
    """The database is a copy from `since`: what was told after it was made had names and numbers that we would use again, and
    channels would take the new for the old. See `install_of` for the keys.
    """
    keep(sql, _KEYS, f"{kept(sql, 'install')}-{secrets.token_hex(4)}")
    used_up_to(sql, last_incident(sql) + SKIPPED + max(0, round((now - since) / timedelta(minutes=1))))
