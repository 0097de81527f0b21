"""What cannot be written down is told from memory: a database that somebody holds, a disk that is full, a start that fails."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from monitor import config as configuration
from monitor import store as storing
from monitor import unwritten
from monitor.config import Config
from monitor.model import Severity
from monitor.reported import Reported
from monitor.store import IMPATIENT, OF_THE_DAEMON, Store
from monitor.unwritten import wait_until_writable
from tests.conftest import SECRETS, START, World, wait_for, world
from tests.receivers import Receiver
from tests.test_streams import PUSH


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Another process holds the database, and lets nobody else write."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of these stories is moved: waiting for the other process in real time would prove nothing."""
    monkeypatch.setattr(storing, "IMPATIENT", 1)


def shouts(w: World) -> list[str]:
    return [m.text for m in w.slack.messages.values() if "cannot" in m.text]


@pytest.mark.usefixtures("impatient")
async def test_a_hijack_while_somebody_holds_the_database_for_minutes_is_told_within_seconds_and_paged_afterwards(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        duty = await Receiver().start(stack)
        w = await stack.enter_async_context(world(tmp_path, extra=f'[pagerduty]\napi_base = "{duty.base}"\n'))
        w.register("Fees fall on Monday.")
        with held(w.config.database):
            w.x.post("acme", "Fees fall on Monday.")
            w.x.post("acme", "We are sold.")
            await w.run(15)
            (shout,) = shouts(w)
            assert "another process has held" in shout
            assert "“We are sold.”" in shout
            assert "Fees fall" not in shout
            assert shout.startswith("<!subteam^S0SOCIAL> 🔴 @acme on X: "), "it wakes whom a page wakes, and says first which account"
            assert "We are sold." in duty.bodies[0]["payload"]["summary"]
            w.x.change("acme", name="Acme is sold")
            await w.run(15)
            assert "Acme is sold" in shouts(w).pop()
            w.x.post("acme", "And again.")
            await w.run(62)
            assert ["“And again.”" in s for s in shouts(w)] == [False, False, True], "each post once, however long it lasts"
            assert "We are sold" not in shouts(w)[2]
            assert w.service.broken == ""
        await w.run(3)
        hijack, gap = [m.words() for m in w.slack.roots() if m.metadata]
        assert "We are sold." in hijack
        assert "nothing could be written. What was posted meanwhile is read again now, judged" in gap
        assert sorted(i.severity for i in w.service.store.incidents()) == [Severity.NOTIFY, Severity.PAGE], "the gap wakes nobody"
        assert len(w.service.store.posts("kind = 'post' AND severity = 3 AND baseline = 0")) == 2


@pytest.mark.usefixtures("impatient")
async def test_what_only_a_stream_tells_of_any_account_is_told_while_the_database_is_held(tmp_path: Path) -> None:
    accounts = [{"handle": name, "id": str(n + 1)} for n, name in enumerate(("acme", "help", "news"))]
    async with world(tmp_path, PUSH | {"accounts": accounts}) as w:
        await w.run(3)
        with held(w.config.database):
            for name in ("help", "news"):
                w.x.push.began(w.x.named(name), "broadcast", f"{name} doubles your coins LIVE")
            await w.run(20)  # polls find nothing meanwhile: that takes nothing back
            told = " ".join(shouts(w))
            assert "help doubles" in told
            assert "news doubles" in told
        await w.run(4)
        assert len(w.service.store.posts("kind = 'live'")) == 2
        assert not any(watch.intake.unwritten for watch in w.service.watches), "what is written down is not told again"


@pytest.mark.usefixtures("impatient")
async def test_a_database_that_is_held_while_nothing_happens_is_told_once_and_the_gap_is_named(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        with held(w.config.database):
            await w.run(13)
            assert not shouts(w), "an import takes its time"
            await w.run(120)
            (shout,) = shouts(w)
            assert shout.startswith("<!subteam^S0SOCIAL> 🔴 hijack-monitor cannot write: another process has held ")
        await w.run(7)
        (gap,) = [m.words() for m in w.slack.roots() if m.metadata]
        assert "Nothing could be written" in gap
        assert "from 03:00:0" in gap
        assert " to 03:02:1" in gap
        assert "read again now, judged" in gap
        assert [str(i.state) for i in w.service.store.incidents()] == ["resolved"], "nothing is left to be done"
        for _ in range(3):
            with held(w.config.database):
                await w.run(20)
            await w.run(60)
        assert len(shouts(w)) == 1, "a job that holds it every few minutes wakes nobody every few minutes"
        assert len(w.slack.waking()) == 1, "that one"


@pytest.mark.usefixtures("impatient")
async def test_words_that_only_the_journal_took_are_told_again_until_somebody_has_them(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        with held(w.config.database):
            w.x.post("acme", "We are sold.")
            w.slack.refuse["chat.postMessage"] = "service_unavailable"
            await w.run(14)
            assert not shouts(w)
            w.slack.refuse.clear()
            await w.run(30)
            (shout,) = shouts(w)
            assert "“We are sold.”" in shout
            await w.run(30)
            assert len(shouts(w)) == 1, "once it was taken"


@pytest.mark.usefixtures("impatient")
async def test_that_nothing_can_be_written_is_told_again_too_until_somebody_has_it(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        with held(w.config.database):
            w.slack.refuse["chat.postMessage"] = "service_unavailable"
            await w.run(20)
            w.slack.refuse.clear()
            await w.run(30)
            assert len(shouts(w)) == 1


async def test_the_loop_does_not_wait_for_a_database_that_is_held(tmp_path: Path) -> None:
    store = Store(tmp_path / "monitor.db", OF_THE_DAEMON)
    patience = store.sql.execute("PRAGMA busy_timeout").fetchone()[0]
    assert patience < 1_000
    with held(store.path):
        for _ in range(3):
            with pytest.raises(sqlite3.OperationalError, match="locked"), store.transaction():
                pass
        assert store.sql.execute("PRAGMA busy_timeout").fetchone()[0] == IMPATIENT < patience
    with store.transaction():
        pass
    assert store.sql.execute("PRAGMA busy_timeout").fetchone()[0] == patience
    store.close()


def test_a_command_that_writes_without_a_pause_leaves_the_daemon_its_turns(tmp_path: Path) -> None:
    daemon, got, begun, done = Store(tmp_path / "monitor.db", OF_THE_DAEMON), 0, threading.Event(), threading.Event()

    def command() -> None:
        store = Store(tmp_path / "monitor.db")
        while not done.is_set():
            with store.transaction():
                for number in range(300):
                    store.keep(f"row {number}", "of a large plan")
            begun.set()

    importing = threading.Thread(target=command)
    importing.start()
    assert begun.wait(60)
    for _ in range(20):
        with suppress(sqlite3.OperationalError), daemon.transaction():
            daemon.keep("a page", "that is due")
            got += 1
        done.wait(0.03)  # as the daemon does: it comes again, behind whoever writes on
    done.set()
    importing.join()
    assert got > 10, "SQLite has no queue: whoever writes most would always be first"


async def test_a_disk_that_is_full_is_told_although_nothing_is_posted(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        fill(w)
        w.service.check.parts["drills"] = lambda _: {
            "drill": "the last drill failed" * 5_000
        }  # something that only the look at ourselves writes down
        await w.run(1)
        w.service.check_health()
        assert await wait_for(lambda: bool(w.service.broken))
        assert "cannot write to" in shouts(w)[0]


def fill(w: World) -> None:
    """No room for another page."""
    pages = w.service.store.sql.execute("PRAGMA page_count").fetchone()[0]
    w.service.store.sql.execute(f"PRAGMA max_page_count = {pages}")


def replace_by_a_copy(path: Path) -> None:
    """As somebody does who restores yesterday's copy without stopping the monitor."""
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)


def drop_the_journal(path: Path) -> None:
    """As somebody does who tidies up."""
    path.with_name(f"{path.name}-wal").unlink()


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (Path.unlink, "the file was deleted while it was open"),
        (replace_by_a_copy, "the file was replaced while it was open"),
        (drop_the_journal, "its journal (-wal) was deleted while it was open"),
    ],
)
async def test_a_database_that_is_replaced_or_deleted_while_it_is_open_is_told_on_every_route(
    tmp_path: Path, harm: Callable[[Path], object], told: str
) -> None:
    async with AsyncExitStack() as stack:
        duty = await Receiver().start(stack)
        w = await stack.enter_async_context(world(tmp_path, extra=f'[pagerduty]\napi_base = "{duty.base}"\n'))
        harm(w.config.database)
        await w.run(1)
        assert await wait_for(lambda: bool(w.service.broken))
        assert told in shouts(w)[0]
        assert "Nobody watches @acme" in shouts(w)[0]
        assert told in duty.bodies[0]["payload"]["summary"]


async def test_a_page_of_the_file_that_nobody_can_read_is_told_whoever_met_it_and_however_it_was_swallowed(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        store = w.service.store
        store.sql.executemany("INSERT INTO oddities VALUES(?, 1, '', '', '')", [(f"{n} " + "x" * 500,) for n in range(50)])
        root = store.sql.execute("SELECT rootpage FROM sqlite_master WHERE name = 'oddities'").fetchone()[0]
        size = store.sql.execute("PRAGMA page_size").fetchone()[0]
        store.sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        store.sql.execute("PRAGMA shrink_memory")
        with w.config.database.open("r+b") as file:
            file.seek((root - 1) * size)
            file.write(b"\xff" * size)
        await w.run(1)
        assert not w.service.broken, "nobody has looked there"
        with suppress(sqlite3.Error):
            store.sql.execute("SELECT count(what) FROM oddities NOT INDEXED").fetchone()
        await w.run(1)
        assert await wait_for(lambda: bool(w.service.broken))
        assert "malformed" in shouts(w)[0]


def garbage(path: Path) -> None:
    """The disk died."""
    path.write_bytes(b"this is no database, and was one until the disk died" * 100)


def cut_off(path: Path) -> None:
    """A copy that was not finished."""
    Store(path).close()
    with path.open("r+b") as file:
        file.truncate(file.seek(0, 2) // 2)


def holed(path: Path) -> None:
    """One bad sector."""
    Store(path).close()
    with path.open("r+b") as file:
        file.seek(file.seek(0, 2) - 4096)
        file.write(b"\xff" * 4096)


async def test_a_malformed_database_at_the_start_is_told_once_a_route_and_not_again_by_each_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unwritten, "REST_SECONDS", 0.0)
    async with AsyncExitStack() as stack:
        duty = await Receiver().start(stack)
        w = await stack.enter_async_context(world(tmp_path / "one", extra=f'[pagerduty]\napi_base = "{duty.base}"\n'))
        for number, harm in enumerate((garbage, cut_off, holed), 1):
            config = beside(w, tmp_path / harm.__name__)
            harm(config.database)
            duty.status = 503
            for _ in range(3):
                assert not await wait_until_writable(config, SECRETS, w.clock, every=0.01), "it ends with exit code 1"
                w.clock.move(5)
                duty.status = 202
            assert len(shouts(w)) == number, "Slack took the first"
            assert len(duty.bodies) == number, "PagerDuty the second, for it did not take the first"
            assert "cannot start" in duty.bodies[-1]["payload"]["summary"]
            assert "Nobody watches @acme" in shouts(w)[-1]


@pytest.mark.parametrize(
    ("error", "remedies"),
    [
        ("database is locked", ["Find and end"]),
        ("database or disk is full", ["Free the disk"]),
        ("attempt to write a readonly database", ["Let the monitor's user"]),
        ("[Errno 13] Permission denied: '/data/monitor.db'", ["Let the monitor's user"]),
        ("database disk image is malformed: row 3", ["Stop the monitor, put a good copy"]),
        ("its journal (-wal) was deleted while it was open", ["Stop the monitor, put a good copy"]),
        ("disk I/O error", ["Free the disk", "put a good copy"]),
        ("nobody has seen this yet", ["Find and end", "free the disk", "let the monitor's user", "put a good copy"]),
    ],
)
def test_what_to_do_fits_what_is_wrong(error: str, remedies: list[str]) -> None:
    said = unwritten.remedy(error, Path("/data/monitor.db"))
    assert said.startswith(remedies[0])
    assert all(one in said for one in remedies)
    assert said.count(", or ") == len(remedies) - 1


def test_a_unit_that_is_restarted_all_night_reports_every_quarter_of_an_hour(tmp_path: Path) -> None:
    told = 0
    for second in range(0, 8 * 3600, 15):
        now = START + timedelta(seconds=second)
        if Reported(tmp_path).due(["slack", "webhook"], [], now):
            told += 1
            assert Reported(tmp_path).told(["slack", "webhook"], [], now)
    assert told == 32


async def test_where_nothing_can_be_kept_a_restart_loop_is_slowed_down_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(tmp_path / "one") as w:
        config = beside(w, tmp_path)
        garbage(config.database)
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        for file in Reported(config.data_dir)._files:
            file.mkdir()  # nothing can be written there
        starting = asyncio.create_task(wait_until_writable(config, SECRETS, w.clock, every=0.01))
        assert await wait_for(lambda: bool(shouts(w)))
        await asyncio.sleep(0.1)
        assert not starting.done(), "the process itself remembers, for a quarter of an hour"
        assert len(shouts(w)) == 1
        config.database.unlink()
        assert await asyncio.wait_for(starting, 10), "and begins as soon as it can"


def beside(w: World, folder: Path) -> Config:
    """The same configuration with a folder of its own."""
    text = (w.config.path).read_text().replace(str(w.config.data_dir), str(folder / "two"))
    folder.mkdir(exist_ok=True)
    file = folder / "hijack-monitor.toml"
    file.write_text(text)
    config = configuration.load(file)
    config.data_dir.mkdir(parents=True)
    return config


def test_a_post_that_was_not_told_yet_is_told_whatever_was_reported_before(tmp_path: Path) -> None:
    reported, now = Reported(tmp_path), START
    assert reported.due(["slack"], ["We are sold"], now) == ["slack"]
    assert reported.told(["slack"], ["We are sold"], now)
    assert reported.due(["slack", "webhook"], ["We are sold"], now) == ["webhook"]
    assert Reported(tmp_path).due(["slack"], [], now) == []
    assert Reported(tmp_path).due(["slack"], ["We are sold", "And again"], now) == ["slack"]
    assert Reported(tmp_path).due(["slack"], [], now - timedelta(minutes=1)) == ["slack"], "the clock was set back"
    assert "We are sold" not in "".join(f.read_text() for f in tmp_path.iterdir()), "posts are not kept there"
    for file in tmp_path.iterdir():
        file.write_text('{"slack": ["no time"], "webhook": 7}')
    assert reported.due(["slack"], [], now) == ["slack"]
