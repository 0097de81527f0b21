"""The world a story needs: a clock to move, both stand-ins on loopback, and the real service.

Nothing is patched. The service is wired as `run` wires it; only the schedule is played by hand, a
quarter of a second of the moved clock at a time.
"""

from __future__ import annotations

import asyncio
import functools
import os
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from monitor import config as configuration
from monitor import daemon, database, desk, private, registered, wiring
from monitor.model import Kind
from monitor.planning import Plan
from monitor.service import Service
from monitor.simulator import story as stories
from monitor.simulator.demo import serve
from monitor.simulator.slack import SlackWorld
from monitor.simulator.x import XWorld
from monitor.store import Store
from tests import scans

# CI tries the same examples every time; a developer's machine looks for new ones. Nothing fails because a machine is slow.
_CALM: dict[str, Any] = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("ci", derandomize=True, **_CALM)
hypothesis.settings.register_profile("own", **_CALM)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "own")

START = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
STEP = 0.25
QUIET = 8  # turns in which nothing happened, until steps are longer
SECRETS = {
    "x_bearer_token": "x-token", "slack_bot_token": "xoxb-token", "pagerduty_routing_key": "pd-key", "webhook_key": "hook-key",
    "deadman_url": "", "apprise_urls": "",
}  # fmt: skip
CONFIG: dict[str, Any] = {
    "company": {"name": "Acme Exchange", "domains": ["acme.example"], "wallets": [], "handles": ["acme", "acmesupport"]},
    "accounts": [{"handle": "acme", "id": "2244994945", "earlier": ["Good morning."]}],
    "timeline": [],
    "expect": [],
    "lasts": 60,
}


