"""A checked copy of the database, made while the daemon writes. Backups, restores and migrations take no other.

It is made under a temporary name, says in itself what wrote it, is checked, synced, and only then gets its name:
a kill at any moment leaves the whole copy or none. Nothing is ever overwritten.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import secrets
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import monitor
from monitor import chain, record, schema
from monitor.config import ConfigError

SPARED = 100_000_000  # bytes left on the daemon's own disk, below which it pages that its disk is full
SAID = "copy"  # under which a copy says what it is
_PATIENCE = 3.0  # seconds for whoever holds the database altogether
_JOURNAL, _ROLLBACK = 18, b"\x01\x01"  # where the header says how a file is journalled: https://sqlite.org/fileformat.html
_UNFINISHED = re.compile(r"\.hijack-monitor-[0-9a-f]{16}\.part")
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}  # of a file system that has no hard links
_AT_FDCWD, _NOREPLACE = -100, 1  # linux/fcntl.h, linux/fs.h


class CopyError(Exception):
    """There is no good copy; the message says what was found and what to do."""


@dataclass(frozen=True, slots=True)
class Copy:
    """What a copy says of itself: the version of us and the step of the schema that wrote it, whose it is, of when, how many rows."""

    version: str
    schema: str
    install: str
    at: datetime
    rows: Mapping[str, int]


@contextmanager
def checked_copy(database: Path, folder: Path, now: datetime) -> Iterator[tuple[Path, Copy]]:
    """A copy in `folder` that passed every check and is on the disk. It is gone afterwards, unless `publish` gave it a name.

    Raises CopyError, and ConfigError where there is no database of ours. The daemon's writes wait for none of it.
    """
    if not database.exists():
        raise ConfigError(f"{database}: there is no database yet: start the daemon once, or name another configuration with --config")
    try:
        for place in (folder, database.parent):  # where a copy for a pipe is made
            clear(place)
        with _unfinished(folder) as (path, descriptor):
            _leave_room(database, folder)
            _fill(database, path, descriptor, now)
            found = examined(path)
            os.fsync(descriptor)
            yield path, found
    except (OSError, sqlite3.Error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise CopyError(f"nothing was copied to {folder}: {why}. No file was left there") from error


def publish(made: Path, target: Path) -> None:
    """Give a copy its name, in the folder in which it was made. Raises CopyError where that name is taken, and OSError."""
    try:
        _name(made, target)
    except FileExistsError:
        raise CopyError(f"{target} is already there, and nothing is ever overwritten: name another file, or a folder") from None
    made.unlink(missing_ok=True)
    descriptor = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # some network file systems sync no folder
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _name(made: Path, target: Path) -> None:
    """A link refuses a name that is taken, a plain rename would not."""
    try:
        os.link(made, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        rename_only(made, target)


def rename_only(made: Path, target: Path) -> None:
    """For file systems without hard links. Raises FileExistsError like a link, and OSError where that cannot be promised."""
    import ctypes  # hardly ever needed

    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        raise OSError(errno.ENOSYS, "this system cannot rename a file without overwriting another")
    if call(_AT_FDCWD, os.fsencode(made), _AT_FDCWD, os.fsencode(target), _NOREPLACE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def examined(path: Path) -> Copy:
    """What a finished copy says of itself. Raises CopyError for one that is damaged, newer than we are, or no copy of ours, and
    OSError for one that cannot be read; writes nothing.
    """
    with path.open("rb") as file:
        file.seek(_JOURNAL)
        if file.read(len(_ROLLBACK)) != _ROLLBACK:
            raise CopyError(
                f"{path}: it is no finished copy, like a `cp` of a database in use, which lacks what stands in its -wal:"
                " make one with `hijack-monitor backup`"
            )
    try:
        with closing(opened(path, "mode=ro&immutable=1")) as sql:
            return _checked(path, sql)
    except sqlite3.Error as error:
        raise CopyError(f"{path}: the copy is damaged ({error})") from error


def _checked(path: Path, sql: sqlite3.Connection) -> Copy:
    found = sql.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise CopyError(f"the copy is damaged ({found}), and so may be the database: `hijack-monitor status` says how it is")
    if wrong := sql.execute("PRAGMA foreign_key_check").fetchone():
        raise CopyError(f"the copy is damaged (a row of {wrong[0]} refers to none of {wrong[2]}), and so may be the database")
    if (number := chain.broken(sql)) is not None:
        raise CopyError(f"the audit chain is broken at row {number}: somebody changed the database")
    copy = described(sql)
    if copy is None or copy.rows != _rows(sql):
        raise CopyError(f"{path}: it was changed since it was made, or `hijack-monitor backup` did not make it")
    if newer := schema.unknown(sql):
        raise CopyError(f"{path}: version {copy.version} made it ({', '.join(newer)}), this is {monitor.__version__}: use it with that one")
    return copy


def described(sql: sqlite3.Connection) -> Copy | None:
    """What a database says of the copy that it is, or once was."""
    row = sql.execute("SELECT value FROM meta WHERE key = ?", [SAID]).fetchone()
    return said(str(row[0])) if row else None


def said(text: str) -> Copy | None:
    """The same from the words themselves."""
    return record.remembered(text, _copy, None)


def _copy(found: dict[str, object]) -> Copy | None:
    at, rows = record.moment(str(found["at"])), found["rows"]
    if at is None or not isinstance(rows, dict):
        return None
    return Copy(str(found["version"]), str(found["schema"]), str(found["install"]), at, {str(k): int(v) for k, v in rows.items()})


def opened(path: Path, how: str) -> sqlite3.Connection:
    """A connection that makes no file, migrates nothing and has no transactions of its own. Raises sqlite3.Error."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=_PATIENCE, isolation_level=None)


