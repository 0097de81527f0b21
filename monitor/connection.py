"""A connection to the database that remembers what nothing can mend, whichever statement met it, and which files it has open.

Result codes: https://sqlite.org/rescode.html.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, TypeGuard

_WAITING_HELPS = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_UNUSABLE = {
    sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_NOLFS,
}  # fmt: skip

_FILES = {"the file": "", "its journal (-wal)": "-wal", "its index (-shm)": "-shm"}


def is_busy(error: BaseException) -> bool:
    """Another process is writing: the next try gets its turn."""
    return _code(error) in _WAITING_HELPS


def is_unusable(error: BaseException) -> bool:
    """The file or its disk: malformed, read-only, full. No other statement would fare better for long."""
    return _code(error) in _UNUSABLE


def concerns_file(error: BaseException) -> TypeGuard[sqlite3.Error]:
    """Busy or unusable: no row is to blame. Every other error, malformed JSON in a column included, comes from what a statement met."""
    return is_busy(error) or is_unusable(error)


def _code(error: BaseException) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


class Connection(sqlite3.Connection):
    """`fault` is the first error after which nothing more can be relied on; some callers swallow errors, this does not."""

    fault: sqlite3.Error | None = None

    def cursor(self, factory: Any = None) -> Any:
        """Every statement goes through one of ours."""
        return super().cursor(factory or Cursor)

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """As sqlite3 does."""
        found: sqlite3.Cursor = self.cursor().execute(sql, parameters)
        return found

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        """As sqlite3 does."""
        found: sqlite3.Cursor = self.cursor().executemany(sql, parameters)
        return found


class Cursor(sqlite3.Cursor):
    """Rows may be read, and go wrong, long after their statement began."""

    def execute(self, sql: str, parameters: Any = (), /) -> Cursor:
        """As sqlite3 does."""
        try:
            super().execute(sql, parameters)
        except sqlite3.Error as error:
            self._note(error)
            raise
        return self

    def executemany(self, sql: str, parameters: Any, /) -> Cursor:
        """As sqlite3 does."""
        try:
            super().executemany(sql, parameters)
        except sqlite3.Error as error:
            self._note(error)
            raise
        return self

    def fetchone(self) -> Any:
        """As sqlite3 does."""
        try:
            return super().fetchone()
        except sqlite3.Error as error:
            self._note(error)
            raise

    def fetchall(self) -> list[Any]:
        """As sqlite3 does."""
        try:
            return super().fetchall()
        except sqlite3.Error as error:
            self._note(error)
            raise

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except sqlite3.Error as error:
            self._note(error)
            raise

    def _note(self, error: sqlite3.Error) -> None:
        if is_unusable(error) and isinstance(self.connection, Connection):
            self.connection.fault = self.connection.fault or error


class OpenFiles:
    """The database, its journal and its index as they were opened. Whoever replaces or deletes one of them leaves us writing
    where nobody reads: SQLite notices neither while the journal is a WAL.
    """

    def __init__(self, path: Path) -> None:
        self._paths = {name: path.with_name(f"{path.name}{end}") for name, end in _FILES.items()}
        self._opened = {name: _identity(one) for name, one in self._paths.items()}

    def changed(self) -> str:
        """What of them is no longer the file that was opened, or an empty string."""
        for name, opened in self._opened.items():
            now = _identity(self._paths[name])
            if opened and now != opened:
                return f"{name} was {'replaced' if now else 'deleted'} while it was open"
        return ""


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino
