"""What cannot be written down is told from memory: a database that somebody holds, a disk that is full, a start that fails."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest

from monitor import config as configuration
from monitor.store import IMPATIENT, Store
from monitor.unwritten import wait_until_writable
from tests.conftest import SECRETS, World, wait_for, world
from tests.receivers import Receiver


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


def shouts(w: World) -> list[str]:
    return [m.text for m in w.slack.messages.values() if "cannot" in m.text]


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
            assert shout.startswith("<!subteam^S0SOCIAL>"), "it wakes whom a page wakes"
            assert "We are sold." in duty.bodies[0]["payload"]["summary"]
            w.x.change("acme", name="Acme is sold")
            await w.run(15)
            assert "Acme is sold" in shouts(w).pop()
            w.x.post("acme", "And again.")
            await w.run(240)
            assert ["“And again.”" in s for s in shouts(w)] == [False, False, True], "each post once, however long it lasts"
            assert "We are sold" not in shouts(w)[2]
            assert w.service.broken == ""
        await w.run(3)
        assert [m.metadata["event_payload"]["incident"] for m in w.slack.roots() if m.metadata] == [1]
        assert len(w.service.store.posts("kind = 'post' AND severity = 3 AND baseline = 0")) == 2


async def test_a_database_that_is_held_while_nothing_happens_is_told_once_after_a_minute(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        with held(w.config.database):
            await w.run(50)
            assert not shouts(w), "a backup takes its time"
            await w.run(120)
            (shout,) = shouts(w)
            assert shout.endswith("Not written down: no post that would page")
        await w.run(3)
        with held(w.config.database):
            await w.run(30)
        await w.run(3)
        assert len(shouts(w)) == 1
        assert len(w.slack.waking()) == 1, "that one"


async def test_the_loop_does_not_wait_for_a_database_that_is_held(tmp_path: Path) -> None:
    store = Store(tmp_path / "monitor.db")
    patience = store.sql.execute("PRAGMA busy_timeout").fetchone()[0]
    with held(store.path):
        for _ in range(3):
            with pytest.raises(sqlite3.OperationalError, match="locked"), store.transaction():
                pass
        assert store.sql.execute("PRAGMA busy_timeout").fetchone()[0] == IMPATIENT < patience
    with store.transaction():
        pass
    assert store.sql.execute("PRAGMA busy_timeout").fetchone()[0] == patience
    store.close()


async def test_a_disk_that_is_full_is_told_although_nothing_is_posted(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.service.store.sql.execute(
            "CREATE TRIGGER full BEFORE INSERT ON incidents BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END"
        )
        w.service.check.drill = lambda _: "the last drill failed"  # something that only the look at ourselves writes down
        await w.run(1)
        w.service.check_health()
        assert await wait_for(lambda: bool(w.service.broken))
        assert "cannot write to" in shouts(w)[0]


async def test_a_start_that_cannot_write_is_told_to_every_route_and_goes_on_when_it_can(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        duty = await Receiver().start(stack)
        w = await stack.enter_async_context(world(tmp_path / "one", extra=f'[pagerduty]\napi_base = "{duty.base}"\n'))
        text = (tmp_path / "one" / "hijack-monitor.toml").read_text().replace(str(tmp_path / "one" / "data"), str(tmp_path / "two"))
        file = tmp_path / "hijack-monitor.toml"
        file.write_text(text)
        config = configuration.load(file)
        config.data_dir.mkdir()
        config.database.write_bytes(b"this is no database, and was one until the disk died" * 100)
        starting = asyncio.create_task(wait_until_writable(config, SECRETS, w.clock, every=0.02))
        assert await wait_for(lambda: bool(shouts(w)) and bool(duty.bodies))
        assert "cannot start" in duty.bodies[0]["payload"]["summary"]
        assert "Nobody watches @acme" in shouts(w)[0]
        await asyncio.sleep(0.1)
        assert (len(shouts(w)), len(duty.bodies)) == (1, 1), "once, not with every try"
        config.database.unlink()
        await asyncio.wait_for(starting, 10)
