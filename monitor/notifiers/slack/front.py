"""Slack as a place where people work: its sockets, what they carry, and whether it can be used at all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from monitor import background
from monitor.notifiers.interface import NotifierError
from monitor.notifiers.slack.api import Api, Socket
from monitor.notifiers.slack.app import SlackApp
from monitor.notifiers.slack.people import People
from monitor.notifiers.slack.targets import Targets
from monitor.steps import move

log = logging.getLogger("monitor.slack")

_LASTING_LOOKS = 2  # one failed look may be a hiccup


class Front:
    """The sockets of one app. Without an app token there are none, and threads are read instead."""

    def __init__(self, api: Api, people: People, app: SlackApp, app_token: str, count: int, clock: Callable[[], datetime]) -> None:
        self._api, self._people, self._clock, self._app_token = api, people, clock, app_token
        self.app, self.targets = app, Targets(api, people, clock)
        self.sockets = tuple(Socket(api, app_token, app.receive) for _ in range(count)) if app_token else ()
        self._tasks: list[asyncio.Task[None]] = []
        self._began = time.monotonic()
        self._failed = self._counted = 0
        self._since: datetime | None = None
        self._why = ""
        self._well_at: datetime | None = None  # when Slack last answered
        self._alone_at: datetime | None = None  # when it last counted no connections but ours

    async def check(self) -> str:
        """Whether Slack would open a socket for us. Raises NotifierError."""
        if not self.sockets:
            return "no slack_app_token: no buttons and no commands; answers in threads work"
        await self._api.call(self._api.web.apps_connections_open(app_token=self._app_token))
        return f"buttons and commands over {len(self.sockets)} sockets"

    async def start(self) -> None:
        """Listen, and do what was written down before the last stop. Waits for nothing: Slack may be down."""
        self._began = time.monotonic()
        self._tasks = [background.begin(s.keep(), f"socket {n}") for n, s in enumerate(self.sockets)]
        self._tasks.append(background.begin(self.app.work(), "clicks of before"))

    async def stop(self) -> None:
        """Close the sockets; what was written down and not done is done at the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def look(self) -> None:
        """`auth.test`: whether Slack would take a page now. Also does what clicks asked for and could not be done then."""
        await self.app.work()
        try:
            await self._people.introduce()
        except NotifierError as error:
            self._failed += 1
            self._since = self._since or self._clock()
            self._why = str(error)
            log.warning("Slack: %s", error)
        else:
            self._failed, self._since, self._why, self._well_at = 0, None, "", self._clock()
            await self._count_again()
            with contextlib.suppress(NotifierError):  # a plan without groups, or no scope: ids are shown
                await self._people.learn_names()
            await self.targets.look()

    async def _count_again(self) -> None:
        """Slack counts only when it greets, and a socket that was just replaced may still be counted: ask twice before we believe it."""
        most = max(self.sockets, key=lambda s: s.connections, default=None)
        if most is None or most.connections <= len(self.sockets):
            self._counted = 0
            self._alone_at = self._clock() if most and most.connections else self._alone_at
            return
        self._counted += 1
        if self._counted < _LASTING_LOOKS + 1:
            await most.renew()

    def vitals(self, now: datetime) -> dict[str, object]:
        """By the names of `health.Vitals`; well is what Slack itself has shown since we began."""
        why, seconds = self.trouble()
        found: dict[str, object] = {
            "slack": why, "slack_seconds": seconds, "deaf_seconds": self.deaf_seconds(), "connections": self.connections(),
            "expected": len(self.sockets), "targets": self.targets.words(),
        }  # fmt: skip
        heard = now - timedelta(seconds=self.deaf_seconds()) if any(s.up_at is not None for s in self.sockets) else None
        well = {"slack": self._well_at, "targets": self.targets.well_at, "buttons": heard, "connections": self._alone_at}
        return found | {"well": well, "gone": () if self.sockets else ("buttons", "connections")}

    def trouble(self) -> tuple[str, float]:
        """(why Slack cannot be used, for how many seconds), once it has lasted."""
        if self._failed < _LASTING_LOOKS or self._since is None:
            return "", 0.0
        return self._why, (self._clock() - self._since).total_seconds()

    def stepped(self, by: timedelta) -> None:
        """The clock was set: slack_sdk reads it to see whether a socket still answers, so that they are opened anew."""
        move(self, by, "_since", "_well_at", "_alone_at")
        if self._tasks:
            self._tasks += [background.begin(socket.renew(), "another socket") for socket in self.sockets]

    def deaf_seconds(self) -> float:
        """How long no click could have come through; 0 without sockets."""
        return min((s.deaf_seconds(self._began) for s in self.sockets), default=0.0)

    def connections(self) -> int:
        """Of our app token, as Slack has counted again and again; at most ours until it has."""
        counted = max((s.connections for s in self.sockets), default=0)
        return counted if self._counted > _LASTING_LOOKS else min(counted, len(self.sockets))
