"""Keeps one stream open, for ever. A state machine that the schedule ticks: it never waits and never gives up.

A tick opens what is closed when its time has come, ends what has gone silent, and asks again and again to be told about
the watched accounts. Nothing that is said is understood here: whole lines are handed on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from monitor.model import Account
from monitor.sources._lines import Backoff, Lines
from monitor.sources.interface import LONGEST_WAIT, Clock, Prepared, SourceError, Stream, Told, Trouble
from monitor.steps import move

log = logging.getLogger("monitor.listener")

HEADERS = timedelta(seconds=60)  # X sends them with the first keep-alive, some twenty seconds late
SILENT = timedelta(seconds=45)  # two keep-alives were missed
LASTED = timedelta(seconds=60)  # before a connection counts as one that works
AGAIN = timedelta(hours=1)  # subscriptions are compared
AGAIN_FAILED = timedelta(seconds=60)
WINDOW = timedelta(minutes=15)  # of the budget of connections
MOST_WAITING = 64 * 1024 * 1024  # bytes not yet handed on: then we stop reading, and polls close what is lost


class Listener:
    """`opened` is called when a connection stands or covers more, with the keys of the accounts it tells of."""

    def __init__(
        self, name: str, stream: Stream, accounts: Callable[[], tuple[Account, ...]], clock: Clock,
        opened: Callable[[Iterable[str]], None], dice: random.Random | None = None,
    ) -> None:  # fmt: skip
        self.name, self._stream, self._accounts, self._clock, self._opened = name, stream, accounts, clock, opened
        self._dice = dice or random.Random()  # noqa: S311 - jitter
        self._backoff = Backoff()
        self._task: asyncio.Task[None] | None = None
        self._preparing: asyncio.Task[Prepared] | None = None
        self._connects: deque[datetime] = deque()
        self._lines: deque[tuple[bytes, datetime]] = deque()
        self._waiting = 0
        self.ready, self._room = asyncio.Event(), asyncio.Event()
        self._room.set()
        self.next_at = self._prepare_at = clock()
        self._asked = self._named = frozenset[str]()  # keys of accounts
        self._begun, self._is_prepared = clock(), False
        self._why: SourceError | None = None
        self.open_since: datetime | None = None
        self.heard_at: datetime | None = None
        self.covered: frozenset[str] = frozenset()
        self.profiles: frozenset[str] = frozenset()  # the accounts of which it tells every change of the profile
        self.notes: tuple[str, ...] = ()
        self.trouble: SourceError | None = None  # why it is not open now
        self.failures = 0  # in a row
        self.lost_at: datetime | None = None  # since when no connection has lasted
        self.received = 0  # bytes on this connection

    def proof(self, account: str) -> datetime | None:
        """When the stream last proved that it would tell of this account, or None while it does not."""
        return self.heard_at if self.open_since and account in self.covered else None

    def tick(self) -> None:
        """What is due now. Called every quarter of a second or so."""
        now = self._clock()
        self._look_after_subscriptions(now)
        if self._task is None:
            self._connect_if_due(now)
            return
        if self._task.done():
            self._ended(now)
            return
        since = self.heard_at if self.open_since else self._begun
        limit = SILENT if self.open_since else HEADERS
        if since and not timedelta() <= now - since <= limit and self._why is None:
            seconds = f"{limit.total_seconds():.0f} s"
            self._why = SourceError(
                Trouble.NETWORK, f"X's stream {'has been silent for' if self.open_since else 'did not begin within'} {seconds}"
            )
            self._task.cancel()
        elif self.open_since and now - self.open_since > LASTED:
            self._backoff.worked()
            self.failures, self.lost_at = 0, None

    def _connect_if_due(self, now: datetime) -> None:
        while self._connects and now - self._connects[0] > WINDOW:
            self._connects.popleft()
        early = now < self.next_at <= now + LONGEST_WAIT  # further ahead only when the clock was set back
        if early or not self._is_prepared or len(self._connects) >= self._stream.connects * 0.9:
            return
        self._connects.append(now)
        self._begun, self._why, self.received = now, None, 0
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        lines = Lines()
        async with self._stream.connect() as chunks:
            self.open_since = self.heard_at = self._clock()
            self.trouble = None
            log.info("%s: the stream is open", self.name)
            self._opened(self.covered)
            async for chunk in chunks:
                self.heard_at = self._clock()
                self.received += len(chunk)
                for line in lines.feed(chunk):
                    if line.strip():
                        self._hand_on(line)
                await self._room.wait()
        if lines.unfinished.strip():
            self._hand_on(lines.unfinished)

    def _hand_on(self, line: bytes) -> None:
        self._lines.append((line, self._clock()))
        self._waiting += len(line)
        self.ready.set()
        if self._waiting > MOST_WAITING:
            self._room.clear()

    def take(self) -> list[Told]:
        """Everything said since the last time, read."""
        found = []
        while self._lines:
            line, _ = self._lines.popleft()
            self._waiting -= len(line)
            told = self._stream.read(line)
            if told.trouble:
                self._why = told.trouble
            found.append(told)
        self.ready.clear()
        self._room.set()
        return found

    def _ended(self, now: datetime) -> None:
        """Why it ended, and when to try again."""
        task, self._task = self._task, None
        error: BaseException | None = None
        if task is not None and not task.cancelled():
            error = task.exception()
        if error is not None and not isinstance(error, SourceError):
            log.error("%s: the stream ended in an unforeseen way", self.name, exc_info=error)
            error = SourceError(Trouble.UNAVAILABLE, f"the stream could not be handled ({type(error).__name__})")
        self.trouble = (
            self._why or (error if isinstance(error, SourceError) else None) or SourceError(Trouble.NETWORK, "X closed the stream")
        )
        ended_cleanly = error is None and self._why is None
        self.open_since, self.failures = None, self.failures + 1
        self.lost_at = self.lost_at or now
        seconds = self._backoff.seconds(None if ended_cleanly else self.trouble.trouble, self._dice)
        self.next_at = now + timedelta(seconds=seconds)
        if self.trouble.retry_at and self.trouble.trouble is Trouble.RATE_LIMITED and self.trouble.retry_at > self.next_at:
            self.next_at = self.trouble.retry_at
        log.warning("%s: %s; again in %.0f s", self.name, self.trouble, (self.next_at - now).total_seconds())
        self._opened(self.covered)  # nobody tells of them now: they are read at once

    def _look_after_subscriptions(self, now: datetime) -> None:
        if self._preparing is not None and self._preparing.done():
            self._prepared(now)
        accounts = self._accounts()
        keys = frozenset(a.key for a in accounts)
        due = now >= self._prepare_at or self._prepare_at - now > AGAIN or keys != self._asked
        if self._preparing is None and due and accounts:
            self._named = keys
            self._preparing = asyncio.create_task(self._stream.prepare(accounts))

    def _prepared(self, now: datetime) -> None:
        task, self._preparing = self._preparing, None
        assert task is not None
        self._is_prepared = True  # or was tried: what was asked for in an earlier life may still be told
        self._asked = self._named
        try:
            prepared = task.result()
        except (SourceError, asyncio.CancelledError) as error:
            self._prepare_at = now + AGAIN_FAILED
            self._told_once((f"subscriptions not compared: {error}",))
            return
        except Exception as error:
            log.exception("%s: subscriptions not compared", self.name)
            self._prepare_at = now + AGAIN_FAILED
            self._told_once((f"subscriptions not compared ({type(error).__name__})",))
            return
        self._prepare_at = prepared.again_at or now + AGAIN
        new, self.covered, self.profiles = prepared.covered - self.covered, prepared.covered, prepared.profiles
        self._told_once(prepared.notes)
        if new and self.open_since:
            self._opened(new)

    def _told_once(self, notes: tuple[str, ...]) -> None:
        for note in notes:
            if note not in self.notes:
                log.warning("%s: %s", self.name, note)
        self.notes = notes

    def stepped(self, by: timedelta) -> None:
        """The clock was set back."""
        move(self, by, "next_at", "_prepare_at", "_begun", "open_since", "heard_at", "lost_at")
        self._connects = deque(when + by for when in self._connects)

    async def close(self) -> None:
        """No stream any more."""
        tasks: list[asyncio.Task[Any]] = [t for t in (self._task, self._preparing) if t is not None]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        self._task = self._preparing = None
        self.open_since = None
