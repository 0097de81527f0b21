"""`make bench`, third part: the real daemon under `run`, in a process of its own, in real time.

A hundred posts a second for a minute through the Activity stream; and what the process holds with a thousand accounts.
`python -m tests.bench_daemon 3600 10` is an hour of ten posts a second alone.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor import config as configuration
from monitor import record
from monitor.simulator import story as stories
from monitor.simulator.demo import now, serve
from monitor.simulator.slack import SlackWorld
from monitor.simulator.x import XWorld
from monitor.store import Store
from tests.conftest import CONFIG, wait_for


@dataclass
class Daemon:
    """The real one, and both stand-ins in this process."""

    x: XWorld
    store: Store
    process: asyncio.subprocess.Process

    def resident(self) -> float:
        """MiB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024

    def count(self, query: str) -> int:
        """One number from the store."""
        return int(self.store.sql.execute(query).fetchone()[0])


@asynccontextmanager
async def running(accounts: int, unapproved: str = "page") -> AsyncIterator[Daemon]:
    """A daemon that has seen its accounts and whose stream is open."""
    listed = [
        {"handle": f"brand{n}", "id": str(n + 1), "paging": f'[accounts.unapproved]\npost = "{unapproved}"\n'} for n in range(accounts)
    ]
    data: dict[str, Any] = CONFIG | {"accounts": listed, "poll_seconds": 5, "profile_seconds": 60, "push": "auto", "thread_seconds": 20}
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        x, slack = XWorld(now), SlackWorld(now)
        x.limit = 1_000_000  # the baseline of a thousand accounts takes a quarter of an hour at X's pace
        x_base, slack_base = await serve(x.app(), stack), await serve(slack.app(), stack)
        stories.Story(data, x, slack, now()).set_up()
        file = folder / "hijack-monitor.toml"
        file.write_text(stories.config_text(data, x_base, f"{slack_base}/api/", folder / "data"))
        environment = os.environ | {"X_BEARER_TOKEN": x.token, "SLACK_BOT_TOKEN": slack.token, "NO_PROXY": "127.0.0.1"}
        with (folder / "log").open("w") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "monitor", "--config", str(file), "run", env=environment, stderr=log
            )
        store = Store(configuration.load(file).database)
        stack.callback(store.close)
        made = Daemon(x, store, process)
        try:
            seen = "SELECT count(*) FROM accounts WHERE first_seen NOT NULL"
            assert await wait_for(lambda: made.count(seen) == accounts, 240), (folder / "log").read_text()[-2_000:]
            assert await wait_for(lambda: bool(x.push.connections) and len(x.push.subscriptions) >= min(accounts, 400), 60)
            await asyncio.sleep(2)
            yield made
        finally:
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.wait(), 10)


async def flood(seconds: float, rate: int, accounts: int = 20) -> tuple[int, list[float], list[float]]:
    """(posts, seconds from post to verdict of each, MiB every ten seconds)."""
    async with running(accounts) as d:
        began, sent, memory = time.monotonic(), 0, [d.resident()]
        while (passed := time.monotonic() - began) < seconds:
            while sent < passed * rate:
                d.x.post(f"brand{sent % accounts}", f"We are sold, number {sent}.")
                sent += 1
            if passed > 10 * len(memory):
                memory.append(d.resident())
            await asyncio.sleep(0.01)
        assert await wait_for(lambda: d.count("SELECT count(*) FROM posts WHERE baseline = 0") >= sent, 60), "something was lost"
        memory.append(d.resident())
        rows = d.store.sql.execute("SELECT created_at, seen_at FROM posts WHERE baseline = 0")
        return sent, [(b - a).total_seconds() for r in rows if (a := record.moment(r[0])) and (b := record.moment(r[1]))], memory


async def holding(accounts: int) -> float:
    """MiB of a daemon that has watched so many accounts for half a minute."""
    async with running(accounts, "record") as d:
        await asyncio.sleep(30)
        return d.resident()


def flooded(seconds: int, rate: int, title: str) -> None:
    """How soon, how many and how much."""
    posts, lags, memory = asyncio.run(flood(seconds, rate))
    p99 = sorted(lags)[int(len(lags) * 0.99)]
    print(f"{title + ', post to verdict':<62} median {statistics.median(lags) * 1e3:10.0f} ms   p99 {p99 * 1e3:10.0f} ms")
    print(f"{'  the worst (limit 1 s); judged of posted':<62} {max(lags) * 1e3:17.0f} ms   {len(lags):,} / {posts:,}")
    every = max(1, len(memory) // 60)
    print(f"{f'  memory before, then every {10 * every} s':<62} {' '.join(f'{m:.0f}' for m in [*memory[:-1:every], memory[-1]])} MiB")


def main() -> None:
    """Both, or the flood alone for so many seconds at so many posts a second."""
    if sys.argv[1:]:
        seconds, rate = map(int, sys.argv[1:])
        flooded(seconds, rate, f"{rate} posts a second for {seconds:,} s")
        return
    flooded(60, 100, "100 posts a second for a minute")
    print(f"{'daemon with 1,000 accounts, resident (limit 200 MiB)':<62} {asyncio.run(holding(1_000)):17.0f} MiB")


if __name__ == "__main__":
    main()
