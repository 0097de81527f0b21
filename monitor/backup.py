"""Backups: where a checked copy goes, which older ones leave for it, and how old the last one is."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor import chain, copies, install_key, record
from monitor.config import Config, ConfigError, secrets
from monitor.copies import Copy, CopyError
from monitor.incidents import minutes

if TYPE_CHECKING:
    from monitor.store import Store

PIPE = "-"
_NAME, _LAST = "hijack-monitor-%Y%m%dT%H%M%SZ.db", "last backup"
_NAMED = re.compile(r"hijack-monitor-[0-9]{8}T[0-9]{6}Z\.db")
_HOW = "make one with `hijack-monitor backup FOLDER`, best every day: systemd/hijack-monitor-backup.timer"
_COUNTED = {"posts": "posts", "approved": "registrations", "incidents": "incidents", "pages": "pages", "audit": "acts"}


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that passed: where it went, what it says of itself, how large it is; `said` is what went wrong afterwards."""

    where: str
    copy: Copy
    size: int
    sha256: str
    deleted: tuple[Path, ...] = ()
    said: tuple[str, ...] = ()

    def lines(self, config: Config) -> Iterator[str]:
        """For whoever made it."""
        rows = ", ".join(f"{self.copy.rows[table]:,} {name}" for table, name in _COUNTED.items() if table in self.copy.rows)
        yield f"backup         {self.where}"
        yield f"of             {config.database}, installation {self.copy.install}"
        yield f"taken          {self.copy.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, {self.size:,} bytes"
        yield f"written by     version {self.copy.version}, schema {self.copy.schema}"
        yield f"holds          {rows}"
        yield "checked        every page, references between rows, the audit chain"
        yield f"sha256         {self.sha256}"
        yield f"install_key    {_key(config)}"
        if self.deleted:
            yield f"deleted        {len(self.deleted)} older: {', '.join(path.name for path in self.deleted)}"


def make(config: Config, target: str, keep: int | None, who: str, now: datetime) -> Made:
    """A backup in `target`: a file, a folder, or `-` for standard output. Raises CopyError, and ConfigError for what cannot be meant."""
    if target == PIPE:
        folder, file = config.data_dir, None
        if keep:
            raise ConfigError("--keep: found `-`, expected a folder: what went through a pipe cannot be deleted here")
        if os.isatty(1):
            raise ConfigError("-: found a terminal on standard output, expected a pipe, like `hijack-monitor backup - | age -r KEY > FILE`")
    else:
        folder, file = _place(target, now)
        if keep and file.name != now.astimezone(UTC).strftime(_NAME):
            raise ConfigError(f"--keep: found the file {target}, expected a folder in which older backups are deleted")
    with copies.checked_copy(config.database, folder, now) as (path, copy):
        with path.open("rb") as body:
            digest = hashlib.file_digest(body, "sha256").hexdigest()
        size = path.stat().st_size
        if file is None:
            _send(path, size)
        else:
            copies.publish(path, file)
    where = copies.named(file) if file else "standard output; whether it was stored, only whoever read it can say"
    troubles = [*_note(config.database, copies.named(file or PIPE), size, digest, who, now)]
    deleted = tuple(_delete_older(file, keep, copy.install, troubles)) if file and keep else ()
    return Made(where, copy, size, digest, deleted, tuple(troubles))


def _place(target: str, now: datetime) -> tuple[Path, Path]:
    """The folder and the file in it. Raises CopyError for a name that is taken, before anything is copied."""
    path = Path(target).absolute()
    if path.is_dir() or target.endswith("/"):  # a disk that is not mounted must not become a file
        folder, file = path, path / now.astimezone(UTC).strftime(_NAME)
    else:
        folder, file = path.parent, path
    if not folder.is_dir():
        raise CopyError(f"{folder}: there is no such folder: make it, for the user who runs this command, or name another")
    if os.path.lexists(file):
        raise CopyError(f"{file} is already there, and nothing is ever overwritten: name another file, or a folder")
    return folder, file


def _send(path: Path, size: int) -> None:
    """The whole file to standard output. Raises CopyError where nobody takes it."""
    try:
        with path.open("rb") as body, os.fdopen(os.dup(1), "wb") as pipe:
            shutil.copyfileobj(body, pipe, 1 << 20)
    except OSError as error:
        raise CopyError(
            f"the {size:,} bytes could not be sent ({error.strerror}): whatever reads the pipe ended early, and has no whole backup"
        ) from error


