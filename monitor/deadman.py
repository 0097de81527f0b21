"""Tells somebody outside, again and again, that all is well. When it stops, they page.

Silence is the alarm: a ping is sent only after the audit passed, so it proves reading, writing and paging, not
merely that a process is there. healthchecks.io takes /start and /fail beside the plain ping; Opsgenie's heartbeat and
Alertmanager's `endsAt` know only the absence.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp

from monitor import safe

log = logging.getLogger("monitor.deadman")

DEADLINE_SECONDS = 10
Alive = Callable[[str, float], Awaitable[None]]  # a notifier that says who is alive, and for how many seconds


class Deadman:
    """`alive` is Alertmanager's part, where it is configured."""

    def __init__(
        self, options: Mapping[str, Any], secrets: Mapping[str, str], session: aiohttp.ClientSession, install: str, alive: Alive | None
    ) -> None:  # fmt: skip
        self._options, self._session, self._install, self._alive = options, session, install, alive
        self._url = secrets.get("deadman_url", "").rstrip("/")
        self._genie = secrets.get("opsgenie_key", "")
        self.every = float(options["every_seconds"])

    async def start(self) -> None:
        """We begin; whoever measures durations wants to know."""
        if self._url:
            await self._ask("POST", f"{self._url}/start", {}, "")

    async def beat(self, wrong: tuple[str, ...], anchor: str = "") -> None:
        """All is well, or why not. A ping that fails is only logged: its absence says enough. Its body is the anchor,
        which whoever counts the pings keeps out of a hijacker's reach.
        """
        if wrong:
            said = safe.for_log("; ".join(wrong), 1_000)
            log.error("the dead-man's switch is not held: %s", said)
            if self._url:
                await self._ask("POST", f"{self._url}/fail", {}, said)
            return
        if self._url:
            await self._ask("POST", self._url, {}, f"anchor {anchor}" if anchor else "")
        name = str(self._options.get("opsgenie_heartbeat") or "")
        if name:
            url = f"{str(self._options['opsgenie_base']).rstrip('/')}/v2/heartbeats/{name}/ping"
            await self._ask("GET", url, {"Authorization": f"GenieKey {self._genie}"}, "")
        if self._alive:
            try:
                await self._alive(self._install, 3 * self.every)
            except Exception as error:  # noqa: BLE001 - the absence says enough
                log.warning("Alertmanager did not take the sign of life: %s", error)

    async def _ask(self, method: str, url: str, headers: dict[str, str], body: str) -> None:
        try:
            async with (
                asyncio.timeout(DEADLINE_SECONDS),
                self._session.request(method, url, headers=headers, data=body.encode(), allow_redirects=False) as answer,
            ):
                if answer.status >= 300:
                    log.warning("the dead-man's switch answered %d", answer.status)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            log.warning("the dead-man's switch could not be reached: %s", type(error).__name__)
