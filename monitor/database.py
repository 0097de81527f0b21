"""Opens the database, if this version may: first it is looked at, and a look writes nothing.

What a newer version wrote is refused whole, as is what nobody of ours wrote. An older one is brought up to date by `run`
alone. The only module that imports sqlite_utils, and only when steps are due.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from monitor import __version__, private
from monitor.config import ConfigError
from monitor.connection import Connection
from monitor.schema import STEPS, take

if TYPE_CHECKING:
    from sqlite_utils import Database

PATIENT = 3_000  # milliseconds that a write waits for another process
MIN_READER = "0.1.0"  # the oldest version that understands what this one writes; raised with what an older one would misread
COPIES = 2  # for which there must be room on the disk before the steps: one is kept, and the steps write up to as much
LOOKING = ".look-"  # how the folder begins in which a look reads what must not be touched
_SET = "hijack-monitor"
_OF_SQLITE = ("-wal", "-shm", "-journal")


class UnsuitableDatabaseError(ConfigError):
    """This version must not use it; the words say why, and what to do."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a database says of itself. `version` wrote it and `min_reader` may read it: empty in those from before they were noted."""

    applied: frozenset[str]
    version: str = ""
    min_reader: str = ""

    @property
    def missing(self) -> list[str]:
        """The steps that it has still to take."""
        return [name for name in STEPS if name not in self.applied]

    @property
    def is_ours(self) -> bool:
        """Whether some version of ours wrote it."""
        return next(iter(STEPS)) in self.applied

    def refusal(self) -> str:
        """Why this version must not touch what another one of ours wrote, or an empty string."""
        unknown = sorted(self.applied - STEPS.keys())
        if not unknown and (not self.min_reader or _number(self.min_reader) <= _number(__version__)):
            return ""
        ours = f"this is {__version__}, which does not know its step {unknown[0]}" if unknown else f"this is {__version__}"
        least = f" and it asks for {self.min_reader} or newer" if not unknown else ""
        return f"{_wrote(self, 'a later')} wrote it, and {ours}{least}"


def _wrote(shape: Shape, which: str) -> str:
    if shape.version == __version__:
        return f"{which} build of hijack-monitor {shape.version}"
    return f"hijack-monitor {shape.version}" if shape.version else f"{which} hijack-monitor, which did not note its version,"


def _number(version: str) -> tuple[float, ...]:
    """To compare by. What is not understood is newer than everything."""
    return tuple(map(float, version.split("."))) if re.fullmatch(r"\d{1,9}(\.\d{1,9}){0,5}", version, re.ASCII) else (float("inf"),)


# --- looking -----------------------------------------------------------------------------------------


def look(path: Path, patience: int = PATIENT) -> Shape | None:
    """What the file says of itself; None where there is none, or nothing in it yet. Writes nothing, and no -wal or -shm comes to be
    beside it. Raises sqlite3.Error and OSError.
    """
    if not path.exists():
        return None
    with reading(path, patience) as connection:
        return _shape(connection)


@contextlib.contextmanager
def reading(path: Path, patience: int = PATIENT) -> Iterator[sqlite3.Connection]:
    """To read what is there, and no more: see `look`."""
    path = path.resolve()
    with _unwritten(path) as address, contextlib.closing(sqlite3.connect(address, timeout=patience / 1000, uri=True)) as connection:
        connection.text_factory = _text
        yield connection


def _text(stored: bytes) -> str:
    """One damaged byte must not keep all rows of a query from us."""
    return stored.decode("utf-8", "replace")


@contextlib.contextmanager
def _unwritten(path: Path) -> Iterator[str]:
    """An address under which SQLite reads the file and its WAL and makes no file.

    With a WAL it needs the index beside it, which it would make where somebody copied only the other two: then it reads both under
    another name. Without one nobody has the file open, so that it may be taken for one that never changes.
    """
    wal = _beside(path, "-wal")
    if not wal.exists() or not (wal.stat().st_size or _beside(path, "-shm").exists()):
        yield f"{path.as_uri()}?mode=ro&immutable=1"
    elif _beside(path, "-shm").exists():
        yield f"{path.as_uri()}?mode=ro"
    else:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=LOOKING) as folder, held(Path(folder)):
            name = Path(folder) / path.name
            os.link(path, name)
            shutil.copyfile(wal, _beside(name, "-wal"))
            yield f"{name.as_uri()}?mode=ro"


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Nobody else holds it meanwhile; a kill gives it back. Raises OSError where somebody does."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)