def clear(folder: Path) -> None:
    """What a copy that was killed left there. One that is being made is locked by whoever makes it; a kill gives that back."""
    for left in folder.iterdir():
        if _UNFINISHED.fullmatch(left.name):
            with contextlib.suppress(OSError):  # somebody else's, or being made
                descriptor = os.open(left, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    left.unlink()
                finally:
                    os.close(descriptor)


@contextmanager
def _unfinished(folder: Path) -> Iterator[tuple[Path, int]]:
    path = folder / f".hijack-monitor-{secrets.token_hex(8)}.part"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with contextlib.suppress(OSError):  # where nothing can be locked, nobody can lock what was left there either
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield path, descriptor
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _leave_room(database: Path, folder: Path) -> None:
    """The disk that the daemon writes to must not be filled by a copy of what it wrote."""
    if folder.stat().st_dev != database.stat().st_dev:
        return
    wal = database.with_name(f"{database.name}-wal")
    needed = database.stat().st_size + (wal.stat().st_size if wal.exists() else 0)
    free = shutil.disk_usage(folder).free
    if free < needed + SPARED:
        raise CopyError(
            f"{folder}: {free / 1e6:.0f} MB are free, and a copy takes up to {needed / 1e6:.0f} MB of the disk that the daemon writes to,"
            f" of which {SPARED / 1e6:.0f} MB have to stay free: name a folder on another disk, or make room"
        )


def _fill(database: Path, path: Path, descriptor: int, now: datetime) -> None:
    """One step: a copy in several begins again after every write. The copy is nobody else's, so that it needs no lock and no journal."""
    with closing(opened(database, "mode=rw")) as source, closing(opened(path, "mode=rw&nolock=1")) as copy:
        if not schema.applied(source):
            raise ConfigError(f"{database}: found no database of hijack-monitor, expected the one in [monitor] data_dir")
        if newer := schema.unknown(source):
            raise ConfigError(
                f"{database}: a newer version of hijack-monitor wrote it ({', '.join(newer)}), this is {monitor.__version__}:"
                " run the command of that version"
            )
        copy.execute("PRAGMA journal_mode=OFF")
        copy.execute("PRAGMA synchronous=OFF")
        source.backup(copy, pages=-1, progress=_in_one)
    os.pwrite(descriptor, _ROLLBACK, _JOURNAL)  # it is one file, and can be read where nothing can be written
    with closing(opened(path, "mode=rw&nolock=1")) as copy:
        copy.execute("PRAGMA journal_mode=OFF")
        copy.execute("PRAGMA synchronous=OFF")
        about = {
            "version": monitor.__version__,
            "schema": max(schema.applied(copy)),
            "install": copy.execute("SELECT value FROM meta WHERE key = 'install'").fetchone()[0],
            "at": record.stamp(now),
            "rows": _rows(copy),
        }
        copy.execute("INSERT INTO meta VALUES(?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value", [SAID, json.dumps(about)])


def _in_one(status: int, remaining: int, total: int) -> None:
    """sqlite3 would ask for ever."""
    if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        raise CopyError(f"another process holds the database ({total - remaining} of {total} pages were read): try again")


def _rows(sql: sqlite3.Connection) -> dict[str, int]:
    """How many rows each table has, but for the one in which that is written down."""
    named = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_%' ESCAPE '\\'"
    tables = sorted(name for (name,) in sql.execute(named) if name != "meta")
    return {name: int(sql.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]) for name in tables}  # noqa: S608 - a table's own name
