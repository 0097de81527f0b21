"""Who is on call now, from a schedule as iCalendar. Its last good copy goes on being right while it cannot be fetched."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from monitor import record, safe
from monitor.foreign import ics
from monitor.foreign.bounds import ForeignError
from monitor.foreign.sandbox import Sandbox
from monitor.foreign.summary import USER
from monitor.store import Store

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger("monitor.oncall")

MOST_BYTES = 2 * 1024 * 1024
DEADLINE_SECONDS = 20
_KEPT = "on call"  # under which it is kept
STALE = timedelta(days=2)  # an old copy may no longer be true: then the group is paged without a name


@dataclass(frozen=True)
class _Seen:
    """What was kept of the last look at the schedule."""

    said: tuple[str, ...]
    at: datetime
    nobody_since: datetime | None


def _kept(store: Store) -> _Seen | None:
    return record.remembered(store.kept(_KEPT), _seen, None)


def _seen(found: Any) -> _Seen | None:
    first, *more = found["said"]
    since = found["nobody_since"]
    return _Seen((str(first), *map(str, more)), record.utc(found["at"]), record.utc(since) if since else None)


def said(store: Store) -> tuple[str, ...]:
    """Who is on call, as the daemon last saw it, and what of the schedule was skipped; for people, not cleaned."""
    found = _kept(store)
    return (f"{found.said[0]} (read {found.at:%Y-%m-%d %H:%M} UTC)", *found.said[1:]) if found else ()


def nobody_for(store: Store, now: datetime) -> timedelta:
    """For how long the schedule has named nobody whom the channel knows."""
    found = _kept(store)
    return now - found.nobody_since if found and found.nobody_since else timedelta()


def named_at(store: Store) -> datetime | None:
    """When the schedule was looked at and had last named somebody; None while it names nobody, or was never read."""
    found = _kept(store)
    return found.at if found and not found.nobody_since else None


@dataclass(frozen=True)
class Duty:
    """Who is on call at a moment: names of the schedule with their ids in the channel, those that the channel does not know, and
    what of the schedule was skipped.
    """

    known: dict[str, str]
    unknown: tuple[str, ...]
    notes: tuple[str, ...]

    def words(self) -> str:
        """A sentence for people. The names are the schedule's: clean them for where they go."""
        there = ", ".join(f"{name} ({identifier})" if name != identifier else name for name, identifier in self.known.items())
        strange = f"; not known to Slack: {', '.join(self.unknown)}" if self.unknown else ""
        return f"on call now: {there or 'nobody that Slack knows, so that pages wake everybody in `mention`'}{strange}"


class Schedule:
    """`lookup` turns an address into the channel's id of a person, or an empty string. `home` is the zone of times without one."""

    def __init__(
        self, url: str, store: Store, session: aiohttp.ClientSession, lookup: Callable[[str], Awaitable[str]], sandbox: Sandbox,
        home: str = "",
    ) -> None:  # fmt: skip
        self._url, self._store, self._session, self._lookup, self._sandbox = url, store, session, lookup, sandbox
        self._home = home
        self._told: tuple[str, ...] = ()
        self.duty = Duty({}, (), ())
        self.trouble = ""  # why it could not be read the last time

    async def now(self, now: datetime) -> tuple[str, ...]:
        """The people on call; empty when nobody is, or nobody knows: then the group is paged."""
        self.trouble = ""
        found = await self._read(await self._fetched(), now)
        if found is None:
            old = record.remembered(self._store.kept("schedule"), lambda kept: (record.utc(kept[0]), str(kept[1])), None)
            good = old is not None and timedelta() <= now - old[0] <= STALE
            found = await self._read(old[1].encode("utf-8", "replace"), now, keep=False) if old and good else None
        names = [one for one in found or () if isinstance(one, str)]
        notes = tuple(str(one["note"]) for one in found or () if isinstance(one, dict))
        ids = {name: await self._person(name) for name in names}
        self.duty = Duty({n: i for n, i in ids.items() if i}, tuple(n for n, i in ids.items() if not i), notes)
        self._tell()
        self._keep(now, was_read=found is not None)
        return tuple(dict.fromkeys(self.duty.known.values()))

    def _tell(self) -> None:
        """What is new of what was skipped, and of names that Slack does not know."""
        told = (*self.duty.notes, *(f"{name} is on call and not known to Slack" for name in self.duty.unknown))
        for note in told:
            if note not in self._told:
                log.warning("the schedule: %s", safe.for_log(note, 300))
        self._told = told

    def _keep(self, now: datetime, *, was_read: bool) -> None:
        """For `status`, and for how long nobody has been named. A schedule that cannot be read says nothing of that."""
        last = _kept(self._store)
        since = last.nobody_since if last else None
        if was_read:
            since = None if self.duty.known else since or now
        said = (
            [self.duty.words(), *(f"the schedule: {note}" for note in self.duty.notes)]
            if was_read
            else ["on call now: not known: no copy of the schedule can be read"]
        )
        self._store.keep(_KEPT, json.dumps({"said": said, "nobody_since": record.stamp(since) or "", "at": now.isoformat()}))

    async def _read(self, body: bytes, now: datetime, *, keep: bool = True) -> list[Any] | None:
        """What `shifts.read` says of it, or None when it cannot be read. Only what could be read is kept."""
        if not body:
            return None
        try:
            found = await self._sandbox.read("shifts", "the schedule", body, now=now.isoformat(), home=self._home)
        except ForeignError as error:
            log.warning("the schedule could not be read: %s", safe.for_log(str(error), 300))
            self.trouble = self.trouble or str(error)
            return None
        if keep:
            self._store.keep("schedule", json.dumps([now.isoformat(), ics.decoded(body)]))
        return found

    async def _person(self, name: str) -> str:
        if USER.fullmatch(name):
            return name
        try:
            return await self._lookup(name)
        except Exception as error:  # noqa: BLE001 - without a name the group is paged
            log.warning("on call, and not looked up in Slack: %s", type(error).__name__)
            return ""

    async def _fetched(self) -> bytes:
        """The calendar as it is now; nothing when it cannot be had."""
        from aiohttp import ClientError  # by now it is loaded; `status` does without

        try:
            async with asyncio.timeout(DEADLINE_SECONDS), self._session.get(self._url) as answer:
                body = await answer.content.read(MOST_BYTES + 1)
                while len(body) <= MOST_BYTES and (more := await answer.content.read(MOST_BYTES + 1 - len(body))):
                    body += more
                if answer.status != 200 or len(body) > MOST_BYTES or b"BEGIN:VCALENDAR" not in body.replace(b"\0", b"").upper():
                    raise ValueError(f"status {answer.status}, {len(body)} bytes")
        except (ClientError, TimeoutError, OSError, ValueError) as error:
            self.trouble = f"it could not be fetched ({type(error).__name__})"
            log.warning("the schedule could not be fetched: %s", type(error).__name__)
            return b""
        return body