def _shape(connection: sqlite3.Connection) -> Shape | None:
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    applied = set()
    if "_sqlite_migrations" in tables:
        applied = {row[0] for row in connection.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = ?", [_SET])}
    if not applied and tables <= {"_sqlite_migrations"}:
        return None  # also where its first step was cut off
    said = dict[str, str]()
    if "meta" in tables and next(iter(STEPS)) in applied:
        said = {row[0]: row[1] for row in connection.execute("SELECT key, value FROM meta WHERE key IN ('version', 'min_reader')")}
    return Shape(frozenset(applied), said.get("version", ""), said.get("min_reader", ""))


def refuse(path: Path, shape: Shape | None) -> None:
    """What a newer version wrote, or something else. Raises UnsuitableDatabaseError, with the copy that this version can go back to."""
    if shape and not shape.is_ours:
        raise UnsuitableDatabaseError(f"{path}: it holds tables, but none of hijack-monitor's: data_dir has to be a folder of its own")
    if shape is None or not (why := shape.refusal()):
        return
    copy = copy_to_restore(path)
    back = (
        f"stop it and go back to the copy from before: `hijack-monitor restore {copy}`"
        if copy
        else f"restore a backup: no copy from before the upgrade ({path.name}.before-*) lies beside it"
    )
    raise UnsuitableDatabaseError(f"{path}: {why}: start the version that wrote it again, or {back}")


def copy_to_restore(path: Path) -> Path | None:
    """The newest copy beside the database that this version can use."""
    found = [one for one in path.parent.glob(f"{path.name}.before-[0-9]*") if not one.name.endswith(_OF_SQLITE)]
    for copy in sorted(found, key=lambda one: one.stat().st_mtime, reverse=True):
        with contextlib.suppress(sqlite3.Error, OSError):
            shape = look(copy)
            if shape and shape.is_ours and not shape.refusal():
                return copy
    return None


# --- opening and bringing up to date -----------------------------------------------------------------------


def connect(path: Path, patience: int = PATIENT) -> Connection:
    """Open the file, made where there is none, with every commit durable. A write waits `patience` milliseconds for its turn.
    Raises UnsuitableDatabaseError, before anything is written: also for an older one, see `bring_up_to_date`.

    WAL lets the command line read and write beside the daemon; synchronous FULL keeps the last
    commit through a power cut (WAL with NORMAL does not: https://sqlite.org/pragma.html). With secure_delete what is removed is
    overwritten, which makes a delete half as slow again and an update no slower.
    """
    _refuse_all_but_ours(path, look(path, patience))
    private.folder(path.parent)
    if not path.exists():
        private.create(path)  # SQLite gives its journal the mode of the database
    connection = _opened(path, patience)
    try:
        if (shape := _shape(connection)) is None:
            _take_steps(connection, path)
        else:
            _refuse_all_but_ours(path, shape)  # made or brought up to date by somebody else since we looked
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_all_but_ours(path: Path, shape: Shape | None) -> None:
    """An older one too: the daemon alone brings it up to date."""
    refuse(path, shape)
    if shape and shape.missing:
        raise UnsuitableDatabaseError(
            f"{path}: {_wrote(shape, 'an earlier')} wrote it, and this is {__version__}: start the daemon once (`systemctl restart hijack-monitor`), "
            "which alone brings a database up to date"
        )


def _opened(path: Path, patience: int) -> Connection:
    connection = sqlite3.connect(path, timeout=patience / 1000, isolation_level=None, factory=Connection)
    connection.row_factory = sqlite3.Row
    connection.text_factory = _text
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON", f"busy_timeout={patience}"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def bring_up_to_date(path: Path, keep_copy: Callable[[Path, Path], object], patience: int = PATIENT) -> None:
    """The daemon's start: an older database takes the steps that it lacks, in one transaction, and is then known by our version.
    `keep_copy` is given the database and the name of the copy that the old version can be started with again; what it raises
    keeps the database as it is. Nobody else may run on it. Raises UnsuitableDatabaseError, OSError for a full disk, sqlite3.Error.
    """
    shape = look(path, patience)
    refuse(path, shape)
    if shape is None or (not shape.missing and shape.version == __version__):
        return
    if shape.missing:
        _need_room(path)
        keep_copy(path, _beside(path, f".before-{__version__}"))
    with contextlib.closing(_opened(path, patience)) as connection:
        _take_steps(connection, path)


def is_waiting(path: Path, patience: int = PATIENT) -> bool:
    """Whether it has steps to take, or does not know our version yet."""
    shape = look(path, patience)
    return shape is not None and bool(shape.missing or shape.version != __version__)


def _need_room(path: Path) -> None:
    size = sum(one.stat().st_size for one in (path, _beside(path, "-wal")) if one.exists())
    free = shutil.disk_usage(path.parent).free
    if free < size * COPIES:
        raise OSError(
            errno.ENOSPC,
            f"No space left for the copy that is kept before an upgrade, and the upgrade: they take {size * COPIES / 1e6:,.0f} MB,"
            f" and {free / 1e6:,.0f} MB are free",
        )


def _take_steps(connection: Connection, path: Path) -> None:
    """All of them or none, whenever we are killed."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        shape = _shape(connection)
        refuse(path, shape)
        if shape is None or shape.missing:
            _apply(connection)
        least = max(shape.min_reader if shape else "", MIN_READER, key=lambda version: _number(version) if version else ())
        for name, value in (("version", __version__), ("min_reader", least)):
            connection.execute("INSERT INTO meta VALUES(?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value", [name, value])
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _apply(connection: sqlite3.Connection) -> None:
    """By sqlite_utils, which writes down what was taken; inside our transaction it only sets savepoints."""
    with _without_numpy():
        from sqlite_utils import Database, Migrations
    migrations = Migrations(_SET)

    def add(name: str) -> None:
        def step(database: Database) -> None:
            take(database.conn, STEPS[name])

        migrations(name=name)(step)

    for name in STEPS:
        add(name)
    try:
        migrations.apply(Database(connection))
    except (sqlite3.Error, OSError):
        raise
    except Exception as error:  # a row that no step expects: whoever opens the file must hear of it like of any other fault
        raise sqlite3.DatabaseError(f"it cannot be brought up to date ({type(error).__name__}: {error})") from error


@contextlib.contextmanager
def _without_numpy() -> Iterator[None]:
    """sqlite_utils loads numpy where it finds it, to store numpy's types. We store none, and a daemon that has
    compared no picture would hold it for ever: 12 MiB, and 0.1 s of every start.
    """
    if "numpy" in sys.modules:
        yield
        return
    sys.modules["numpy"] = None  # type: ignore[assignment]  # Python's own way to say that there is no such module
    try:
        yield
    finally:
        del sys.modules["numpy"]
