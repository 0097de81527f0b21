"""Fifty posts a second, a backup, SIGKILL, the data directory deleted, a restore, and a start; with kills inside each.

Every hostile post is paged, no message is sent twice, and nothing that was registered before the backup pages. The daemon and the
commands are the real ones, in processes of their own, in real time. HIJACK_MONITOR_RESTORES sets how often.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sqlite3
import sys
from collections import Counter
from contextlib import AsyncExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor import config as configuration
from monitor import copies, desk
from monitor.model import Kind
from monitor.planning import Plan
from monitor.simulator import story as stories
from monitor.simulator.demo import now, serve
from monitor.simulator.slack import SlackWorld
from monitor.simulator.x import XWorld
from monitor.store import Store
from tests.conftest import CONFIG, wait_for

ROUNDS = int(os.environ.get("HIJACK_MONITOR_RESTORES", "1"))
RATE, NOISY, BRANDS = 50, 5, 12
KEY = "0123456789abcdef" * 4
RECORDED = '[accounts.unapproved]\npost = "record"\n'


@dataclass
class Host:
    """What a round is played on."""

    folder: Path
    file: Path
    x: XWorld
    slack: SlackWorld
    dice: random.Random
    told: dict[str, str] = field(default_factory=dict)  # of each brand that posted hostile words, when

    @property
    def data(self) -> Path:
        return self.folder / "data"

    async def start(self, *command: str) -> asyncio.subprocess.Process:
        """A process of ours, its words in the log."""
        environment = os.environ | {
            "X_BEARER_TOKEN": "x-token", "SLACK_BOT_TOKEN": "xoxb-token", "INSTALL_KEY": KEY, "NO_PROXY": "127.0.0.1"
        }  # fmt: skip
        with (self.folder / "log").open("a") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", "monitor", "--config", str(self.file), *command, env=environment, stderr=log, stdout=log
            )

    def log(self) -> str:
        return (self.folder / "log").read_text()

    async def killed(self, *command: str) -> bool:
        """Whether it was killed before it had ended."""
        process = await self.start(*command)
        await asyncio.sleep(self.dice.uniform(0.1, 1.2))
        with suppress(ProcessLookupError):
            process.kill()
        return await process.wait() != 0

    async def watching(self) -> asyncio.subprocess.Process:
        before = len(self.log())
        daemon = await self.start("run")
        assert await wait_for(lambda: "watching" in self.log()[before:], 120), self.log()[-3_000:]
        return daemon

    def attack(self, when: str, count: int) -> None:
        """Brands that have not been attacked yet say something that nobody planned, and something that was planned."""
        for _ in range(count):
            brand = f"brand{len(self.told)}"
            self.told[brand] = when
            self.x.post(brand, f"Planned words of {brand}.")
            self.x.post(brand, f"Hostile words on {brand}.")

    def roots(self, brand: str) -> int:
        return sum(f"Hostile words on {brand}." in json.dumps(m.blocks) for m in self.slack.roots())


async def _post(x: XWorld) -> None:
    """Somebody posts all the time."""
    loop, sent = asyncio.get_running_loop(), 0
    began = loop.time()
    while True:
        while sent < (loop.time() - began) * RATE:
            x.post(f"noise{sent % NOISY}", f"The weather is fine, number {sent}.")
            sent += 1
        await asyncio.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_a_backup_restored_under_load_loses_no_page_and_sends_none_twice(tmp_path: Path, seed: int) -> None:
    accounts = [{"handle": f"noise{n}", "id": str(2_000 + n), "paging": RECORDED} for n in range(NOISY)]
    accounts += [{"handle": f"brand{n}", "id": str(1_000 + n)} for n in range(BRANDS)]
    data: dict[str, Any] = CONFIG | {"accounts": accounts, "poll_seconds": 1, "profile_seconds": 600, "thread_seconds": 600, "push": "auto"}
    async with AsyncExitStack() as stack:
        x, slack = XWorld(now), SlackWorld(now)
        x.limit = 1_000_000  # what is tried here is not the pace
        x_base, slack_base = await serve(x.app(), stack), await serve(slack.app(), stack)
        stories.Story(data, x, slack, now()).set_up()
        host = Host(tmp_path, tmp_path / "hijack-monitor.toml", x, slack, random.Random(seed))
        host.file.write_text(stories.config_text(data, x_base, f"{slack_base}/api/", host.data))
        (tmp_path / "log").touch()
        daemon = await host.watching()
        path = configuration.load(host.file).database
        await _register(path)
        slack.faults.chance = {"drop_before": 0.1, "drop_after": 0.1}
        slack.faults.random_path = "chat.postMessage"
        noise = asyncio.create_task(_post(x))
        stack.callback(noise.cancel)
        host.attack("before", BRANDS // 4)
        await asyncio.sleep(host.dice.uniform(1, 4))
        host.attack("about then", BRANDS // 4)
        file = await _backup(host)
        host.attack("after", BRANDS // 4)
        await asyncio.sleep(host.dice.uniform(0, 3))
        daemon.kill()
        await daemon.wait()
        shutil.rmtree(host.data)
        host.attack("meanwhile", BRANDS // 4)
        known = _make_older(file)
        for _ in range(2):
            await host.killed("restore", str(file), "--yes")
        restored = await host.start("restore", str(file), "--yes")
        assert await restored.wait() == 0, host.log()[-3_000:]
        for _ in range(2):  # while it brings the database up to date, or right after
            await host.killed("run")
        daemon = await host.watching()
        noise.cancel()
        assert await wait_for(lambda: all(map(host.roots, host.told)), 120), {b: w for b, w in host.told.items() if not host.roots(b)}
        await _rest(path)
        daemon.terminate()
        assert await daemon.wait() == 0
        _judge_the_outcome(host, path, known)


async def _register(path: Path) -> None:
    with closing(Store(path)) as store:
        count = "SELECT count(*) FROM accounts WHERE first_seen NOT NULL"
        assert await wait_for(lambda: bool(store.sql.execute(count).fetchone()[0] == NOISY + BRANDS), 120)
        for n in range(BRANDS):
            plan = Plan(f"x::{1_000 + n}", Kind.POST, f"Planned words of brand{n}.", now(), now() + timedelta(hours=1))
            assert desk.register(store, plan, "comms", now())


async def _backup(host: Host) -> Path:
    """Killed twice, or done before that."""
    for name in ("a.db", "b.db"):
        await host.killed("backup", str(host.folder / name))
    process = await host.start("backup", str(host.folder / "c.db"))
    assert await process.wait() == 0, host.log()[-3_000:]
    for name in ("a.db", "b.db"):
        if (host.folder / name).exists():
            copies.examined(host.folder / name)  # killed or not, what has a name is whole
    return host.folder / "c.db"


def _make_older(file: Path) -> set[str]:
    """As the version before would have made it; returns the accounts of its incidents."""
    with closing(sqlite3.connect(file)) as sql:
        sql.execute("ALTER TABLE incidents DROP COLUMN next_step")
        sql.execute("DELETE FROM _sqlite_migrations WHERE name = '0022_counted_steps'")
        sql.commit()
        return {row[0] for row in sql.execute("SELECT subject FROM incidents")}


async def _rest(path: Path) -> None:
    """Until no page is left to be sent; of what was posted all the time, notes still are."""
    with closing(Store(path)) as store:
        left = "SELECT count(*) FROM pages WHERE state IN ('ready', 'sending', 'unknown') AND kind IN ('root', 'repeat')"
        assert await wait_for(lambda: store.sql.execute(left).fetchone()[0] == 0, 120)


def _judge_the_outcome(host: Host, path: Path, known: set[str]) -> None:
    keys = Counter(m.metadata["event_payload"]["dedupe_key"] for m in host.slack.messages.values() if m.metadata)
    assert {k: n for k, n in keys.items() if n > 1} == {}, "a message was sent twice"
    told = [json.dumps(m.blocks) for m in host.slack.roots()]
    for n, (brand, when) in enumerate(host.told.items()):
        assert not any(f"Planned words of {brand}." in t for t in told), f"{brand}'s approved post paged"
        most = 1 if when == "meanwhile" or f"x::{1_000 + n}" in known else 2  # the backup does not know that it was told
        assert 1 <= host.roots(brand) <= most, (brand, when, host.roots(brand))
    with closing(Store(path)) as store:
        assert store.broken_audit() is None
        assert store.sql.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert store.sql.execute("SELECT count(*) FROM audit WHERE action = 'older database'").fetchone()[0] == 1
        assert list(host.data.glob("monitor.db.before-[0-9]*")), "the older one is kept"