class Clock:
    """A clock you can move."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class World:
    """Everything in one place; `run` lets time pass."""

    clock: Clock
    x: XWorld
    slack: SlackWorld
    config: configuration.Config
    service: Service
    every: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    elapsed: float = 0.0

    async def run(self, seconds: float, meanwhile: Callable[[float], object] | None = None) -> None:
        """Play the schedule for so many seconds of the moved clock, in longer steps while nothing happens."""
        step = STEP if seconds <= 60 else 2.0 if seconds <= 600 else 5.0 if seconds <= 1_800 else 15.0
        calm = 4 if step == STEP else 3 if step <= 5.0 else 1
        left, quiet = round(seconds / step), 0
        while left > 0:
            if meanwhile:
                meanwhile(self.elapsed)
            before = self._happened()
            await self._turn()
            quiet = quiet + 1 if self._happened() == before else 0
            steps = max(1, min(left - 1, calm)) if quiet >= QUIET and not meanwhile else 1  # the last look is as late as it would be
            self.clock.move(step * steps)
            self.elapsed += step * steps
            left -= steps

    def _happened(self) -> tuple[int, str]:
        """What changes whenever something happens: what Slack shows, and the acts that are written down."""
        return len(self.slack.shown), self.service.store.audit_head()

    async def _turn(self, pulses: int = 3) -> None:
        self.x.push.tick()
        for _ in range(pulses):  # what is told may have to be read, and what is read told again
            await self.service.pulse()
            await self.asked()
            await self.heard()
        tasks = self.service.round()
        if tasks:
            await asyncio.wait(tasks)
        duties: dict[str, Callable[[], Any]] = {
            "profiles": self.service.look_at_profiles, "edits": self.service.look_at_edits, "search": self.service.search,
            "listen": self.service.listen, "slack": self.service.look_at_slack, "drill": self.service.drill_if_due, "beat": self.service.beat,
        }  # fmt: skip
        if self.elapsed > 300:  # X allows 300 looks at profiles in a quarter of an hour
            self.every["profiles"] = max(self.every["profiles"], 5.0)
        for name, duty in duties.items():
            if self._due(name):
                await duty()
        if self._due("health"):
            self.service.check_health()
        self.service.tick()
        await self.service.pager.settle()

    async def skip(self, seconds: float) -> None:
        """Let quiet time pass in long steps: streams beat, what is due is done every ten minutes, but nobody looks at the second."""
        while seconds > 0:
            await self._beaten()
            await self._turn(pulses=1)
            rest = min(600.0, seconds)
            seconds -= rest
            while rest > 0:
                step = min(40.0 if self.x.push.connections else 600.0, rest)
                self.clock.move(step)
                self.elapsed += step
                rest -= step
                if rest > 0:
                    await self._beaten()
                    await self.service.pulse()

    async def _beaten(self) -> None:
        self.x.push.tick()
        await self.heard()

    async def asked(self) -> None:
        """Let what was told be asked for."""
        asking = [c.asking for c in self.service.collectors.values() if c.asking]
        if asking:
            await asyncio.wait(asking)

    async def heard(self) -> None:
        """Let everything that a stream has said arrive: real sockets, no waiting for time to pass."""
        until = time.monotonic() + 60
        while not all(map(self._is_quiet, self.service.collectors.values())):
            assert time.monotonic() < until, "the stream does not come to rest"
            await asyncio.sleep(0 if self.x.push.connections else 0.0005)

    def _is_quiet(self, collector: Any) -> bool:
        listener, push = collector.listener, self.x.push
        if listener is None or (listener._task is None and listener._preparing is None):
            return True
        if listener._preparing is not None and not listener._preparing.done():
            return False
        if listener._task is None or listener._task.done():
            return True
        open_ = [c for c in push.connections if c.endpoint == push.endpoint(listener.name)]
        if listener.open_since is None:
            return bool(open_) and push.late_headers
        return bool(open_) and not open_[-1].lines.qsize() and open_[-1].sent == listener.received

    def _due(self, name: str) -> bool:
        if self.elapsed - self.last.get(name, -1e9) >= self.every[name]:
            self.last[name] = self.elapsed
            return True
        return False

    async def sockets(self) -> None:
        """Open the sockets, as `run` does; waits in real time until they are there."""
        assert self.service.front
        await self.service.front.start()
        assert await wait_for(lambda: len(self.slack.apps.sockets) == len(self.service.front.sockets if self.service.front else ()))

    async def settled(self) -> None:
        """Let what a click began come to its end."""
        assert self.service.front
        app = self.service.front.app
        while app._tasks:
            await asyncio.gather(*app._tasks)
        self.service.tick()
        await self.service.pager.settle()

    def register(self, text: str, handle: str = "acme", **more: Any) -> int:
        """What comms planned, for the next hour unless said otherwise."""
        account = next(w.account for w in self.service.watches if w.account.handle == handle)
        window = more.pop("window", (self.clock() - timedelta(minutes=1), self.clock() + timedelta(hours=1)))
        plan = Plan(account.key, more.pop("kind", Kind.POST), text, *window, **more)
        number = desk.register(self.service.store, plan, "comms", self.clock())
        assert number is not None
        return number


def as_row(values: Mapping[str, object]) -> sqlite3.Row:
    """As a query gives it."""
    with closing(sqlite3.connect(":memory:")) as sql:
        sql.row_factory = sqlite3.Row
        found: sqlite3.Row = sql.execute(f"SELECT {', '.join(f'? AS {name}' for name in values)}", [*values.values()]).fetchone()
        return found


def overwrite(store: Store, number: int, **said: object) -> None:
    """A registration whose row says something else, by the names of its columns."""
    row = store.sql.execute("SELECT * FROM approved WHERE id = ?", [number]).fetchone()
    values = registered.columns(registered.whole(row) | said)
    store.sql.execute(f"UPDATE approved SET {', '.join(f'{name} = ?' for name in values)} WHERE id = {number}", [*values.values()])


@functools.cache
def _unused() -> bytes:
    """A database that nobody has used yet: to take every step of the schema costs half of a start."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "monitor.db"
        Store(file).close()
        return file.read_bytes()


def _place(file: Path) -> None:
    """As a command leaves it that ran before the first start. Whatever is there already stays as it is."""
    if any(file.parent.glob(f"{file.name}*")):
        return
    private.folder(file.parent)
    private.create(file)
    file.write_bytes(_unused())
    with closing(sqlite3.connect(file)) as sql, sql:
        sql.execute("UPDATE meta SET value = ? WHERE key = 'install'", [os.urandom(4).hex()])


