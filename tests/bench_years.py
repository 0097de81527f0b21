"""`make bench`, last part: what a database of five years costs, each figure beside its limit.

    python -m tests.bench_years [scale]

The database is made once, see `years`, and kept in build/ until its maker or the schema changes; what is measured works on a copy.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, redirect_stderr, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from monitor import metrics, report, schema
from monitor.model import Post, Redacted
from monitor.pruning import Pruning
from monitor.simulator import story as stories
from monitor.simulator.demo import now, serve
from monitor.simulator.slack import SlackWorld
from monitor.simulator.x import XWorld
from monitor.sources.interface import Batch
from monitor.store import Store
from monitor.verifying import Verifying, verified
from tests import years
from tests.conftest import CONFIG, World, wait_for, world

BUILD = Path(__file__).parent.parent / "build"
COMMANDS = (("status",), ("incidents", "list"), ("posts", "list"), ("rules", "coverage"))
ROUNDS = 100
AGAIN = 1_000  # pruned posts that are read again
AGED = 365.0  # days that pruning has to catch up with
ACCOUNTS = [
    {"handle": handle, "id": (key := str(2244994945 + 7919 * n)), "paging": f'id = "{key}"\n'} for n, handle in enumerate(years.HANDLES)
]
DATA: dict[str, Any] = CONFIG | {"accounts": ACCOUNTS, "poll_seconds": 5, "profile_seconds": 60}


def line(what: str, value: float, unit: str, limit: float | None = None, more: str = "", digits: int = 0) -> None:
    """A figure beside what it may be."""
    beside = "" if limit is None else f"   (limit {limit:,g} {unit}{'' if value <= limit else ': MISSED'})"
    print(f"{what:<62} {value:17,.{digits}f} {unit}{beside}{more}", flush=True)


def made(scale: float) -> Path:
    """The database as this version writes it, from build/ where it is there."""
    version = hashlib.sha256(f"{inspect.getsource(years)} {list(schema.STEPS)}".encode()).hexdigest()[:12]
    path, began = BUILD / f"years-{scale:g}-{version}.db", time.perf_counter()
    BUILD.mkdir(exist_ok=True)
    if not path.exists():
        years.build(path, years.Size(scale))
        print(f"built in {time.perf_counter() - began:,.0f} s")
    return path


@asynccontextmanager
async def lived(database: Path | None) -> AsyncIterator[World]:
    """A monitor with a copy of this database, or with a new one."""
    with tempfile.TemporaryDirectory() as folder:
        if database:
            (Path(folder) / "data").mkdir()
            shutil.copy(database, Path(folder) / "data" / "monitor.db")
        async with world(Path(folder), DATA) as w:
            await w.run(5)
            yield w


def commands(database: Path) -> None:
    """As somebody types them, each in a process of its own, and on a new database: what is left of that is Python and our modules."""
    print("commands, a process each: by the clock; of that on a processor; the same on a new database")
    _command("Python alone", [[sys.executable, "-c", "pass"]])
    _command("`--help`", [[sys.executable, "-m", "monitor", "--help"]])
    with tempfile.TemporaryDirectory() as name:
        files = []
        for folder in (Path(name) / "old", Path(name) / "new"):
            (folder / "data").mkdir(parents=True)
            files.append(folder / "hijack-monitor.toml")
            files[-1].write_text(stories.config_text(DATA, "http://127.0.0.1:9", "http://127.0.0.1:9/", folder / "data"))
        shutil.copy(database, files[0].parent / "data" / "monitor.db")
        for file in files:
            _verify(file.parent / "data" / "monitor.db")
        for words in COMMANDS:
            _command(f"`{' '.join(words)}`", [[sys.executable, "-m", "monitor", "--config", str(file), *words] for file in files], 0.5)


def _verify(database: Path) -> None:
    """As the daemon does every day, so that `status` does not."""
    store, began = Store(database), time.process_time()
    asyncio.run(_until(partial(_is_verified, Verifying(store, now, print), store)))
    acts = verified(store).mark.id
    line(f"an audit chain of {acts:,} acts verified, in slices once a day", time.process_time() - began, "s", digits=1)
    store.close()


async def _is_verified(verifying: Verifying, store: Store) -> bool:
    await verifying.look()
    return verified(store).at is not None


def _command(title: str, commands: list[list[str]], limit: float | None = None) -> None:
    """Medians of five."""
    found = [[_took(command) for command in commands] for _ in range(5)]
    clock, used = (statistics.median(one[0][n] for one in found) for n in (0, 1))
    beside = [f"{statistics.median(one[-1][n] for one in found):.2f}" for n in (0, 1)]
    new = f"   new: {beside[0]} s, processor {beside[1]} s" if len(commands) > 1 else ""
    line(title, clock, "s", limit, f"   processor {used:.2f} s{new}", digits=2)


def _took(command: list[str]) -> tuple[float, float]:
    """Seconds by the clock, and of a processor."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began, before = time.perf_counter(), os.times()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    took, after = time.perf_counter() - began, os.times()
    assert done.returncode in {0, 1}, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return took, after.children_user + after.children_system - before.children_user - before.children_system


