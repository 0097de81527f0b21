"""The newest post of an account, as its profile names it: another endpoint than timelines, and so a proof of what these show.

One that we do not know starts a poll; one that the poll does not show is asked for by its id. While neither shows it, the
profile is looked at again: if it stops naming the post, that was gone before anybody read it; if it goes on for a minute,
we do not see what the account posts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.sources.interface import Clock
from monitor.store import Store
from monitor.watch import Watch

ASK_EVERY = timedelta(seconds=10)
LOOK_EVERY = timedelta(seconds=20)  # X allows 300 looks at profiles in a quarter of an hour


@dataclass
class _Named:
    """A post that no read has shown. `since` is when the profile first named one of which that was true."""

    id: str
    since: datetime
    asked_at: datetime | None = None
    looked_at: datetime | None = None


class Newest:
    """Of all accounts of one platform. `hurry` polls an account at once, `ask` reads a post by its id, `look` its profile."""

    def __init__(
        self, store: Store, clock: Clock, hurry: Callable[[str], object],
        ask: Callable[[str, Watch], Awaitable[object]], look: Callable[[tuple[str, ...]], Awaitable[object]],
    ) -> None:  # fmt: skip
        self._store, self._clock, self._hurry, self._ask, self._look = store, clock, hurry, ask, look
        self._unseen: dict[str, _Named] = {}

    def unseen(self, key: str) -> tuple[str, datetime] | None:
        """A newest post that no read shows, and since when the profile has named such a one."""
        one = self._unseen.get(key)
        if one and self._store.has(key, one.id):
            del self._unseen[key]
            return None
        if one and one.since > self._clock():
            one.since = self._clock()  # the clock was set back
        return (one.id, one.since) if one else None

    def forget(self, key: str) -> None:
        """It is watched no more."""
        self._unseen.pop(key, None)

    async def named(self, watch: Watch, newest: str) -> None:
        """The profile names this post as the newest, or none."""
        key, now = watch.account.key, self._clock()
        before = self._unseen.get(key) if self.unseen(key) else None
        if before and before.id != newest:
            await self._ask(before.id, watch)
            if not self._store.has(key, before.id):
                watch.vanished(before.id)
            self._unseen.pop(key, None)
        if not newest or self._store.has(key, newest) or watch.intake.polled_at is None:
            return
        if before is None or before.id != newest:
            self._unseen[key] = _Named(newest, before.since if before else now, looked_at=now)
            self._hurry(key)
        else:
            before.looked_at = now
            await self._ask_for(before, watch)

    async def polled(self, watch: Watch) -> datetime | None:
        """This account was just read; when it should be read again at the latest, if not as usual."""
        key, now = watch.account.key, self._clock()
        one = self._unseen.get(key) if self.unseen(key) else None
        if one is None:
            return None
        await self._ask_for(one, watch)
        if self.unseen(key) and _is_due(one.looked_at, now, LOOK_EVERY):
            one.looked_at = now
            await self._look((key,))
        return now + ASK_EVERY if self.unseen(key) else None

    async def _ask_for(self, one: _Named, watch: Watch) -> None:
        if _is_due(one.asked_at, self._clock(), ASK_EVERY):
            one.asked_at = self._clock()
            await self._ask(one.id, watch)


def _is_due(last: datetime | None, now: datetime, every: timedelta) -> bool:
    return last is None or not timedelta() <= now - last < every
