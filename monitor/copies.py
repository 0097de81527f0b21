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
from typing import Any

import monitor
from monitor import chain, numbering, record, sealed
from monitor.config import ConfigError
from monitor.database import LOOKING, PATIENT, held, look, refuse

SPARED = 100_000_000  # bytes left on the daemon's own disk, below which it pages that its disk is full
KEPT = 2  # copies from before an upgrade
SAID = "copy"  # under which a copy says what it is
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
def checked_copy(
    database: Path, folder: Path, now: datetime, *, as_it_is: bool = False, spared: int = SPARED
) -> Iterator[tuple[Path, Copy]]:
    """A copy in `folder` that passed every check and is on the disk. It is gone afterwards, unless `publish` gave it a name.
    With `as_it_is` also one of a database whose rows somebody changed. `spared` bytes stay free on the daemon's disk.

    Raises CopyError, and ConfigError where there is no database of ours. The daemon's writes wait for none of it.
    """
    try:
        shape = look(database)
        if shape is None:
            raise ConfigError(f"{database}: there is no database yet: start the daemon once, or name another configuration with --config")
        refuse(database, shape)
        for place in (folder, database.parent):  # where a copy for a pipe is made
            clear(place)
        with unfinished(folder) as (path, descriptor):
            _leave_room(database, folder, spared)
            _fill(database, path, descriptor, now)
            found = _examined_of(database, path, as_it_is=as_it_is)
            os.fsync(descriptor)
            yield path, found
    except (OSError, sqlite3.Error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise CopyError(f"nothing was copied to {folder}: {why}. No file was left there") from error


def publish(made: Path, target: Path) -> None:
    """Give a copy its name, in the folder in which it was made. Raises CopyError where that name is taken, and OSError."""
    try:
        link(made, target)
    except FileExistsError:
        raise CopyError(f"{target} is already there, and nothing is ever overwritten: name another file, or a folder") from None
    with contextlib.suppress(OSError):  # it has its name: some network file systems sync no folder, and what is left is cleared later
        made.unlink(missing_ok=True)
        sync(target.parent)


def sync(folder: Path) -> None:
    """What has which name there is on the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def link(made: Path, target: Path) -> None:
    """A second name, or where there can be none another one. Raises FileExistsError where it is taken, which a rename would not,
    and OSError.
    """
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


def examined(path: Path, *, as_it_is: bool = False) -> Copy:
    """What a finished copy says of itself. Raises CopyError for one that is damaged, newer than we are, or no copy of ours, and
    OSError for one that cannot be read; writes nothing. See `checked_copy` for `as_it_is`.
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
            return _checked(path, sql, as_it_is=as_it_is)
    except sqlite3.Error as error:
        raise CopyError(f"{path}: the copy is damaged ({error})") from error


def _examined_of(database: Path, path: Path, *, as_it_is: bool) -> Copy:
    """What is wrong with a fresh copy is likely wrong with the database."""
    try:
        return examined(path, as_it_is=as_it_is)
    except CopyError as error:
        raise CopyError(f"{database}: no good copy could be made, `hijack-monitor status` says how the database is ({error})") from error


def _checked(path: Path, sql: sqlite3.Connection, *, as_it_is: bool) -> Copy:
    found = sql.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise CopyError(f"{path}: the copy is damaged ({' '.join(found.split())})")
    if not as_it_is:
        if wrong := sql.execute("PRAGMA foreign_key_check").fetchone():
            raise CopyError(f"{path}: the copy is damaged (a row of {wrong[0]} refers to none of {wrong[2]})")
        if (number := chain.broken(sql)) is not None:
            raise CopyError(f"{path}: the audit chain is broken at row {number}: somebody changed the database")
    copy = described(sql)
    if copy is None or copy.rows != rows(sql):
        raise CopyError(f"{path}: it was changed since it was made, or `hijack-monitor backup` did not make it")
    shape = look(path)
    if shape and (why := shape.refusal()):
        raise CopyError(f"{path}: {why}: use it with that one")
    return copy


def named(path: Path | str) -> str:
    """A file's name as text, also where it is none: it is kept in databases."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def described(sql: sqlite3.Connection) -> Copy | None:
    """What a database says of the copy that it is, or once was."""
    row = sql.execute("SELECT value FROM meta WHERE key = ?", [SAID]).fetchone()
    return said(str(row[0])) if row else None


def said(text: str) -> Copy | None:
    """The same from the words themselves."""
    return record.remembered(text, _copy, None)


def _copy(found: dict[str, Any]) -> Copy:
    counts = {str(table): int(count) for table, count in found["rows"].items()}
    return Copy(str(found["version"]), str(found["schema"]), str(found["install"]), record.utc(found["at"]), counts)


def opened(path: Path, how: str) -> sqlite3.Connection:
    """A connection that makes no file, migrates nothing and has no transactions of its own. Raises sqlite3.Error."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=PATIENT / 1000, isolation_level=None)


def clear(folder: Path) -> None:
    """What a copy or a look that was killed left there. One that is under way is locked by whoever is at it; a kill gives that back."""
    for left in folder.glob(f"{LOOKING}*"):
        with contextlib.suppress(OSError), held(left):
            shutil.rmtree(left)
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
def unfinished(folder: Path) -> Iterator[tuple[Path, int]]:
    """(a new file of ours alone there, its descriptor). It is gone afterwards, unless it got a name. Raises OSError."""
    path = folder / f".hijack-monitor-{secrets.token_hex(8)}.part"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with contextlib.suppress(OSError):  # where nothing can be locked, nobody can lock what was left there either
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield path, descriptor
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _leave_room(database: Path, folder: Path, spared: int) -> None:
    """The disk that the daemon writes to must not be filled by a copy of what it wrote."""
    if folder.stat().st_dev != database.stat().st_dev:
        return
    wal = database.with_name(f"{database.name}-wal")
    needed = database.stat().st_size + (wal.stat().st_size if wal.exists() else 0)
    free = shutil.disk_usage(folder).free
    if free < needed + spared:
        raise CopyError(
            f"{folder}: {free / 1e6:.0f} MB are free, and a copy takes up to {needed / 1e6:.0f} MB of the disk that the daemon writes to,"
            f" of which {spared / 1e6:.0f} MB have to stay free: name a folder on another disk, or make room"
        )


def _fill(database: Path, path: Path, descriptor: int, now: datetime) -> None:
    """One step: a copy in several begins again after every write. The copy is nobody else's, so that it needs no lock and no journal."""
    with closing(opened(database, "mode=rw")) as source, closing(opened(path, "mode=rw&nolock=1")) as copy:
        copy.execute("PRAGMA journal_mode=OFF")
        copy.execute("PRAGMA synchronous=OFF")
        source.backup(copy, pages=-1, progress=_in_one)
    os.pwrite(descriptor, _ROLLBACK, _JOURNAL)  # it is one file, and can be read where nothing can be written
    with closing(opened(path, "mode=rw&nolock=1")) as copy:
        copy.execute("PRAGMA journal_mode=OFF")
        copy.execute("PRAGMA synchronous=OFF")
        describe(copy, path, now)


def describe(sql: sqlite3.Connection, path: Path, at: datetime) -> None:
    """Write down of which time it is a copy, and what it holds. Raises sqlite3.Error and OSError."""
    shape = look(path)
    about = {
        "version": monitor.__version__,
        "schema": max(shape.applied) if shape else "",
        "install": numbering.kept(sql, "install"),
        "at": record.stamp(at),
        "rows": rows(sql),
    }
    numbering.keep(sql, SAID, json.dumps(about))


def _in_one(status: int, remaining: int, total: int) -> None:
    """sqlite3 would ask for ever."""
    if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        raise CopyError(f"another process holds the database ({total - remaining} of {total} pages were read): try again")


def rows(sql: sqlite3.Connection) -> dict[str, int]:
    """How many rows each table has, but for the one in which that is written down; packed acts count as what they are."""
    named = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_%' ESCAPE '\\'"
    tables = sorted(name for (name,) in sql.execute(named) if name != "meta")
    found = {name: int(sql.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]) for name in tables}  # noqa: S608 - a table's own name
    return found | {"audit": found["audit"] + sealed.end(sql)[0]} if "sealed" in found else found


