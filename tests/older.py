"""Databases as every earlier version left them: the first steps, in the order in which they came to be.

0.1.0 is not out: no tag, no package. Whoever runs the monitor runs some state of the main branch, so every shape that ever stood
there counts as released.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from monitor import schema

CAME = ("0001", "0002", "0003", "0004", "0008", "0010", "0011", "0013", "0005", "0007", "0006", "0014", "0016", "0019", "0020", "0021")


def steps(count: int) -> list[str]:
    """The names of the first so many."""
    names = {name[:4]: name for name in schema.STEPS}
    return [names[number] for number in CAME[:count]]


def make(path: Path, count: int) -> None:
    """An empty database of the shape after so many steps, as sqlite_utils writes it down."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.execute("PRAGMA journal_mode=WAL")
        old.execute("CREATE TABLE _sqlite_migrations(id INTEGER PRIMARY KEY, migration_set TEXT, name TEXT, applied_at TEXT)")
        old.execute("CREATE UNIQUE INDEX idx__sqlite_migrations_migration_set_name ON _sqlite_migrations(migration_set, name)")
        for name in steps(count):
            schema.take(old, schema.STEPS[name])
            old.execute("INSERT INTO _sqlite_migrations(migration_set, name, applied_at) VALUES('hijack-monitor', ?, '2026-11-01')", [name])