async def judging(w: World) -> float:
    """Milliseconds for a post that nobody registered, through the intake, commit included."""
    watch, times = w.service.watches[0], []
    for number in range(ROUNDS):
        w.x.post(watch.account.handle, f"We are sold, number {number}.")
        batch = await watch._source.read(watch.account, w.service.store.account(watch.account.key, "")["cursor"])
        batch = replace(batch, items=batch.items[-1:])  # without those that it shows once more
        began = time.perf_counter()
        await watch.accept(batch)
        times.append(time.perf_counter() - began)
        w.service.tick()
        await w.service.pager.settle()
        w.clock.move(5)
    return statistics.median(times[5:]) * 1e3


async def figures(database: Path) -> None:
    """Judging beside a new database; a scrape; an export."""
    async with lived(None) as w:
        fresh = await judging(w)
    async with lived(database) as w:
        registry, store = CollectorRegistry(auto_describe=True), w.service.store
        registry.register(metrics.Figures(store, w.clock, w.service.check, w.service.reads))
        times = []
        for _ in range(20):
            began = time.perf_counter()
            generate_latest(registry)
            times.append(time.perf_counter() - began)
        line("a metrics scrape, median", statistics.median(times) * 1e3, "ms", 20, f"   worst {max(times) * 1e3:.1f} ms", digits=1)
        old = await judging(w)
        line("a post that nobody registered, with commit: new database", fresh, "ms", digits=1)
        line("  after five years", old, "ms", digits=1)
        line("  the second beside the first", old / fresh, "times", 2, digits=2)
        query = "SELECT incident, count(*) FROM posts WHERE incident IS NOT NULL GROUP BY incident ORDER BY 2 DESC LIMIT 1"
        number, posts = store.sql.execute(query).fetchone()
        began, used = time.perf_counter(), time.process_time()
        report.export(store, number, database.parent, w.clock(), b"a secret of thirty-two bytes ...")
        took, used = time.perf_counter() - began, time.process_time() - used
        line(f"export of an incident of {posts:,} posts", took, "s", 10, f"   processor {used:.1f} s", digits=1)
        for left in database.parent.glob(f"INC-{number}*"):
            left.unlink()


def _memory(process: int) -> dict[str, float]:
    """MiB by what Linux calls it."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return {part[0]: int(part[1]) / 1024 for one in lines if len(part := one.split()) == 3 and part[2] == "kB"}


async def starting(database: Path) -> None:
    """The real daemon, with both stand-ins in this process."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "data").mkdir()
        shutil.copy(database, folder / "data" / "monitor.db")
        x, slack = XWorld(now), SlackWorld(now)
        x_base, slack_base = await serve(x.app(), stack), await serve(slack.app(), stack)
        stories.Story(DATA, x, slack, now()).set_up()
        file, log = folder / "hijack-monitor.toml", stack.enter_context((folder / "log").open("w"))
        file.write_text(stories.config_text(DATA, x_base, f"{slack_base}/api/", folder / "data"))
        told = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        told.bind(str(folder / "notify"))
        told.setblocking(False)
        more = {"NOTIFY_SOCKET": str(folder / "notify"), "X_BEARER_TOKEN": x.token, "SLACK_BOT_TOKEN": slack.token, "NO_PROXY": "127.0.0.1"}
        command, began = (sys.executable, "-m", "monitor", "--config", str(file), "run"), time.perf_counter()
        process = await asyncio.create_subprocess_exec(*command, env=os.environ | more, stderr=log)

        def ready() -> bool:
            with suppress(BlockingIOError):
                while True:
                    if told.recv(4096).startswith(b"READY=1"):
                        return True
            return False

        try:
            assert await wait_for(ready, 120), (folder / "log").read_text()[-2_000:]
            line("the daemon, from its start to READY", time.perf_counter() - began, "s", digits=1)
            await asyncio.sleep(20)
            memory = _memory(process.pid)
            line("  resident after 20 s", memory["VmRSS:"], "MiB", more=f"   most {memory['VmHWM:']:.0f} MiB")
        finally:
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.wait(), 10)