# --- before an upgrade -------------------------------------------------------------------------------


def keep_before(database: Path, target: Path, now: datetime) -> None:
    """The copy that the older version can be started with again, as `target` or behind that name a number: what another build kept
    under it stays. None is made where we were killed since, and nothing was written. The last two of this installation stay.

    The daemon lives with rows that somebody changed, so that they keep no upgrade from it. Raises CopyError.
    """
    others = [path for path in database.parent.iterdir() if _is_from_before(path, database)]
    if any(_is_the_same(database, path) for path in others):
        return
    with checked_copy(database, database.parent, now, as_it_is=True, spared=0) as (made, copy):
        name, number = target, 1
        while os.path.lexists(name):
            number += 1
            name = target.with_name(f"{target.name}-{number}")
        publish(made, name)
    mine = sorted(((old.at, path) for path in others if (old := told_by(path)) and old.install == copy.install), reverse=True)
    for _, path in mine[KEPT - 1 :]:
        with contextlib.suppress(OSError):
            path.unlink()


def _is_from_before(path: Path, database: Path) -> bool:
    """By its name, with a version. What somebody named otherwise is not ours to look at or delete."""
    named = re.fullmatch(rf"{re.escape(database.name)}\.before-[0-9][0-9A-Za-z.+]*(-[0-9]+)?", path.name)
    return named is not None and not path.is_symlink() and path.is_file()


def _is_the_same(database: Path, path: Path) -> bool:
    """Whether a good copy holds what the database does: every start and every second of a daemon is noted in `meta`, every act has its row."""
    try:
        examined(path, as_it_is=True)
        with closing(opened(database, "mode=rw")) as now, closing(opened(path, "mode=ro&immutable=1")) as then:
            noted = f"SELECT key, value FROM meta WHERE key != '{SAID}' ORDER BY key"  # noqa: S608 - a constant
            alike = look(database) == look(path) and rows(now) == rows(then)
            return alike and now.execute(noted).fetchall() == then.execute(noted).fetchall()
    except (CopyError, sqlite3.Error, OSError):
        return False


def told_by(path: Path) -> Copy | None:
    """What a file says of the copy that it is, unchecked."""
    try:
        with closing(opened(path, "mode=ro&immutable=1")) as sql:
            return described(sql)
    except sqlite3.Error:
        return None
