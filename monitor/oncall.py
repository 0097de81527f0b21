"""Who is on call now, from a schedule as iCalendar. Its last good copy goes on being right while it cannot be fetched."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import aiohttp

from monitor.foreign.bounds import ForeignError
from monitor.foreign.sandbox import Sandbox
from monitor.foreign.shifts import USER
from monitor.store import Store

log = logging.getLogger("monitor.oncall")

MOST_BYTES = 2 * 1024 * 1024
DEADLINE_SECONDS = 20
STALE = timedelta(days=2)  # an old copy may no longer be true: then the group is paged without a name


class Schedule:
    """`lookup` turns an address into the channel's id of a person, or an empty string."""

    def __init__(
        self, url: str, store: Store, session: aiohttp.ClientSession, lookup: Callable[[str], Awaitable[str]], sandbox: Sandbox
    ) -> None:
        self._url, self._store, self._session, self._lookup, self._sandbox = url, store, session, lookup, sandbox
        self.trouble = ""  # why it could not be read the last time

    async def now(self, now: datetime) -> tuple[str, ...]:
        """The people on call; empty when nobody is, or nobody knows: then the group is paged."""
        self.trouble = ""
        names = await self._named(await self._fetched(), now)
        if names is None:
            old = json.loads(self._store.kept("schedule") or "[]")
            good = bool(old) and timedelta() <= now - datetime.fromisoformat(old[0]) <= STALE
            names = await self._named(old[1].encode(), now, keep=False) if good else None
        return tuple(dict.fromkeys(filter(None, [await self._person(name) for name in names or ()])))

    async def _named(self, body: bytes, now: datetime, *, keep: bool = True) -> list[str] | None:
        """Whom the calendar names, or None when it cannot be read. Only what could be read is kept."""
        if not body:
            return None
        try:
            names = await self._sandbox.read("shifts", "the schedule", body, now=now.isoformat())
        except ForeignError as error:
            log.warning("the schedule could not be read: %s", error)
            self.trouble = self.trouble or str(error)
            return None
        if keep:
            self._store.keep("schedule", json.dumps([now.isoformat(), body.decode("utf-8", "replace")]))
        return list(map(str, names))

    async def _person(self, name: str) -> str:
        if USER.fullmatch(name):
            return name
        try:
            return await self._lookup(name)
        except Exception as error:  # noqa: BLE001 - without a name the group is paged
            log.warning("on call, and not found in Slack: %s", type(error).__name__)
            return ""

    async def _fetched(self) -> bytes:
        """The calendar as it is now; nothing when it cannot be had."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS), self._session.get(self._url) as answer:
                body = await answer.content.read(MOST_BYTES + 1)
                while len(body) <= MOST_BYTES and (more := await answer.content.read(MOST_BYTES + 1 - len(body))):
                    body += more
                if answer.status != 200 or len(body) > MOST_BYTES or b"BEGIN:VCALENDAR" not in body:
                    raise ValueError(f"status {answer.status}, {len(body)} bytes")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            self.trouble = f"it could not be fetched ({type(error).__name__})"
            log.warning("the schedule could not be fetched: %s", type(error).__name__)
            return b""
        return body
