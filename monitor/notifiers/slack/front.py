"""Slack as a place where people work: its sockets, what they carry, and whether it can be used at all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from datetime import datetime

from monitor.notifiers.interface import NotifierError
from monitor.notifiers.slack.api import Api, Socket
from monitor.notifiers.slack.app import SlackApp
from monitor.notifiers.slack.people import People

log = logging.getLogger("monitor.slack")

_LASTING_LOOKS = 2  # one failed look may be a hiccup


class Front:
    """The sockets of one app. Without an app token there are none, and threads are read instead."""

    def __init__(self, api: Api, people: People, app: SlackApp, app_token: str, count: int, clock: Callable[[], datetime]) -> None:
        self._people, self._clock = people, clock
        self.app = app
        self.sockets = tuple(Socket(api, app_token, app.receive) for _ in range(count)) if app_token else ()
        self._tasks: list[asyncio.Task[None]] = []
        self._began = time.monotonic()
        self._failed = 0
        self._since: datetime | None = None
        self._why = ""

    async def start(self) -> None:
        """Do what was written down before the last stop, then listen."""
        self._began = time.monotonic()
        self._tasks = [asyncio.create_task(s.keep(), name=f"socket {n}") for n, s in enumerate(self.sockets)]
        await self.app.work()

    async def stop(self) -> None:
        """Close the sockets; what was written down and not done is done at the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def look(self) -> None:
        """`auth.test`: whether Slack would take a page now."""
        try:
            await self._people.introduce()
        except NotifierError as error:
            self._failed += 1
            self._since = self._since or self._clock()
            self._why = str(error)
            log.warning("Slack: %s", error)
        else:
            self._failed, self._since, self._why = 0, None, ""
            with contextlib.suppress(NotifierError):  # a plan without groups, or no scope: ids are shown
                await self._people.learn_names()

    def trouble(self) -> tuple[str, float]:
        """(why Slack cannot be used, for how many seconds), once it has lasted."""
        if self._failed < _LASTING_LOOKS or self._since is None:
            return "", 0.0
        return self._why, (self._clock() - self._since).total_seconds()

    def deaf_seconds(self) -> float:
        """How long no click could have come through; 0 without sockets."""
        return min((s.deaf_seconds(self._began) for s in self.sockets), default=0.0)

    def connections(self) -> int:
        """Of our app token, as Slack last counted."""
        return max((s.connections for s in self.sockets), default=0)
