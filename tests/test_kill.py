"""SIGKILL at random moments, with Slack dropping requests before and after it accepted them, and people clicking.

Every hostile post is paged, none twice, and no approved post at all. A click that was confirmed is never lost,
and counts once. The daemon is the real one, in its own process, in real time. HIJACK_MONITOR_KILLS sets how often it is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from collections import Counter
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from monitor import config as configuration
from monitor import desk
from monitor.model import Kind
from monitor.planning import Plan
from monitor.simulator import story as stories
from monitor.simulator.demo import now, serve
from monitor.simulator.slack import SlackWorld
from monitor.simulator.x import XWorld
from monitor.store import Store
from tests.conftest import CONFIG, wait_for

KILLS = int(os.environ.get("HIJACK_MONITOR_KILLS", "50"))
HOSTILE = 40


async def _start(file: Path, log: Path) -> asyncio.subprocess.Process:
    environment = os.environ | {"X_BEARER_TOKEN": "x-token", "SLACK_BOT_TOKEN": "xoxb-token", "SLACK_APP_TOKEN": "xapp-token"}
    with log.open("a") as stderr:
        command = (sys.executable, "-m", "monitor", "--config", str(file), "run")
        return await asyncio.create_subprocess_exec(*command, env=environment, stderr=stderr)


def _approve(store: Store, handles: list[str]) -> None:
    for handle in handles:
        plan = Plan(f"x::{store.pinned('x', handle)}", Kind.POST, f"Planned words of {handle}.", now(), now() + timedelta(hours=1))
        desk.register(store, plan, "comms", now())


async def _click(slack: SlackWorld, confirmed: set[int]) -> None:
    """Somebody acknowledges whatever is new; a click that shows ⚠ is clicked again."""
    while True:
        for root in slack.roots():
            number = root.metadata["event_payload"]["incident"]
            if number not in confirmed and number % 2:
                with contextlib.suppress(LookupError):  # somebody has it: the button is gone
                    if await slack.apps.click("U01ALICE", root, "acknowledge") is not None:
                        confirmed.add(number)
        await asyncio.sleep(0.1)


@pytest.mark.slow
async def test_killed_at_random_moments_it_loses_no_page_and_sends_none_twice(tmp_path: Path) -> None:
    dice = random.Random(7)
    handles = [f"brand{n}" for n in range(HOSTILE)]
    data = CONFIG | {
        "accounts": [{"handle": h, "id": str(1_000 + n)} for n, h in enumerate(handles)],
        "poll_seconds": 0.5, "profile_seconds": 600, "thread_seconds": 600, "push": "auto",
    }  # fmt: skip
    async with AsyncExitStack() as stack:
        x, slack = XWorld(now), SlackWorld(now)
        x.limit = 1_000_000  # what is tried here is not the pace
        x_base, slack_base = await serve(x.app(), stack), await serve(slack.app(), stack)
        stories.Story(data, x, slack, now()).set_up()
        file, log = tmp_path / "hijack-monitor.toml", tmp_path / "log"
        file.write_text(stories.config_text(data, x_base, f"{slack_base}/api/", tmp_path / "data"))
        daemon = await _start(file, log)
        store = Store(configuration.load(file).database)
        stack.callback(store.close)
        first = "SELECT count(*) FROM accounts WHERE first_seen NOT NULL"
        assert await wait_for(lambda: store.sql.execute(first).fetchone()[0] == HOSTILE), log.read_text()
        _approve(store, handles)
        slack.faults.chance = {"drop_before": 0.1, "drop_after": 0.1}
        slack.faults.random_path = "chat.postMessage"
        before, confirmed = 0, set[int]()
        slack.apps.base = slack_base
        clicking = asyncio.create_task(_click(slack, confirmed))
        stack.callback(clicking.cancel)
        for kill in range(KILLS):
            for handle in handles[kill * HOSTILE // KILLS : (kill + 1) * HOSTILE // KILLS]:
                x.post(handle, f"Planned words of {handle}.")
                x.post(handle, f"Hostile words on {handle}.")
            await asyncio.sleep(dice.uniform(0.2, 1.6))
            daemon.send_signal(signal.SIGKILL)
            await daemon.wait()
            before = len(log.read_text())
            daemon = await _start(file, log)
        done = (
            "SELECT count(*) FROM pages WHERE kind = 'root' AND state = 'sent' AND route = 'slack'"  # a slow machine needs the journal too
        )
        finished = await wait_for(lambda: store.sql.execute(done).fetchone()[0] == HOSTILE, 120)
        assert await wait_for(lambda: "watching" in log.read_text()[before:])
        assert await wait_for(lambda: len(confirmed) == HOSTILE // 2, 60), "everybody who clicks long enough is heard"
        clicking.cancel()
        have = "SELECT count(*) FROM incidents WHERE state = 'acknowledged'"
        assert await wait_for(lambda: store.sql.execute(have).fetchone()[0] == HOSTILE // 2), "a confirmed click is never lost"
        daemon.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(daemon.wait(), 5) == 0, "SIGTERM stops it within 5 s"
        assert not store.path.with_name("monitor.db-wal").stat().st_size, "and leaves nothing in the journal"
        assert finished, [tuple(r) for r in store.sql.execute("SELECT id, subject, headline, reason FROM incidents")]
        _judge_the_outcome(slack, store, handles)


def _judge_the_outcome(slack: SlackWorld, store: Store, handles: list[str]) -> None:
    keys = Counter(m.metadata["event_payload"]["dedupe_key"] for m in slack.messages.values())
    assert {k: n for k, n in keys.items() if n > 1} == {}, "a message was sent twice"
    told = [json.dumps(m.blocks) for m in slack.roots()]
    for handle in handles:
        assert sum(f"Hostile words on {handle}." in t for t in told) == 1, f"{handle} lost or doubled"
        assert not any(f"Planned words of {handle}." in t for t in told), f"{handle}'s approved post paged"
    assert len(told) == len(handles)
    twice = "SELECT subject, count(*) FROM audit WHERE action = 'acknowledge' GROUP BY subject HAVING count(*) > 1"
    assert store.sql.execute(twice).fetchall() == [], "and counts once"
    assert store.broken_audit() is None
    assert store.sql.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
