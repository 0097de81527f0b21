"""Who is on call now, from a schedule as iCalendar. Its last good copy goes on being right while it cannot be fetched."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import aiohttp

from monitor.store import Store

log = logging.getLogger("monitor.oncall")

MOST_BYTES = 2 * 1024 * 1024
DEADLINE_SECONDS = 20
MOST_WORDS = 5_000  # of an event: looking for addresses in it must stay quick
STALE = timedelta(days=2)  # an old copy may no longer be true: then the group is paged without a name
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_USER = re.compile(r"\b[UW](?=[A-Z]*\d)[A-Z0-9]{6,20}\b")  # with a digit: UPDATE and WEEKEND are words


class Schedule:
    """`lookup` turns an address into the channel's id of a person, or an empty string."""

    def __init__(self, url: str, store: Store, session: aiohttp.ClientSession, lookup: Callable[[str], Awaitable[str]]) -> None:
        self._url, self._store, self._session, self._lookup = url, store, session, lookup

    async def now(self, now: datetime) -> tuple[str, ...]:
        """The people on call; empty when nobody is, or nobody knows: then the group is paged."""
        text, fetched = await self._text(now)
        if not text or now - fetched > STALE:
            return ()
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                names = await asyncio.to_thread(on_call, text, now)
        except Exception:
            log.exception("the schedule could not be read")
            return ()
        return tuple(dict.fromkeys(filter(None, [await self._person(name) for name in names])))

    async def _person(self, name: str) -> str:
        if _USER.fullmatch(name):
            return name
        try:
            return await self._lookup(name)
        except Exception as error:  # noqa: BLE001 - without a name the group is paged
            log.warning("on call, and not found in Slack: %s", type(error).__name__)
            return ""

    async def _text(self, now: datetime) -> tuple[str, datetime]:
        """The calendar as fetched now, else as fetched last."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS), self._session.get(self._url) as answer:
                body = await answer.content.read(MOST_BYTES + 1)
                if answer.status != 200 or len(body) > MOST_BYTES or b"BEGIN:VCALENDAR" not in body:
                    raise ValueError(f"status {answer.status}, {len(body)} bytes")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            log.warning("the schedule could not be fetched: %s", type(error).__name__)
            old = json.loads(self._store.kept("schedule") or "[]")
            return (old[1], datetime.fromisoformat(old[0])) if old else ("", now)
        text = body.decode("utf-8", "replace")
        self._store.keep("schedule", json.dumps([now.isoformat(), text]))
        return text, now


def on_call(text: str, now: datetime) -> tuple[str, ...]:
    """Addresses or Slack ids of whoever's shift covers `now`, from attendees, else from the words of the event."""
    import icalendar
    import recurring_ical_events

    found: list[str] = []
    for event in recurring_ical_events.of(icalendar.Calendar.from_ical(text)).between(now, now + timedelta(seconds=1)):
        attendees = event.get("ATTENDEE", [])
        asked = " ".join(str(a) for a in (attendees if isinstance(attendees, list) else [attendees]))
        said = " ".join(str(event.get(key, ""))[:MOST_WORDS] for key in ("SUMMARY", "DESCRIPTION"))
        found += _EMAIL.findall(asked) or _EMAIL.findall(said) or _USER.findall(said)
    return tuple(dict.fromkeys(name.lower() if "@" in name else name for name in found))
