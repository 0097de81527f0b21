"""Puts a checked copy in the database's place, and the database aside.

The copy is made ready under a temporary name: checked, marked, on the disk. What the old journal holds is moved into the old
database, which says what it is and gets a second name; then one rename puts the copy over it. So a kill at any moment leaves the whole old
database or the whole new one, and no journal that would be replayed into the wrong one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from monitor import after_restore, carried_over, chain, copies, database, install_key, lock, numbering, private, record, signing
from monitor.after_restore import Mark
from monitor.carried_over import Known
from monitor.config import Config, ConfigError
from monitor.connection import is_busy
from monitor.copies import Copy, CopyError
from monitor.incidents import DRILL, minutes
from monitor.install_key import InstallKeyError

_ASIDE = "before-restore-%Y%m%dT%H%M%SZ"
_BESIDE = ("-wal", "-shm", "-journal")
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR)
_KEPT = re.compile(r".+\.before-(restore-)?[0-9][0-9A-Za-z.+]*(-[0-9]+)?")  # what `run` keeps before an upgrade, and `restore`
_HELD = "{}: another process has it open: stop the daemon (`systemctl stop hijack-monitor`), and end whoever holds it (`fuser -v {}`)"
_COUNTED = {"posts": "posts", "approved": "registrations", "incidents": "incidents", "pages": "pages", "audit": "acts"}
_NO_KEY = (
    "not here. Put the one that you kept at {} before the start: without it the monitor does not know its own messages in Slack, so"
    " that incidents page again which somebody has, pages that were due are sent again and buttons of earlier messages do nothing"
)
_ANOTHER_KEY = (
    "{} is not the one that this database was used with: its own messages in Slack will not be known, put the one that you kept there"
)
_ANOTHER = (
    "the file is of another installation than what is there. That is right where the one that is there began because the other was lost;"
    " what came into it since is only in the database that is moved aside"
)


@dataclass(frozen=True, slots=True)
class Present:
    """The database that is to be moved aside; `why` says why it cannot be read."""

    version: str = ""
    schema: str = ""
    install: str = ""
    rows: Mapping[str, int] | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """A file that can be restored. `unchecked` says what a copy from before an upgrade or a restore did not pass."""

    file: Path
    copy: Copy
    size: int
    sha256: str
    present: Present | None
    unchecked: str = ""

    def lines(self, config: Config, secrets: Mapping[str, str], now: datetime) -> Iterator[str]:
        """For whoever is asked."""
        copy, there = self.copy, self.present
        ago = f"{minutes(now - copy.at)} ago" if copy.at <= now else "by a clock that was ahead of this one"
        yield f"file           {self.file}, {self.size:,} bytes"
        yield f"taken          {copy.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, {ago}"
        yield f"of             installation {copy.install}"
        yield f"written by     version {copy.version or 'unknown'}, schema {copy.schema}"
        yield f"checked        {'the pages alone, for it was kept as it was before an upgrade or a restore: ' + self.unchecked if self.unchecked else 'every page, references between rows, the audit chain'}"
        yield f"sha256         {self.sha256}"
        if there is None:
            yield f"at present     there is no {config.database}"
        elif there.why:
            yield f"at present     {config.database} cannot be read: {there.why}"
        else:
            yield f"at present     {config.database}, version {there.version or 'unknown'}, schema {there.schema}, installation {there.install}"
        if there and there.install not in ("", copy.install):
            yield f"warning: {_ANOTHER}"
        counts = there.rows if there and there.rows else {}
        for table, name in _COUNTED.items():
            now_there = f"{counts[table]:,} at present" if table in counts else "none at present"
            yield f"{name:<14} {copy.rows.get(table, 0):,} in the file, {now_there}"
        yield f"install_key    {_key(config, secrets, self.file)}"


def plan(config: Config, file: Path) -> Plan:
    """Check the file and look at what is there; writes nothing. Raises CopyError, OSError and sqlite3.Error."""
    there, file = config.database, file.absolute()
    if not file.is_file():
        raise CopyError(f"{file}: there is no such file")
    if there.exists() and there.samefile(file):
        raise CopyError(f"{file}: this is the present database")
    copy, unchecked = _examined(file)
    _refuse_others(config, file)
    with file.open("rb") as body:
        digest = hashlib.file_digest(body, "sha256").hexdigest()
    return Plan(file, copy, file.stat().st_size, digest, _present(there), unchecked)


def _examined(file: Path) -> tuple[Copy, str]:
    """The daemon lives with rows that somebody changed, so that what was kept of its database may have some."""
    try:
        return copies.examined(file), ""
    except CopyError as error:
        if not _KEPT.fullmatch(file.name):
            raise
        return copies.examined(file, as_it_is=True), str(error).removeprefix(f"{file}: ")


def _refuse_others(config: Config, file: Path) -> None:
    """Another company's incidents would go into this one's channels. Raises CopyError."""
    with database.reading(file) as sql:
        rows = sql.execute("SELECT key, handle FROM accounts WHERE key != ? ORDER BY key", [DRILL]).fetchall()
    known = {key for key, _ in rows} | {(key.partition(":")[0], str(handle).lower()) for key, handle in rows}
    mine = {config.account(table, table.id).key for table in config.file.accounts if table.id}
    mine_by_handle = {(table.platform, table.handle.lower()) for table in config.file.accounts}
    if rows and not known & (mine | mine_by_handle):
        there = ", ".join(f"@{handle}" for _, handle in rows[:3])
        raise CopyError(
            f"{file}: it is of a monitor that watches none of the accounts in {config.path}, but {there}{' and others' if rows[3:] else ''}:"
            " name the configuration that belongs to it with --config"
        )


def _present(path: Path) -> Present | None:
    try:
        shape = database.look(path)
        if shape is None:
            return None
        with database.reading(path) as sql:
            return Present(shape.version, max(shape.applied, default=""), numbering.kept(sql, "install"), copies.rows(sql))
    except (sqlite3.Error, OSError) as error:
        return Present(why=str(error))


def refuse_held(config: Config) -> None:
    """Raises CopyError while a daemon runs; what else has the database open is met by `put`."""
    if lock.is_locked(config.data_dir):
        raise CopyError(_HELD.format(config.data_dir, config.database))


def put(config: Config, found: Plan, who: str, now: datetime) -> tuple[str, ...]:
    """Do it. Returns what to say. Raises CopyError, OSError and sqlite3.Error: then the database is still in its place."""
    there, folder = config.database, config.data_dir
    owner = _owner(folder)
    private.folder(folder)
    with _locked(folder), _alone(there, now) as present, copies.unfinished(folder) as (made, descriptor):
        _give(owner, folder, folder / lock.FILE)
        copies.clear(folder)
        _leave_room(folder, found.size)
        if _fill(found.file, descriptor) != found.sha256:
            raise CopyError(f"{found.file}: it is being changed: copy it to this host first, then restore that")
        copies.examined(made, as_it_is=bool(found.unchecked))
        aside = _aside(there, now)
        known = carried_over.read(present) if present else None
        held = _mark(made, found, who, now, known, aside)
        os.fchmod(descriptor, 0o600)
        os.fsync(descriptor)
        _give(owner, made)
        _swap(made, there, aside)
    moved = f"What was there is now {aside}." if aside.exists() else "There was no database before."
    return (
        f"{there} is the backup of {found.copy.at:%Y-%m-%d %H:%M:%S} UTC. {moved}",
        "Start the daemon: it reads and judges everything posted since then, and says in Slack what else is missing.",
        f"Registrations made after {found.copy.at:%Y-%m-%d %H:%M:%S} UTC are missing: import the plan again, or posts that were approved page.",
        *_undone(known, held, aside),
    )


def _undone(known: Known | None, held: list[int], aside: Path) -> Iterator[str]:
    """What going back undid, since nobody could say it."""
    if known is None:
        yield (
            "What was forgotten, withdrawn or held since, and silences that were ended, are as they were: no database that can be read was"
            " here to say which. Look at `hijack-monitor posts list` before the start, and repeat it."
        )
    elif known.unread:
        yield f"Not carried over, because it was too damaged to be read: {', '.join(known.unread)}. Repeat it."
    if held:
        numbers = ", ".join(f"INC-{number}" for number in held)
        yield f"{numbers} {'is' if len(held) == 1 else 'are'} held and not in the backup: keep {aside}, nothing else has it."


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        with lock.locked(folder):
            yield
    except ConfigError as error:
        raise CopyError(str(error)) from error


@contextmanager
def _alone(path: Path, now: datetime) -> Iterator[sqlite3.Connection | None]:
    """While nobody else has the database open or can open it: SQLite gives a lock for that to no second one. Before that its journal
    is moved into it, and it says what it is. Nothing is given where there is none, and for one that is too damaged. Raises CopyError.
    """
    if not path.exists():
        yield None
        return
    sql = copies.opened(path, "mode=rw")
    try:
        alone = _take(sql, path, now)
        yield sql if alone else None
    finally:
        sql.close()


def _take(sql: sqlite3.Connection, path: Path, now: datetime) -> bool:
    try:
        sql.execute("PRAGMA journal_mode=DELETE")
        sql.execute("BEGIN EXCLUSIVE")
        with contextlib.suppress(sqlite3.Error, OSError), sql:  # so that it can be restored once it is aside
            copies.describe(sql, path, record.moment(numbering.kept(sql, "beat")) or now)
        sql.execute("BEGIN EXCLUSIVE")
        mode = sql.execute("PRAGMA journal_mode").fetchone()[0]
    except sqlite3.Error as error:
        if error.sqlite_errorcode & 0xFF in _DAMAGED:
            return False
        raise CopyError(_HELD.format(path, path) if is_busy(error) else f"{path}: {error}") from error
    if mode != "delete":  # somebody else opened it meanwhile
        raise CopyError(_HELD.format(path, path))
    return True


def _leave_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size + copies.SPARED:
        raise CopyError(
            f"{folder}: {free / 1e6:.0f} MB are free, and the copy takes {size / 1e6:.0f} MB, beside which {copies.SPARED / 1e6:.0f} MB have to"
            f" stay free: make room, like by deleting an older {folder}/*.before-restore-*"
        )


def _fill(file: Path, descriptor: int) -> str:
    """Its bytes; returns the SHA-256 of what was written."""
    digest = hashlib.sha256()
    with file.open("rb") as body, os.fdopen(os.dup(descriptor), "wb") as out:
        while block := body.read(1 << 20):
            digest.update(block)
            out.write(block)
    return digest.hexdigest()


def _mark(made: Path, found: Plan, who: str, now: datetime, known: Known | None, aside: Path) -> list[int]:
    """What the first start has to know, and what must not be undone. It is nobody else's yet, so that it needs no lock and no journal.
    Returns the incidents that are held and not in it.
    """
    with closing(copies.opened(made, "mode=rw&nolock=1")) as sql:
        sql.execute("PRAGMA journal_mode=OFF")
        sql.execute("PRAGMA synchronous=OFF")
        mark = Mark(found.copy.at, now, who, copies.named(found.file), found.sha256)
        carried, lacking = carried_over.write(sql, known) if known else ({}, [])
        after_restore.write(sql, mark)
        said: dict[str, object] = {
            "sha256": found.sha256, "of": str(found.copy.at), "bytes": found.size, "aside": aside.name if known else "",
            **{what: count for what, count in carried.items() if count},
        }  # fmt: skip
        chain.append(sql, now, who, "restore", copies.named(found.file), said, repeating=chain.repeats(sql))
        return lacking


def _aside(path: Path, now: datetime) -> Path:
    """A name that nothing has. What an earlier try that was killed linked there is the database itself."""
    for left in path.parent.glob(f"{path.name}.before-restore-*"):
        if path.exists() and left.samefile(path):
            left.unlink()
    base = path.with_name(f"{path.name}.{now.astimezone(UTC).strftime(_ASIDE)}")
    name, number = base, 1
    while any(os.path.lexists(f"{name}{end}") for end in ("", *_BESIDE)):
        number += 1
        name = base.with_name(f"{base.name}-{number}")
    return name


def _swap(made: Path, there: Path, aside: Path) -> None:
    """A journal is beside it only where the database is gone, or too damaged to take it in."""
    was = os.path.lexists(there)
    if was:
        copies.link(there, aside)
        copies.sync(there.parent)
    for end in _BESIDE:
        if os.path.lexists(left := there.with_name(there.name + end)):
            copies.rename_only(left, aside.with_name(aside.name + end))
    if was:
        made.replace(there)
        copies.sync(there.parent)
    else:
        copies.publish(made, there)


# --- whose it is -----------------------------------------------------------------------------------------


def _owner(folder: Path) -> tuple[int, int]:
    """Of the data directory, or where it is going to be."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    about = nearest.stat()
    return about.st_uid, about.st_gid


def _give(owner: tuple[int, int], *paths: Path) -> None:
    """Root does it for the daemon's user."""
    for path in paths if os.geteuid() == 0 else ():
        os.chown(path, *owner, follow_symlinks=False)


def _key(config: Config, secrets: Mapping[str, str], file: Path) -> str:
    """Whether the installation's secret is here, and the one that the database was used with."""
    path = config.data_dir / install_key.NAME
    given = secrets.get(install_key.NAME, "")
    if not given and not path.exists():
        return _NO_KEY.format(path)
    where = "the secret of that name" if given else str(path)
    with database.reading(file) as sql:
        known = numbering.kept(sql, "signing key")
    try:
        secret = install_key.load(config.data_dir, secrets)
    except (InstallKeyError, OSError) as error:  # the database is put back all the same
        return f"it cannot be used, and the daemon will not start with it: {error}"
    if known and signing.fingerprint(signing.public(secret)) != known:
        return _ANOTHER_KEY.format(where)
    return f"{where}: the one that this database was used with" if known else where
