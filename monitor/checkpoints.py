"""Moves what stands in the database's journal (-wal) into the database while nothing else is to do, and when the daemon ends.

SQLite does it by itself only every thousand pages: until then whoever copies the file alone, against all advice, copies little.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

log = logging.getLogger("monitor.checkpoints")

QUIET = timedelta(seconds=10)  # without a write of anybody
EVERY = timedelta(seconds=60)
PAGES = 1_000  # of the journal, after which SQLite does it by itself
_PATIENCE = 1.0  # seconds for readers, when the daemon ends


class Checkpoints:
    """Looks at the journal's size and time, which change with every write, whichever process makes it."""

    def __init__(self, database: Path) -> None:
        self._database, self._journal = database, database.with_name(f"{database.name}-wal")
        self._seen: tuple[int, int] | None = None
        self._changed_at: datetime | None = None  # None: nothing has been written since the last one
        self._done_at: datetime | None = None

    async def look(self, now: datetime) -> bool:
        """Called every second; whether there was a checkpoint: beside the loop, for it waits for the disk. Raises sqlite3.Error."""
        if (found := self._about()) != self._seen:
            self._seen, self._changed_at = found, now
        if self._changed_at is None or timedelta() <= now - self._changed_at < QUIET:
            return False
        if self._done_at is not None and timedelta() <= now - self._done_at < EVERY:
            return False
        self._changed_at, self._done_at = None, now
        if not await asyncio.to_thread(_move, self._database):  # a reader needs what stood there: once more, in a minute
            self._changed_at = now
        return True

    def _about(self) -> tuple[int, int] | None:
        try:
            found = self._journal.stat()
        except OSError:
            return None
        return found.st_size, found.st_mtime_ns


def move(database: Path) -> None:
    """What stands in the journal now, in a thread: whoever writes meanwhile goes on. Never raises."""
    try:
        _move(database)
    except sqlite3.Error as error:
        log.info("the journal of the database was not moved into it: %s", error)


def _move(database: Path) -> bool:
    """Whether all of it was moved, by a connection of its own. It waits for no reader. Raises sqlite3.Error."""
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True, timeout=_PATIENCE)) as sql:
        busy, pages, moved = sql.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return not busy and moved == pages


def fold(database: Path) -> None:
    """The daemon ends: move everything, and empty the journal, also where a command still has the file open. Never raises."""
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True, timeout=_PATIENCE)) as sql:
            busy, _, _ = sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            log.info("the journal of the database was not emptied: a command reads it; whoever closes the file last does it")
    except sqlite3.Error as error:
        log.warning("the journal of the database was not emptied: %s", error)
