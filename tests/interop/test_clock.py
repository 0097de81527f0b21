"""The daemon as a process whose clock is set while it runs (libfaketime), and which is stopped and goes on.

Timelines are read within five seconds of real time, and a hijack pages.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from monitor.simulator import story as stories
from monitor.simulator.demo import now, serve
from monitor.simulator.slack import SlackWorld
from monitor.simulator.x import XWorld
from tests.conftest import CONFIG, wait_for

LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)
pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed: `make interop` installs it"),
]
SECONDS = 5.0


@dataclass
class _Daemon:
    process: asyncio.subprocess.Process
    offset: Path
    x: XWorld
    slack: SlackWorld
    log: Path
    reads: Callable[[], int]

    def set_clock(self, offset: str) -> None:
        """Its wall clock alone, from now on so much beside ours."""
        fresh = self.offset.with_suffix(".new")
        fresh.write_text(offset)
        fresh.replace(self.offset)


@asynccontextmanager
async def _daemon(folder: Path) -> AsyncIterator[_Daemon]:
    async with AsyncExitStack() as stack:
        x, slack = XWorld(now), SlackWorld(now)
        x_base, slack_base = await serve(x.app(), stack), await serve(slack.app(), stack)
        data = CONFIG | {"poll_seconds": 1, "thread_seconds": 600, "push": "none"}
        stories.Story(data, x, slack, now()).set_up()
        file, log, offset = folder / "hijack-monitor.toml", folder / "log", folder / "offset"
        file.write_text(stories.config_text(data, x_base, f"{slack_base}/api/", folder / "data"))
        offset.write_text("+0")
        environment = os.environ | {
            "X_BEARER_TOKEN": "x-token", "SLACK_BOT_TOKEN": "xoxb-token", "SLACK_APP_TOKEN": "xapp-token", "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }  # fmt: skip
        with log.open("a") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "monitor", "--config", str(file), "run", env=environment, stderr=stderr
            )
        made = _Daemon(process, offset, x, slack, log, lambda: sum("/tweets?" in path for path in x.requests))
        try:
            assert await wait_for(lambda: "watching 1 account" in log.read_text() and made.reads() > 2, 30), log.read_text()
            yield made
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()
            await process.wait()


async def _is_read_and_pages(daemon: _Daemon, words: str) -> None:
    begun, reads = time.monotonic(), daemon.reads()
    assert await wait_for(lambda: daemon.reads() > reads + 1, SECONDS), daemon.log.read_text()
    assert time.monotonic() - begun < SECONDS
    handle = CONFIG["accounts"][0]["handle"]
    daemon.x.post(handle, words)
    assert await wait_for(lambda: any(words in m.words() for m in daemon.slack.messages.values()), 3 * SECONDS), daemon.log.read_text()


@pytest.mark.parametrize("offset", ["-20", "-10800", "+3600"])
async def test_a_clock_that_is_set_keeps_nothing_from_being_read_and_paged(offset: str, tmp_path: Path) -> None:
    async with _daemon(tmp_path) as daemon:
        daemon.set_clock(offset)
        await _is_read_and_pages(daemon, "This is a hijack.")
        daemon.set_clock("+0")
        await _is_read_and_pages(daemon, "And this is another one.")
        assert "the clock was set by" in daemon.log.read_text()


async def test_after_a_stop_it_goes_on_at_once(tmp_path: Path) -> None:
    async with _daemon(tmp_path) as daemon:
        daemon.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(8)
        daemon.process.send_signal(signal.SIGCONT)
        await _is_read_and_pages(daemon, "This is a hijack.")
        assert "Not being watched" not in str([m.words() for m in daemon.slack.messages.values()])
