"""A new version over an old database, and an old version over a new one."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import shutil
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from monitor import __version__, chain, copies, daemon, database, forget, numbering, schema, unwritten
from monitor import config as configuration
from monitor.cli import main
from monitor.connection import Connection
from monitor.copies import CopyError
from monitor.database import UnsuitableDatabaseError
from monitor.model import CAUSES, Paging, State
from monitor.outbox import Outbox
from monitor.service import utc_now
from monitor.store import OF_THE_DAEMON, Store
from monitor.unwritten import tell_refused, wait_until_writable
from tests import older
from tests.conftest import SECRETS, START, World, wait_for, world
from tests.test_unwritten import beside

KNOWN = older.Known("1", {
    "account": older.ACCOUNT, "id": "1", "version": 1, "kind": "post", "created_at": "", "seen_at": "2026-11-21T02:00:00.000000+00:00",
    "post": "{}", "severity": 0, "verdict": "{}", "rulebook": "", "baseline": 1,
})  # fmt: skip


def test_every_shape_that_stood_on_the_main_branch_is_tried() -> None:
    assert sorted(older.CAME) == sorted(name[:4] for name in schema.STEPS), "a new step comes to the end of `older.CAME`"


# --- an older database ---------------------------------------------------------------------------------


@pytest.mark.parametrize("count", range(1, len(older.CAME) + 1))
def test_an_older_database_becomes_what_a_new_one_is(tmp_path: Path, count: int) -> None:
    older.make(tmp_path / "old.db", count)
    older.upgrade(tmp_path / "old.db")
    with closing(Store(tmp_path / "old.db")) as old, closing(Store(tmp_path / "new.db")) as new:
        assert columns(old.sql) == columns(new.sql)
        assert [old.kept(name) for name in ("version", "min_reader")] == [__version__, database.MIN_READER]
        assert [new.kept(name) for name in ("version", "min_reader")] == [__version__, database.MIN_READER]


def columns(sql: sqlite3.Connection) -> dict[str, list[str]]:
    """By table and index, in whatever order they came."""
    names = [row[0] for row in sql.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'index')")]
    return {
        name: sorted(str(tuple(row)[1:] if "_xinfo" in pragma else row[2]) for row in sql.execute(f"PRAGMA {pragma}({name!r})"))
        for name in names
        for pragma in (["table_xinfo"] if not name.startswith(("sqlite_autoindex", "idx")) else ["index_info"])
    }


@pytest.mark.parametrize("count", range(1, len(older.CAME) + 1))
def test_what_was_open_due_acknowledged_or_silenced_stays_so_through_an_upgrade(tmp_path: Path, count: int) -> None:
    older.make(tmp_path / "monitor.db", count)
    older.fill(tmp_path / "monitor.db", count, START, [str(n) for n in range(older.HELD + 3)], KNOWN)
    older.upgrade(tmp_path / "monitor.db")
    with closing(Store(tmp_path / "monitor.db")) as store:
        outbox = Outbox(store, Paging(("slack",)))
        due = [page.key for page in store.pages.undelivered()]
        assert len(due) == older.DUE
        for second in (0, 1, 60):
            assert outbox.due(START + timedelta(seconds=second)) == 0
        assert [page.key for page in store.pages.undelivered()] == due
        assert not store.broken_audit()
        minutes = 5 if count >= 3 else 30
        outbox.due(START + timedelta(minutes=minutes, seconds=-1))
        assert sum(i.state is State.ACKNOWLEDGED for i in store.unresolved()) == older.HELD
        outbox.due(START + timedelta(minutes=minutes))
        held = [i for i in store.unresolved() if i.acknowledged_by]
        assert len(held) == older.HELD
        assert {i.state for i in held} == {State.OPEN}, "an acknowledgement of before ends like any other"


@pytest.mark.parametrize("count", [1, 3, len(older.CAME)])
async def test_after_an_upgrade_exactly_the_pages_that_were_due_go_out(tmp_path: Path, count: int) -> None:
    async with world(tmp_path / "one") as w:
        known = older.known(w.service.store)
    sent = [w.slack.post_as_bot("told by the old version", {}, ours=True).ts for _ in range(older.HELD + 3)]
    path = tmp_path / "two" / "data" / "monitor.db"
    older.make(path, count)
    older.fill(path, count, w.clock(), sent, known)
    older.upgrade(path)
    before, begun = len(w.slack.messages), w.clock()
    async with world(tmp_path / "two", beside=w) as v:
        await v.run(15)
        pages = [m for m in list(v.slack.messages.values())[before:] if m.wakes]
        assert len(pages) == older.DUE
        held = [i for i in v.service.store.unresolved() if i.state is State.ACKNOWLEDGED]
        assert len(held) == older.HELD
        minutes = 5 if count >= 3 else 30
        ends = [i.held_until - begun for i in held if i.held_until]
        assert all(timedelta(0) <= e - timedelta(minutes=minutes) < timedelta(minutes=1) for e in ends)
        assert len(ends) == older.HELD
        v.clock.move(minutes * 60 + 60)
        await v.run(0.5)
        asked = "SELECT count(*) FROM pages WHERE reason LIKE '%still on it?%' AND kind = 'repeat'"
        assert v.service.store.sql.execute(asked).fetchone()[0] == older.HELD, "it ends like any other"


# --- the copy that is kept -----------------------------------------------------------------------------


async def test_run_keeps_a_checked_copy_that_the_older_version_can_use_and_sends_what_was_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    count = 5
    caplog.set_level(logging.INFO)
    async with world(tmp_path / "one") as w:
        config = beside(w, tmp_path)
        older.make(config.database, count)
        older.fill(config.database, count, utc_now(), [], KNOWN)
        with closing(sqlite3.connect(config.database)) as sql:
            before = list(sql.iterdump())
        running = asyncio.create_task(daemon.run(config, SECRETS))
        assert await wait_for(lambda: sum(m.wakes for m in list(w.slack.messages.values())) >= older.DUE)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await running == 0
    assert sum("was brought up to date" in record.message for record in caplog.records) == 1
    (path,) = config.data_dir.glob("monitor.db.before-*")
    assert path.name == f"monitor.db.before-{__version__}"
    assert copies.examined(path).schema == max(older.steps(count))
    assert path.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(path)) as sql:
        assert {row[0] for row in sql.execute("SELECT name FROM _sqlite_migrations")} == set(older.steps(count))
        assert sql.execute("SELECT count(*) FROM pages WHERE state = 'ready'").fetchone()[0] == older.DUE
        sql.execute("DELETE FROM meta WHERE key = 'copy'")
        assert list(sql.iterdump()) == before
    monkeypatch.setattr(database, "STEPS", {name: schema.STEPS[name] for name in older.steps(count)})
    with pytest.raises(UnsuitableDatabaseError, match=f"`hijack-monitor restore {path}`"):
        database.connect(config.database)
    database.connect(path).close()


def kept(path: Path, moment: int) -> list[str]:
    """The copies there are after one more upgrade."""
    copies.keep_before(path, path.with_name(f"{path.name}.before-{__version__}"), START + timedelta(hours=moment))
    return sorted(one.name.removeprefix(f"{path.name}.before-") for one in path.parent.glob("*.before-*"))


def acted(path: Path, what: str) -> None:
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("INSERT INTO meta VALUES('beat', ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value", [what])
        sql.commit()


def test_the_last_two_copies_stay_and_none_is_overwritten_or_made_twice(tmp_path: Path) -> None:
    path = tmp_path / "monitor.db"
    older.make(path, 5)
    theirs = [tmp_path / f"monitor.db.before-{name}" for name in (__version__, "summer", "0.0.8-wal")]
    for one in theirs:
        one.write_text("somebody's own")
    names = sorted(one.name.removeprefix("monitor.db.before-") for one in theirs)
    assert kept(path, 0) == sorted([*names, f"{__version__}-2"])
    assert kept(path, 1) == sorted([*names, f"{__version__}-2"]), "nothing was written since"
    acted(path, "a daemon ran")
    assert kept(path, 2) == sorted([*names, f"{__version__}-2", f"{__version__}-3"])
    acted(path, "and again")
    assert kept(path, 3) == sorted([*names, f"{__version__}-3", f"{__version__}-4"])
    acted(path, "after the clock was set back")
    assert kept(path, -9) == sorted([*names, f"{__version__}-2", f"{__version__}-4"]), "the one that was just made stays"
    assert [one.read_text() for one in theirs] == ["somebody's own"] * 3


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET actor = 'nobody' WHERE id = 1",
        "INSERT INTO votes VALUES(9, 'x::1', '1', 1, 'U1', '', '')",
    ],
)
def test_rows_that_somebody_changed_keep_no_daemon_from_its_upgrade(tmp_path: Path, change: str) -> None:
    path = tmp_path / "monitor.db"
    older.make(path, len(older.CAME) - 1)
    with closing(sqlite3.connect(path)) as sql:
        chain.append(sql, START, "carla", "began", "acme", {})
        sql.execute(change)
        sql.commit()
    assert kept(path, 0) == [__version__]
    with pytest.raises(CopyError):
        copies.examined(tmp_path / f"monitor.db.before-{__version__}")


async def test_an_upgrade_whose_copy_is_not_good_is_told_and_nothing_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unwritten, "REST_SECONDS", 0.0)
    async with world(tmp_path / "one") as w:
        config = beside(w, tmp_path)
        older.make(config.database, 5)
        with closing(sqlite3.connect(config.database)) as sql:
            sql.executescript("PRAGMA writable_schema = ON; UPDATE sqlite_master SET rootpage = 3 WHERE name = 'posts_recent'")
        with unchanged(config.database):
            assert not await wait_until_writable(config, SECRETS, w.clock, every=0.01)
        (told,) = [m.text for m in w.slack.messages.values() if "cannot start" in m.text]
        assert "the copy is damaged" in told
        assert "Stop the monitor, put a good copy in the place of" in told


@pytest.mark.parametrize("count", [1, len(older.CAME) - 1])
def test_a_command_leaves_an_older_database_to_the_daemon(tmp_path: Path, count: int) -> None:
    file = configured(tmp_path)
    path = configuration.load(file).database
    older.make(path, count)
    with unchanged(path):
        for arguments in (["status"], ["posts", "list"], ["incidents", "ack", "1"], ["check"]):
            said = CliRunner().invoke(main, ["--config", str(file), *arguments])
            assert said.exit_code == 2, said.output
            assert said.output.count("\n") == 1
            assert "start the daemon once" in said.output
    shape = database.look(path)
    assert shape
    assert len(shape.applied) == count


async def test_only_the_daemon_brings_it_up_to_date_and_not_under_another_one(tmp_path: Path) -> None:
    from monitor.lock import locked

    async with world(tmp_path / "one") as w:
        config = beside(w, tmp_path)
        older.make(config.database, 5)
        with locked(config.data_dir), unchanged(config.database), pytest.raises(configuration.ConfigError, match="another hijack-monitor"):
            await wait_until_writable(config, SECRETS, w.clock)
        assert await wait_until_writable(config, SECRETS, w.clock)
        Store(config.database).close()


async def test_a_disk_without_room_for_a_copy_is_told_and_nothing_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "COPIES", 1 << 40)
    monkeypatch.setattr(unwritten, "REST_SECONDS", 0.0)
    async with world(tmp_path / "one") as w:
        config = beside(w, tmp_path)
        older.make(config.database, 5)
        with unchanged(config.database):
            assert not await wait_until_writable(config, SECRETS, w.clock, every=0.01)
        (told,) = [m.text for m in w.slack.messages.values() if "cannot start" in m.text]
        assert "No space left for the copy that is kept before an upgrade" in told
        assert "Free the disk" in told


def test_a_copy_is_kept_before_the_first_step_and_one_that_fails_keeps_the_database_as_it_is(tmp_path: Path) -> None:
    path, asked = tmp_path / "monitor.db", list[tuple[Path, Path]]()
    older.make(path, 5)

    def fail(*names: Path) -> None:
        asked.append((names[0], names[1]))
        raise OSError("the copy is malformed")

    with unchanged(path), pytest.raises(OSError, match="malformed"):
        database.bring_up_to_date(path, fail)
    assert asked == [(path, tmp_path / f"monitor.db.before-{__version__}")]
    older.upgrade(path)
    database.bring_up_to_date(path, fail)
    assert len(asked) == 1, "there is nothing to do"


async def test_a_row_that_no_step_expects_is_told_and_nothing_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unwritten, "REST_SECONDS", 0.0)
    async with world(tmp_path / "one") as w:
        config = beside(w, tmp_path)
        older.make(config.database, older.CAME.index("0021"))
        with closing(sqlite3.connect(config.database)) as sql:
            sql.execute(
                "INSERT INTO approved(account, kind, text, not_before, not_after, approved_by, created_at, external_id, revision)"
                " VALUES('nobody', 'post', '', '', '', '', '', '7@x::2', 1)"
            )
            sql.commit()
        with unchanged(config.database, besides=f"monitor.db.before-{__version__}"):
            assert not await wait_until_writable(config, SECRETS, w.clock, every=0.01)
        (told,) = [m.text for m in w.slack.messages.values() if "cannot start" in m.text]
        assert "it cannot be brought up to date (ValueError: " in told


async def test_systemd_waits_while_the_database_is_brought_up_to_date_and_what_was_forgotten_before_a_restore_is_forgotten_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unwritten, "EXTEND_SECONDS", 0.001)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    async with world(tmp_path / "one") as w:
        config = beside(w, tmp_path)
        older.make(config.database, 1)
        owed = {"account": "x::1", "id": "1", "at": "2026-11-21T02:00:00.000000+00:00", "who": "carla", "reason": "asked to"}
        with closing(sqlite3.connect(config.database)) as sql, sql:
            forget.owe(sql, [owed])
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
            listening.bind(str(tmp_path / "notify"))
            running = asyncio.create_task(daemon.run(config, SECRETS))
            said = await asyncio.to_thread(until_ready, listening)
            with closing(sqlite3.connect(config.database)) as sql:
                assert forget.owed_by(sql) == [owed], "no longer owed, but known"
                assert numbering.kept(sql, "to forget again") == ""
            os.kill(os.getpid(), signal.SIGTERM)
            assert await running == 0
    extended = "EXTEND_TIMEOUT_USEC=120000000\nSTATUS="
    assert f"{extended}bringing the database up to date" in said
    assert f"{extended}forgetting again what was forgotten before a restore" in said


def until_ready(listening: socket.socket) -> list[str]:
    """What systemd is told until we are ready."""
    said = [""]
    while not said[-1].startswith("READY=1"):
        said.append(listening.recv(1_000).decode())
    return said


def test_killed_at_any_moment_of_an_upgrade_the_database_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    old = tmp_path / "old.db"
    older.make(old, 2)
    with closing(sqlite3.connect(old)) as sql:
        text = "x" * 2_000
        post = "INSERT INTO posts VALUES('x::1', ?, 1, 'post', '', '', ?, 0, '{}', '', NULL, 0, NULL, NULL, NULL, '{}', NULL)"
        sql.executemany(post, [(str(n), f'{{"text": "{text}"}}') for n in range(60)])
        sql.commit()
        before = list(sql.iterdump())
    killed, ended, moments = 0, "", list(range(1, 300, 33))
    for moment in [*moments, -1]:
        path = tmp_path / str(moment) / "monitor.db"
        path.parent.mkdir()
        shutil.copy(old, path)
        was_killed = upgraded_until(path, moment)
        killed += was_killed
        shape = database.look(path)
        assert shape
        assert shape.applied in (set(older.steps(2)), schema.STEPS.keys())
        with closing(sqlite3.connect(path)) as sql:
            assert sql.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            if shape.missing:
                assert was_killed
                assert list(sql.iterdump()) == before
        ended += "old " if shape.missing else "new "
        older.upgrade(path)
        Store(path).close()
    assert killed > 5
    assert ended.endswith("new ")


def upgraded_until(path: Path, moment: int) -> bool:
    """Whether a process that upgrades was killed at this moment, counted in a few instructions of SQLite."""
    child = os.fork()
    if not child:
        left, opened = moment, database._opened

        def kill() -> int:
            nonlocal left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return 0

        def watched(path: Path, patience: int) -> Connection:
            connection = opened(path, patience)
            connection.execute("PRAGMA cache_size=8")  # so that what is not committed is in the WAL when it is killed
            connection.set_progress_handler(kill, 60)
            return connection

        try:
            database._opened = watched
            older.upgrade(path)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


# --- a newer database ----------------------------------------------------------------------------------


@contextmanager
def unchanged(path: Path, besides: str = "lock") -> Iterator[None]:
    """Nothing is written: not the file nor its WAL, and no file comes or goes `besides` one and those that belong to no database."""

    def there() -> dict[str, str]:
        files = [
            one
            for one in path.parent.iterdir()
            if one.name not in ("lock", "install_key", besides, f"{path.name}-shm") and not one.name.endswith(".reported")
        ]
        digests = {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in files}
        return digests | ({"-shm": ""} if path.with_name(f"{path.name}-shm").exists() else {})

    before = there()
    yield
    assert there() == before


def foreign_step(sql: sqlite3.Connection) -> None:
    """A step of a version to come."""
    sql.execute("INSERT INTO _sqlite_migrations(migration_set, name, applied_at) VALUES('hijack-monitor', '0099_later', '')")
    sql.execute("UPDATE meta SET value = '9.2.0' WHERE key = 'version'")


def nobody_older(sql: sqlite3.Connection) -> None:
    """Nothing is new but what it means."""
    sql.execute("UPDATE meta SET value = '9.2.0' WHERE key IN ('version', 'min_reader')")


def closed(path: Path, change: Callable[[sqlite3.Connection], None]) -> None:
    """Left by a newer version that stopped."""
    Store(path).close()
    with closing(sqlite3.connect(path)) as sql:
        change(sql)
        sql.commit()
    assert not path.with_name(f"{path.name}-wal").exists()


def crashed(path: Path, change: Callable[[sqlite3.Connection], None]) -> None:
    """All that is newer stands in the WAL, and its index is gone or not."""
    other = path.with_name("other.db")
    closed(other, lambda _: None)
    with closing(sqlite3.connect(other)) as sql:
        change(sql)
        sql.commit()
        for end in ("", "-wal", "-shm"):
            shutil.copy(other.with_name(f"{other.name}{end}"), path.with_name(f"{path.name}{end}"))
    other.unlink()


def copied(path: Path, change: Callable[[sqlite3.Connection], None]) -> None:
    """As somebody does who knows that the -wal belongs to it."""
    crashed(path, change)
    path.with_name(f"{path.name}-shm").unlink()


STATES = [closed, crashed, copied]


@pytest.mark.parametrize("left", STATES)
@pytest.mark.parametrize("change", [foreign_step, nobody_older])
def test_a_look_at_a_newer_database_writes_nothing_however_it_was_left(
    tmp_path: Path, left: Callable[..., None], change: Callable[[sqlite3.Connection], None]
) -> None:
    path = tmp_path / "monitor.db"
    left(path, change)
    with unchanged(path):
        for use in (Store, older.upgrade):
            with pytest.raises(UnsuitableDatabaseError, match=r"hijack-monitor 9\.2\.0 wrote it, and this is"):
                use(path)


def test_a_newer_database_that_somebody_uses_is_refused_too(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "monitor.db")) as store:
        foreign_step(store.sql)
        with unchanged(store.path), pytest.raises(UnsuitableDatabaseError, match="0099_later"):
            Store(store.path)
        store.keep("it", "goes on")


@pytest.mark.parametrize(
    ("least", "refused"),
    [
        ("0.0.9", False),
        (__version__, False),
        ("0.1", False),
        ("0.1.1", True),
        ("0.10.0", True),
        ("1", True),
        ("0.2.0rc1", True),
        ("²", True),
    ],
)
def test_a_version_that_is_not_understood_is_newer_than_all(least: str, *, refused: bool) -> None:
    shape = database.Shape(frozenset(schema.STEPS), "9.2.0", least)
    assert bool(shape.refusal()) is refused


def test_our_own_version_is_one_that_can_be_compared() -> None:
    assert database._number(database.MIN_READER) <= database._number(__version__) < database._number("what is this?")


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "monitor.db")) as sql:
        sql.execute("CREATE TABLE meta(key, value)")
        sql.execute("INSERT INTO meta VALUES('version', '9.2.0')")
        sql.commit()
    for use in (Store, older.upgrade):
        with unchanged(tmp_path / "monitor.db"), pytest.raises(UnsuitableDatabaseError, match="none of hijack-monitor's"):
            use(tmp_path / "monitor.db")


def test_the_copy_to_restore_is_the_newest_one_that_this_version_can_use(tmp_path: Path) -> None:
    path = tmp_path / "monitor.db"
    closed(path, foreign_step)
    with pytest.raises(UnsuitableDatabaseError, match=r"no copy from before the upgrade \(monitor\.db\.before-"):
        Store(path)
    named = [f"monitor.db.before-{what}" for what in ("9.0.0", "9.1.0", "restore-20261121T030000Z", "9.2.0", "9.3.0", "9.4.0-wal")]
    now = time.time()
    for age, name in enumerate(reversed(named)):
        copy = tmp_path / name
        if name.endswith(("9.2.0", "Z")):
            closed(copy, foreign_step)
        elif name.endswith(("9.3.0", "-wal")):
            copy.write_bytes(b"cut off")
        else:
            older.make(copy, len(older.CAME))
            copy.with_name(f"{name}-wal").unlink(missing_ok=True)
        os.utime(copy, (now - age, now - age))
    assert database.copy_to_restore(path) == tmp_path / "monitor.db.before-9.1.0"
    with pytest.raises(UnsuitableDatabaseError, match=r"`hijack-monitor restore \S+monitor\.db\.before-9\.1\.0`"):
        Store(path)


COMMANDS_WITHOUT = {
    "run",
    "demo",
    "incidents verify",
    "restore",
}  # `run` tells everybody first, `restore` is the remedy; the others have a database of their own, or none


def leaves(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def given(command: click.Command, file: Path) -> list[str]:
    """What it cannot do without."""
    words = []
    for one in command.params:
        if not one.required:
            continue
        kind = one.type
        value = str(file) if isinstance(kind, click.Path) else CAUSES[0] if isinstance(kind, click.Choice) else "because"
        value = "1" if isinstance(kind, click.IntRange | click.FloatRange) else value
        words += [one.opts[0], value] if isinstance(one, click.Option) else [value]
    return words


def configured(folder: Path) -> Path:
    """A small configuration."""
    file = folder / "hijack-monitor.toml"
    file.write_text(f'[monitor]\ndata_dir = "{folder}/data"\n[company]\nname = "Acme"\n[[accounts]]\nplatform = "x"\nhandle = "acme"\n')
    return file


@pytest.mark.parametrize("left", [closed, copied])
def test_every_command_refuses_a_newer_database_in_one_sentence_and_writes_nothing(tmp_path: Path, left: Callable[..., None]) -> None:
    file = configured(tmp_path)
    path = configuration.load(file).database
    path.parent.mkdir(mode=0o700)
    left(path, foreign_step)
    tried = 0
    with unchanged(path):
        for name, command in leaves(main):
            if name in COMMANDS_WITHOUT:
                continue
            said = CliRunner().invoke(main, ["--config", str(file), *name.split(), *given(command, file)])
            assert said.exit_code == 2, (name, said.output)
            assert said.output.count("\n") == 1, (name, said.output)
            assert "hijack-monitor 9.2.0 wrote it, and this is" in said.output, name
            tried += 1
    assert tried > 20


def refusals(w: World) -> list[str]:
    return [m.text for m in w.slack.messages.values() if "wrote it" in m.text]


async def test_the_refusal_of_run_goes_out_on_every_route_and_at_most_hourly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import AsyncExitStack

    from tests.receivers import Receiver

    monkeypatch.setattr(unwritten, "REST_SECONDS", 0.0)
    async with AsyncExitStack() as stack:
        duty = await Receiver().start(stack)
        w = await stack.enter_async_context(world(tmp_path / "one", extra=f'[pagerduty]\napi_base = "{duty.base}"\n'))
        config = beside(w, tmp_path)
        closed(config.database, foreign_step)
        with unchanged(config.database):
            for _ in range(3):
                with pytest.raises(UnsuitableDatabaseError):
                    await daemon.run(config, SECRETS)
            (told,) = refusals(w)
            assert "cannot start" in told
            assert "Nobody watches @acme" in told
            assert "9.2.0 wrote it" in duty.bodies[-1]["payload"]["summary"]
            assert len(duty.bodies) == 1
            shape = database.look(config.database, OF_THE_DAEMON)
            assert shape
            refusal = UnsuitableDatabaseError(shape.refusal())
            w.clock.now = utc_now()
            for _ in range(4 * 60):
                w.clock.move(60)
                assert await tell_refused(config, SECRETS, w.clock, refusal) == 0
            assert len(refusals(w)) == len(duty.bodies) == 5


async def test_a_refusal_that_nobody_can_be_told_is_a_refusal_all_the_same(tmp_path: Path) -> None:
    async with world(tmp_path / "one") as w:
        config = beside(w, tmp_path)
        closed(config.database, foreign_step)
        with pytest.raises(UnsuitableDatabaseError, match="0099_later"):
            await daemon.run(replace(config), {})