def _note(database: Path, where: str, size: int, digest: str, who: str, now: datetime) -> Iterator[str]:
    """What the daemon and `status` know it by. The copy is good whether or not that can be written."""
    try:
        with closing(copies.opened(database, "mode=rw")) as sql:
            sql.execute("PRAGMA synchronous=FULL")
            sql.execute("BEGIN IMMEDIATE")
            sql.execute(
                "INSERT INTO meta VALUES(?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value",
                [_LAST, json.dumps({"at": record.stamp(now), "where": where, "bytes": size})],
            )
            chain.append(sql, now, who, "backup", where, {"bytes": size, "sha256": digest}, repeating=chain.repeats(sql))
            sql.execute("COMMIT")
    except sqlite3.Error as error:
        yield f"the backup is good, but could not be noted in {database} ({error}): `status` shows the one before"


def _delete_older(new: Path, keep: int, install: str, troubles: list[str]) -> Iterator[Path]:
    """All but the newest of those whose name says that they are older than this one, and that are no other installation's.

    What is named after a later time, because the clock was set back, is not older: it stays until the clock has passed it.
    """
    older = sorted((p for p in new.parent.iterdir() if _is_backup(p) and p.name < new.name), reverse=True)
    mine = [path for path in older if _owner(path) in ("", install)]
    for path in mine[keep - 1 :]:
        try:
            path.unlink()
        except OSError as error:
            troubles.append(f"the backup is good, but {path} could not be deleted ({error.strerror})")
        else:
            yield path


def _is_backup(path: Path) -> bool:
    """A file of ours by its name, and no link to one."""
    if not _NAMED.fullmatch(path.name):
        return False
    with contextlib.suppress(ValueError, OSError):
        datetime.strptime(path.name, _NAME)  # noqa: DTZ007 - only whether it is a time
        return stat.S_ISREG(path.lstat().st_mode)
    return False


def _owner(path: Path) -> str:
    """The installation that a backup says it is of; empty where it says none."""
    found = copies.told_by(path)
    return found.install if found else ""


def _key(config: Config) -> str:
    """Where the installation's secret lies, as far as this shell can see."""
    file, given = config.data_dir / install_key.NAME, {}
    with contextlib.suppress(ConfigError):
        given = secrets()
    if file.exists():
        where = str(file)
    elif given.get(install_key.NAME):
        where = "the secret of that name that this shell has"
    else:
        where = f"a secret of the daemon that this shell does not have, like /etc/hijack-monitor/{install_key.NAME}"
    return f"{where}: not in the backup. Keep a copy of it, apart from backups"


# --- how old the last one is -----------------------------------------------------------------------


def last(store: Store) -> tuple[datetime, str] | None:
    """When the last good one was made, and where it went. After a restore that is the copy that was restored, unless a newer one is known."""
    noted = record.remembered(store.kept(_LAST), _noted, None)
    copy = copies.said(store.kept(copies.SAID))
    return max(filter(None, (noted, (copy.at, "this database is a copy from then") if copy else None)), default=None)


def _noted(found: dict[str, Any]) -> tuple[datetime, str]:
    return record.utc(found["at"]), "a pipe" if found["where"] == PIPE else str(found["where"])


def words(store: Store, now: datetime) -> str:
    """When the last good one was made, how long ago, and where it went."""
    found = last(store)
    if found is None:
        return "never"
    at, where = found
    ago = f"{minutes(now - at)} ago" if at <= now else "by a clock that was set back since"
    return f"{at:%Y-%m-%d %H:%M} UTC, {ago}, {where}"


def overdue(store: Store, now: datetime, hours: float) -> str:
    """Why the last one is not good enough, or an empty string. Nothing is overdue before the first: `check` warns of that."""
    found = last(store)
    if not hours or found is None or abs(now - found[0]) <= timedelta(hours=hours):
        return ""
    return f"the last good backup is of {found[0]:%d %b %Y %H:%M} UTC"


def vitals(store: Store, now: datetime, hours: float) -> dict[str, object]:
    """By the names of `health.Vitals`."""
    why, found = overdue(store, now, hours), last(store)
    well = {"backup": found[0]} if found and not why else {}
    return {"backup": why, "well": well, "gone": () if hours else ("backup",)}


def described(store: Store, now: datetime, hours: float) -> Iterator[str]:
    """For `check`."""
    yield f"backup         last one {words(store, now)}"
    if not hours:
        yield "backup         nobody is told when it is old (warn_hours = 0)"
    elif last(store) is None:
        yield f"warning: there has never been a backup: {_HOW}"
    elif why := overdue(store, now, hours):
        yield f"warning: {why}, older than warn_hours = {hours:g}: {_HOW}"
