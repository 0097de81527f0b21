"""Tells the channel of every registration, and edits the message when it is confirmed, withdrawn or used.

It wakes nobody. A message whose outcome is not known is sent again: twice is better than never, and nothing that
is read back from the channel could make us believe that it is there.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from monitor.announcements import FAR, Announcement
from monitor.background import OneAtATime
from monitor.desk import IMPORT
from monitor.notifiers.interface import NotifierError, Refusal
from monitor.store import Store

log = logging.getLogger("monitor.announcer")

GAP = timedelta(seconds=1)  # between two messages, which is Slack's limit
BUSY = timedelta(seconds=10)  # while pages leave: they may have the same channel, and come first
SETTLES = timedelta(seconds=5)  # an import that has not grown for so long is over
LONGEST = timedelta(minutes=1)  # and is announced as far as it is then, however slowly it grows
BACKOFF_SECONDS = (1, 2, 4, 8, 15)
MENDED_SECONDS = 30  # what a person must mend is tried again so often


class Channel(Protocol):
    """Where announcements go. Every method may raise NotifierError and nothing else."""

    async def say(self, one: Announcement, now: datetime) -> tuple[str, str]:
        """Post it; (channel, receipt)."""
        ...

    async def correct(self, one: Announcement, now: datetime) -> None:
        """Edit it."""
        ...


@dataclass
class _Growing:
    """An import that may not be over yet."""

    count: int
    began: datetime
    grew: datetime


class Announcer:
    """`tick` may be called at any time and as often as one likes. Without a channel the journal is told."""

    def __init__(self, store: Store, clock: Callable[[], datetime], channel: Channel | None) -> None:
        self._store, self._clock, self.channel = store, clock, channel
        self._growing: dict[str, _Growing] = {}
        self._revision = 0
        self._sent_at: datetime | None = None
        self._telling = OneAtATime()
        self.settle = self._telling.settle

    def tick(self, *, busy: bool = False) -> None:
        """Write down what has to be announced, and begin to say the next of it. Never waits."""
        now = self._clock()
        table = self._store.announcements
        pending = table.unannounced()
        ended = [batch for batch, count in pending.items() if self._is_over(batch, count, now)]
        self._growing = {batch: known for batch, known in self._growing.items() if batch in pending and batch not in ended}
        with self._store.transaction():
            for batch in ended:
                table.write(batch, now)
            revision = table.changed_since(self._revision, now)
        self._revision = revision
        waits = self._sent_at is not None and timedelta() <= now - self._sent_at < (BUSY if busy else GAP)
        if not self._telling.busy and not waits and (one := table.due(now)):
            self._sent_at = now
            self._telling.begin(self._tell(one, now), f"announcement {one.id}")

    def _is_over(self, batch: str, count: int, now: datetime) -> bool:
        """Whether an act is complete: an import registers a row at a time, everything else all at once."""
        if not batch.startswith(IMPORT):
            return True
        known = self._growing.setdefault(batch, _Growing(0, now, now))
        if count > known.count:
            known.count, known.grew = count, now
        waited, lasted = now - known.grew, now - known.began
        return waited >= SETTLES or lasted >= LONGEST or waited < timedelta()  # the clock was set back: no more waiting

    async def _tell(self, one: Announcement, now: datetime) -> None:
        try:
            channel, receipt = await self._said(one, now)
        except NotifierError as error:
            self._refused(one, error)
        except sqlite3.Error:
            raise
        except Exception as error:  # a bug of ours, perhaps in the wording: once more in plain words
            log.exception("announcement %d", one.id)
            self._put_off(one, self._clock() + timedelta(seconds=MENDED_SECONDS), type(error).__name__, plain=True)
        else:
            with self._store.transaction():
                self._store.announcements.told(one, channel, receipt)

    async def _said(self, one: Announcement, now: datetime) -> tuple[str, str]:
        first = one.registrations[0] if one.registrations else None
        if self.channel is None or first is None:
            if not one.receipt and first:
                many = f" and {one.count - 1} more" if one.count > 1 else ""
                log.warning("#%d%s registered by %s from %s", first.id, many, first.registrant or "somebody", first.via or "somewhere")
            return "", "the journal"
        if not one.receipt:
            return await self.channel.say(one, now)
        if one.channel:
            await self.channel.correct(one, now)
        return one.channel, one.receipt

    def _refused(self, one: Announcement, error: NotifierError) -> None:
        """A first message is tried for ever; a correction that is refused for what it is was the last try."""
        log.warning("announcement %d: %s (%s)", one.id, error, error.refusal.value)
        wait = timedelta(seconds=BACKOFF_SECONDS[min(one.attempts, len(BACKOFF_SECONDS) - 1)])
        match error.refusal:
            case Refusal.SLOW_DOWN:
                wait = timedelta(seconds=error.retry_after) if error.retry_after else wait
            case Refusal.CREDENTIALS | Refusal.DESTINATION:
                wait = timedelta(seconds=max(MENDED_SECONDS, error.retry_after))
            case Refusal.CONTENT | Refusal.LOST if one.receipt:
                with self._store.transaction():
                    self._store.announcements.told(one, one.channel, one.receipt)
                return
            case Refusal.CONTENT if one.plain:
                wait = FAR
        plain = one.plain or error.refusal is Refusal.CONTENT
        self._put_off(one, self._clock() + wait, str(error), plain=plain)

    def _put_off(self, one: Announcement, when: datetime, error: str, *, plain: bool) -> None:
        with self._store.transaction():
            self._store.announcements.again(one, when, error, plain=plain)