@dataclass
class _Late:
    """Of one loop: by how much a tick every second came too late, and for how long at most nobody else had a turn."""

    tick: float = 0.0
    held: float = 0.0

    async def watch(self, every: float) -> None:
        """For ever."""
        while True:
            due = time.monotonic() + every
            await asyncio.sleep(every)
            late = time.monotonic() - due
            self.tick, self.held = (max(self.tick, late), self.held) if every >= 1 else (self.tick, max(self.held, late))


async def _late_during(work: Awaitable[object]) -> _Late:
    found = _Late()
    watching = [asyncio.create_task(found.watch(every)) for every in (1.0, 0.002)]
    try:
        await work
    finally:
        for task in watching:
            task.cancel()
    return found


async def pruning(database: Path) -> None:
    """Everything that a year makes too old, at once; and its posts read again."""
    async with lived(database) as w:
        store = w.service.store
        old = [k.post for k in store.posts("incident IS NULL AND kind IN ('post', 'reply') AND rowid < 5000", limit=AGAIN)]
        at, quiet = w.clock() + timedelta(days=AGED), await _late_during(asyncio.sleep(30))
        pruning = Pruning(store, lambda: w.config.retention, lambda: at, lambda: "", lambda: w.service.judge.digest, print)
        began = time.perf_counter()
        busy = await _late_during(_until(pruning.run))
        gone = store.sql.execute("SELECT count(*) FROM posts WHERE redacted_at IS NOT NULL").fetchone()[0]
        line(
            f"pruning what a year made too old, {gone:,} posts with it",
            time.perf_counter() - began,
            "s",
            more=f"   slices with the loop between them; load {os.getloadavg()[0]:.1f}",
        )
        line("  a tick every second: the worst lateness", busy.tick * 1e3, "ms", 50, f"   without pruning {quiet.tick * 1e3:.0f} ms")
        line("  the loop held at most", busy.held * 1e3, "ms", None, f"   without pruning {quiet.held * 1e3:.0f} ms")
        assert gone
        before = store.sql.execute("SELECT count(*) FROM pages").fetchone()[0]
        for watch in w.service.watches:
            mine = tuple(p for p in old if isinstance(p, Post) and p.account == watch.account.key)
            await watch.accept(Batch(mine, store.account(watch.account.key, "")["cursor"]))
        pages = store.sql.execute("SELECT count(*) FROM pages").fetchone()[0] - before
        again = [k for k in store.posts("rowid < 5000 AND redacted_at IS NOT NULL", limit=-1) if isinstance(k.post, Redacted)]
        assert {p.id for p in old} <= {k.post.id for k in again}, "they are what was pruned"
        line(f"pruned posts read again ({len(old):,}): pages", pages, "", 0)


async def _until(run: Callable[[], Awaitable[bool]]) -> None:
    while not await run():  # noqa: ASYNC110 - it is what takes the time
        await asyncio.sleep(0)


def main(scale: float) -> None:
    """All of it."""
    database = made(scale)
    print(f"{years.size_line(database)}   at scale {scale:g}, load {os.getloadavg()[0]:.1f}")
    line("  a post, with all that comes with it", database.stat().st_size / 1e3 / (years.POSTS * scale), "kB", digits=2)
    commands(database)
    with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
        for part in (figures, starting, pruning):
            asyncio.run(part(database))
    print(f"{'load at the end':<62} {os.getloadavg()[0]:17.1f}")


if __name__ == "__main__":
    import logging

    logging.disable()
    main(float(sys.argv[1]) if sys.argv[1:] else 1.0)
