"""The world a story needs: a clock to move, both stand-ins on loopback, and the real service.

Nothing is patched. The service is wired as `run` wires it; only the schedule is played by hand, a
quarter of a second of the moved clock at a time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from monitor import config as configuration
from monitor import desk, service
from monitor.model import Kind
from monitor.planning import Plan
from monitor.service import Service
from monitor.simulator import story as stories
from monitor.simulator.demo import serve
from monitor.simulator.slack import SlackWorld
from monitor.simulator.x import XWorld

# CI tries the same examples every time; a developer's machine looks for new ones.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

START = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
STEP = 0.25
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

    async def run(self, seconds: float, meanwhile: Callable[[float], object] = lambda _: None) -> None:
        """Play the schedule for so many seconds of the moved clock."""
        step = STEP if seconds <= 60 else 2.0 if seconds <= 600 else 5.0
        for _ in range(round(seconds / step)):
            meanwhile(self.elapsed)
            await self._turn()
            self.clock.move(step)
            self.elapsed += step

    async def _turn(self) -> None:
        if self._due("poll"):
            for watch in self.service.watches:
                await self.service.poll(watch)
        if self._due("profiles"):
            await self.service.look_at_profiles()
        if self._due("listen"):
            await self.service.listen()
        if self._due("slack"):
            await self.service.look_at_slack()
        if self._due("drill"):
            await self.service.drill_if_due()
        if self._due("beat"):
            await self.service.beat()
        if self._due("health"):
            self.service.check_health()
        self.service.tick()
        await self.service.pager.settle()

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


@asynccontextmanager
async def world(
    folder: Path, data: dict[str, Any] | None = None, extra: str = "", clock: Clock | None = None, secrets: dict[str, str] | None = None,
    beside: World | None = None,
) -> AsyncIterator[World]:  # fmt: skip
    """A monitor that has seen its accounts once; `beside` another one, looking at the same X and Slack.

    `extra` may begin with lines for the [slack] table, each `slack: key = value`.
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
        for line in [line for line in extra.splitlines() if line.startswith("slack: ")]:
            text = text.replace("[paging]", f"{line.removeprefix('slack: ')}\n[paging]")
        more = "\n".join(line for line in extra.splitlines() if not line.startswith("slack: "))
        file.write_text(f"{text}{more}\n", encoding="utf-8")
        config = configuration.load(file)
        built = await stack.enter_async_context(service.opened(config, SECRETS | (secrets or {}), clock))
        await built.watch_accounts()
        every = {"poll": config.file.x.poll_seconds, "profiles": config.file.x.profile_seconds, "health": 5.0,
                 "slack": 60.0, "drill": 60.0, "beat": 60.0,
                 "listen": config.file.slack.thread_seconds if config.file.slack else 20.0}  # fmt: skip
        made = World(clock, x, slack, config, built, every)
        await made.run(STEP)
        stack.push_async_callback(_stop, made)
        yield made


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


async def wait_for(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Wait for something another process does; only the kill test and the demo test need this."""
    for _ in range(int(seconds / 0.02)):
        if condition():
            return True
        await asyncio.sleep(0.02)
    return condition()
