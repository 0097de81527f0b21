"""Whom to read next: fair, within what the platform allows, an account in an incident first. Pure but for what it remembers.

An account is due `fast` seconds after it was last read, `slow` seconds while a stream is proven to tell of it, and at once
when somebody says so. What the platform allows is a budget of reads: with too many accounts for it they wait in the order in
which they became due, so that the interval grows for all of them alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from monitor.sources.interface import LONGEST_WAIT, Limit
from monitor.steps import move

SHARE = 0.9  # of what the platform allows; the rest is for restarts and people
SLOW_SHARE = 0.5  # of that, for accounts that a stream tells of
LEAST = timedelta(seconds=1)  # between two reads of one account, however it is hurried
BURST = 2.0  # seconds of the budget that may be used at once


@dataclass
class _Place:
    """One account in the round."""

    due_at: datetime
    wait: timedelta  # from when it was said until then
    read_at: datetime | None = None
    hurried: bool = False
    reading: bool = False


class Rounds:
    """The accounts of one platform. `allowed` is how many reads fit into fifteen minutes until the platform says it."""

    def __init__(self, fast: float, slow: float, allowed: int) -> None:
        self.fast, self.slow = fast, max(fast, slow)
        self._places: dict[str, _Place] = {}
        self._per_second = allowed * SHARE / 900
        self._budget = max(1.0, self._per_second * BURST)
        self._counted_at: datetime | None = None
        self._until: datetime | None = None  # nothing is left before then

    def join(self, key: str, now: datetime) -> None:
        """Read this account too; spread, not in bursts."""
        spread = self.fast * (len(self._places) % 16) / 16
        wait = timedelta(seconds=spread)
        self._places[key] = _Place(now + wait, wait)

    def leave(self, key: str) -> None:
        """Read it no more."""
        self._places.pop(key, None)

    def pace(self, fast: float, slow: float, now: datetime) -> None:
        """Read more or less often from now on."""
        if (fast, max(fast, slow)) == (self.fast, self.slow):
            return
        self.fast, self.slow = fast, max(fast, slow)
        for place in self._places.values():
            place.due_at = min(place.due_at, now + timedelta(seconds=fast))

    def hurry(self, key: str) -> None:
        """Read it as soon as it may be."""
        if key in self._places:
            self._places[key].hurried = True

    def learn(self, limit: Limit | None, now: datetime) -> None:
        """What an answer said is left until when."""
        if limit is None or limit.reset_at <= now:
            return
        left = (limit.reset_at - now).total_seconds()
        self._until = limit.reset_at if limit.remaining <= 0 else None
        self._per_second = max(limit.remaining, 0) * SHARE / max(1.0, left)

    def pause(self, until: datetime) -> None:
        """Nothing is left before then."""
        self._until = until

    def stepped(self, by: timedelta) -> None:
        """The clock was set back: what was to be read in a second is to be read in a second."""
        move(self, by, "_counted_at", "_until")
        for place in self._places.values():
            move(place, by, "due_at", "read_at")

    def slowly(self) -> float:
        """Seconds between two reads of an account that a stream tells of: half of the budget stays for those it does not."""
        return max(self.slow, len(self._places) / max(self._per_second * SLOW_SHARE, 0.01))

    def interval(self, covered: int = 0) -> float:
        """Seconds between two reads of an account that no stream tells of, as things are."""
        others = max(0.0, self._per_second - covered / self.slowly())
        uncovered = len(self._places) - covered
        return max(self.fast, uncovered / others if others > 0 else self.fast) if uncovered > 0 else self.fast

    def due(self, now: datetime, urgent: frozenset[str] = frozenset()) -> list[str]:
        """Those to read now, marked as being read; `urgent` ones (in an incident) and hurried ones take turns with the others."""
        if self._until and now < self._until <= now + LONGEST_WAIT:
            return []
        self._refill(now)
        waiting = [(key, place) for key, place in self._places.items() if self._is_due(place, now)]
        if not waiting or self._budget < 1:
            return []
        first = sorted((p.due_at, k) for k, p in waiting if p.hurried or k in urgent)
        others = sorted((p.due_at, k) for k, p in waiting if not (p.hurried or k in urgent))
        chosen = list(islice(_alternately(first, others), int(self._budget)))
        for key in chosen:
            self._places[key].reading, self._places[key].hurried = True, False
        self._budget -= len(chosen)
        return chosen

    def _is_due(self, place: _Place, now: datetime) -> bool:
        rested = place.read_at is None or not timedelta() <= now - place.read_at < LEAST
        far = place.due_at - now > place.wait + LEAST  # the clock was set back
        return not place.reading and ((place.hurried and rested) or place.due_at <= now or far)

    def _refill(self, now: datetime) -> None:
        passed = (now - self._counted_at).total_seconds() if self._counted_at else 0.0
        self._counted_at = now
        most = max(1.0, self._per_second * max(BURST, min(passed, self.fast)))
        self._budget = min(most, self._budget + max(0.0, passed) * self._per_second)

    def read(self, key: str, now: datetime, *, covered: bool, again_at: datetime | None = None) -> None:
        """It has been read, well or badly."""
        place = self._places.get(key)
        if place is None:  # it was taken out of the configuration meanwhile
            return
        place.reading, place.read_at = False, now
        place.due_at = again_at or now + timedelta(seconds=self.slowly() if covered else self.fast)
        place.wait = max(timedelta(), place.due_at - now)


def _alternately(first: list[tuple[datetime, str]], others: list[tuple[datetime, str]]) -> Iterator[str]:
    """Two of the urgent ones, then one of the others: nobody starves."""
    urgent, calm = iter(first), iter(others)
    for _ in range(len(first) + len(others)):
        for _, key in (*islice(urgent, 2), *islice(calm, 1)):
            yield key