@asynccontextmanager
async def world(
    folder: Path, data: dict[str, Any] | None = None, extra: str = "", clock: Clock | None = None, secrets: dict[str, str] | None = None,
    beside: World | None = None, before: Callable[[XWorld], object] = lambda _: None,
) -> AsyncIterator[World]:  # fmt: skip
    """A monitor that has seen its accounts once; `beside` another one, looking at the same X and Slack.

    `extra` may begin with lines for the [slack] and [x] tables, each `slack: key = value` or `x: key = value`; `before` is
    called with X before the monitor begins.
    """
    data = CONFIG if data is None else data
    clock = clock or (beside.clock if beside else Clock())
    async with AsyncExitStack() as stack:
        x, slack = (beside.x, beside.slack) if beside else (XWorld(clock), SlackWorld(clock))
        x_base, slack_base = await serve(x.app(), stack), await serve(slack.app(), stack)
        x.media_base, slack.apps.base = f"{x_base}/media", slack_base
        if not beside:
            stories.Story(data, x, slack, clock()).set_up()
        await asyncio.to_thread(folder.mkdir, exist_ok=True)
        file = folder / "hijack-monitor.toml"
        text = stories.config_text(data, x_base, f"{slack_base}/api/", folder / "data")
        for line in [line for line in extra.splitlines() if line.startswith(("slack: ", "x: "))]:
            table, _, key = line.partition(": ")
            text = text.replace("[paging]", f"{key}\n[paging]") if table == "slack" else text.replace("[x]", f"[x]\n{key}")
        more = "\n".join(line for line in extra.splitlines() if not line.startswith(("slack: ", "x: ")))
        before(x)
        file.write_text(f"{text}{more}\n", encoding="utf-8")
        config = configuration.load(file)
        if config.database.exists():
            daemon.settle(config, clock())
        else:
            _place(config.database)
        built = await stack.enter_async_context(wiring.opened(config, SECRETS | (secrets or {}), clock))
        built.sandbox.bounds = replace(built.sandbox.bounds, seconds=120)  # what is slow here is the machine
        await built.watch_accounts()
        await built.open_streams(SECRETS | (secrets or {}))
        every = {"profiles": config.file.x.profile_seconds, "health": 5.0, "edits": 60.0, "search": 30.0,
                 "slack": 60.0, "drill": 60.0, "beat": 60.0,
                 "listen": config.file.slack.thread_seconds if config.file.slack else 20.0}  # fmt: skip
        made = World(clock, x, slack, config, built, every)
        await made.run(STEP)
        for _ in range(100):  # many accounts are not read in one burst
            if all(watch.intake.polled_at or _was_refused(made, watch) for watch in built.watches):
                break
            await made.run(STEP)
        stack.push_async_callback(_stop, made)
        yield made


def _was_refused(made: World, watch: Any) -> bool:
    """Whether reading it was tried and failed."""
    return bool(made.service.store.account(watch.account.key, watch.account.handle)["failures"])


async def _stop(made: World) -> None:
    if made.service.front:
        await made.service.front.stop()


@pytest.fixture
def clock() -> Clock:
    """A clock you can move."""
    return Clock()


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no credential of this machine reaches a test."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "CREDENTIALS_DIRECTORY", "STATE_DIRECTORY",
                 "HIJACK_MONITOR_CONFIG", "X_BEARER_TOKEN", "SLACK_BOT_TOKEN", "NOTIFY_SOCKET"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _plans(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test makes the product ask its database, no statement may read a whole table that grows."""
    monkeypatch.setattr(database, "Connection", scans.Planned)
    scans.taken()
    yield
    assert not (found := scans.taken()), (
        "SQLite would read a whole table: an index, another statement, or an excuse in tests/scans.py\n" + "\n".join(found)
    )


async def wait_for(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Wait for something another process does; only the kill test and the demo test need this."""
    for _ in range(int(seconds / 0.02)):
        if condition():
            return True
        await asyncio.sleep(0.02)
    return condition()
